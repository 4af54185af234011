"""The pictures of a profile, by matplotlib. No global state of it is used."""

import functools
import io
import math

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

_DPI = 110
_RANGE_ROWS = 80  # of a page of ranges
_ROW_HEIGHT = 0.2  # inches
_COLUMNS, _LINES = 4, 6  # of a page of histograms
_BARS = 96  # of a small histogram, into which its bins are added up

_INK = "#22303c"
_FAINT = "#e4e8ec"
_WIDE, _NARROW, _MIDDLE = "#cfdcea", "#8fb3d9", "#2f6aa8"
_ACCENT = "#c2410c"


def draw_ranges(rows, title):
    """Draws each tensor's range, one a line, in the order of the operators.

    Args:
        rows: list of plots.Row.
        title: one line.

    Returns:
        A list of PNG files' bytes, one a page.
    """
    scale, linear_up_to = _scale(rows)
    pages = [rows[at:at + _RANGE_ROWS] for at in range(0, len(rows), _RANGE_ROWS)] or [[]]
    pictures = []
    for number, page in enumerate(pages, 1):
        figure, top, bottom = _new_figure(
            11, _ROW_HEIGHT * max(len(page), 3), title + _page_of(number, pages),
            head=0.75, foot=0.5)
        labels = [_plain(_shortened("%s  %s  %s" % (row.place, row.op_type, _label(row)),
                                    54)) for row in page]
        left = 0.02 + 0.0056 * max([len(label) for label in labels] + [12])
        axes = figure.add_axes([left, bottom, 0.975 - left, top - bottom])
        axes.autoscale(False)
        axes.set_ylim(max(len(page), 3) - 0.4, -0.6)
        axes.set_yticks(range(len(page)))
        axes.set_yticklabels(labels, fontsize=7.5)
        axes.tick_params(axis="y", length=0)
        axes.tick_params(axis="x", labelsize=8)
        if scale == "symlog":
            axes.set_xscale("symlog", linthresh=linear_up_to)
        axes.set_xlim(*_limits(rows, scale, linear_up_to))
        if scale == "symlog":
            _thin_out_ticks(axes, linear_up_to)
        for y, row in enumerate(page):
            _draw_range(axes, y, row)
        axes.set_xlabel("value" if scale == "linear" else
                        "value (linear between ±%s, logarithmic beyond)"
                        % _short(linear_up_to), fontsize=8)
        axes.axvline(0, color=_INK, linewidth=0.6, zorder=1)
        _finish(axes)
        axes.grid(axis="x", color=_FAINT, linewidth=0.8)
        handles = [Patch(color=_WIDE, label="min to max")]
        if any(row.quantiles is not None for row in page):
            handles += [Patch(color=_NARROW, label="99.8 % of the values"),
                        Patch(color=_MIDDLE, label="the middle half"),
                        Line2D([], [], color=_ACCENT, linewidth=2, label="median")]
        # Above the axes, under the title.
        figure.legend(handles=handles, loc="upper right", ncol=4, frameon=False, fontsize=8,
                      bbox_to_anchor=(0.98, 1 - 0.32 / figure.get_figheight()))
        pictures.append(_png(figure))
    return pictures


def draw_histograms(rows, title):
    """Draws each tensor's histogram, in small, counts on a logarithmic scale.

    Args:
        rows: list of plots.Row; those without a histogram are left out.
        title: one line.

    Returns:
        A list of PNG files' bytes, one a page.
    """
    rows = [row for row in rows if row.counts.size]
    size = _COLUMNS * _LINES
    pages = [rows[at:at + size] for at in range(0, len(rows), size)]
    pictures = []
    for number, page in enumerate(pages, 1):
        lines = -(-len(page) // _COLUMNS)
        figure, top, bottom = _new_figure(
            13, 1.95 * lines, title + _page_of(number, pages), head=0.65, foot=0.15)
        cell_width, cell_height = 0.985 / _COLUMNS, (top - bottom) / lines
        for index, row in enumerate(page):
            line, column = divmod(index, _COLUMNS)
            height = figure.get_figheight()
            axes = figure.add_axes([
                0.008 + cell_width * column + 0.034,
                top - cell_height * (line + 1) + 0.36 / height,
                cell_width - 0.050,
                cell_height - 0.80 / height])
            _draw_histogram(axes, row)
        figure.legend(
            handles=[Patch(color=_NARROW, label="count (logarithmic)"),
                     Line2D([], [], color=_ACCENT, linewidth=1, label="median"),
                     Line2D([], [], color=_INK, linewidth=0.8, linestyle=":",
                            label="0.1 % and 99.9 %")],
            loc="upper right", ncol=3, frameon=False, fontsize=8,
            bbox_to_anchor=(0.995, 1 - 0.06 / figure.get_figheight()))
        pictures.append(_png(figure))
    return pictures


def _new_figure(width, height, title, head, foot):
    """Returns a figure with a title, and where its content ends: top and bottom.

    Heights are in inches, top and bottom in parts of the figure."""
    total = height + head + foot
    figure = Figure(figsize=(width, total), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    figure.text(0.012, 1 - 0.12 / total, _plain(_shortened(title, 90)), fontsize=12,
                color=_INK, fontweight="bold", va="top", ha="left")
    return figure, 1 - head / total, foot / total


def _page_of(number, pages):
    return "" if len(pages) == 1 else " (page %d of %d)" % (number, len(pages))


def _draw_range(axes, y, row):
    if row.low is None:
        axes.text(0, y, "  no finite value", fontsize=7, color=_INK, va="center",
                  style="italic")
        return
    low, high = _drawable([row.low, row.high])
    _bar(axes, y, low, high, 0.62, _WIDE)
    if row.quantiles is not None:
        small, quarter, median, three_quarters, large = _drawable(row.quantiles)
        _bar(axes, y, small, large, 0.62, _NARROW)
        _bar(axes, y, quarter, three_quarters, 0.34, _MIDDLE)
        axes.plot([median, median], [y - 0.31, y + 0.31], color=_ACCENT, linewidth=1.6,
                  solid_capstyle="butt", zorder=4)
    # A range of one value has no width, and is to be seen too.
    for end in (low, high):
        axes.plot([end, end], [y - 0.31, y + 0.31], color=_MIDDLE, linewidth=0.9,
                  solid_capstyle="butt", zorder=3)


def _bar(axes, y, low, high, height, color):
    axes.fill_betweenx([y - height / 2, y + height / 2], low, high, color=color,
                       linewidth=0, zorder=2)


def _drawable(values):
    """Brings values to where sums and products of them are no infinity."""
    return np.clip(np.array([float(value) for value in values]), -1e300, 1e300)


def _scale(rows):
    """Returns "linear", or "symlog" and up to where that is linear."""
    sizes = sorted(np.abs(_drawable([row.low, row.high])).max() for row in rows
                   if row.low is not None)
    sizes = [size for size in sizes if size > 0]
    if not sizes or sizes[-1] <= 30 * sizes[0]:
        return "linear", None
    # Most of the tensors, and no more than seven decades.
    typical = sizes[len(sizes) // 10] / 10
    return "symlog", 10.0 ** math.floor(math.log10(max(typical, sizes[-1] * 1e-7)))


def _limits(rows, scale, linear_up_to):
    ends = [end for row in rows for end in (row.low, row.high) if end is not None]
    ends = _drawable(ends or [-1.0, 1.0])
    low, high = min(ends.min(), 0.0), max(ends.max(), 0.0)
    if scale == "symlog":
        # So that the linear part is seen on both sides of zero.
        return (min(low * 1.6, -0.5 * linear_up_to), max(high * 1.6, 0.5 * linear_up_to))
    room = 0.03 * (high - low) or 1.0
    return low - room, high + room


def _thin_out_ticks(axes, linear_up_to):
    """Leaves every second, third … decade of a wide symlog scale, and zero."""
    low, high = axes.get_xlim()
    ticks = [tick for tick in axes.get_xticks()
             if low <= tick <= high and (tick == 0 or abs(tick) > 0.99 * linear_up_to)]
    for step in range(1, 20):
        kept = [tick for tick in ticks if tick == 0
                or round(math.log10(abs(tick))) % step == 0]
        if len(kept) <= 15:
            break
    axes.set_xticks(kept)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axes.minorticks_off()


def _draw_histogram(axes, row):
    counts, edges = _added_up(row.counts, _drawable(row.edges))
    axes.autoscale(False)
    axes.stairs(counts, edges, fill=True, color=_NARROW, linewidth=0)
    axes.set_yscale("log")
    axes.set_ylim(0.5, max(float(counts.max()), 1.0) * 2)
    room = 0.02 * (edges[-1] - edges[0])
    axes.set_xlim(edges[0] - room, edges[-1] + room)
    if row.quantiles is not None:
        small, _, median, _, large = _drawable(row.quantiles)
        axes.axvline(median, color=_ACCENT, linewidth=1)
        for value in (small, large):
            axes.axvline(value, color=_INK, linewidth=0.8, linestyle=":")
    if row.low == row.high:
        axes.set_xticks([float(row.low)])
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4, min_n_ticks=2))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    top = math.floor(math.log10(max(float(counts.max()), 1.0)))
    step = max(1, -(-top // 4))
    axes.set_yticks([10.0 ** power for power in range(0, top + 1, step)])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _count(value)))
    axes.minorticks_off()
    axes.tick_params(labelsize=6.5, length=2)
    axes.set_title("%s %s  " % (row.place, _plain(_shortened(row.op_type, 18)))
                   + _plain(_shortened(_label(row), 30)), fontsize=7.5, loc="left", pad=12,
                   color=_INK)
    count = int(row.counts.sum())
    axes.text(0, 1.02, "%s to %s, %s value%s" % (_number(row.low), _number(row.high),
                                                 format(count, ","), "s"[count == 1:]),
              fontsize=6.5, color="#5b6b7a", transform=axes.transAxes, va="bottom")
    _finish(axes)
    axes.grid(axis="y", color=_FAINT, linewidth=0.6)
    axes.set_axisbelow(True)


def _added_up(counts, edges):
    """Adds neighbouring bins up until there are no more than _BARS."""
    together = -(-counts.size // _BARS)
    padded = np.zeros(-(-counts.size // together) * together)
    padded[:counts.size] = counts
    sums = padded.reshape(-1, together).sum(axis=1)
    return sums, np.append(edges[:-1:together], edges[-1])


def _finish(axes):
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#9aa7b3")
    axes.tick_params(colors=_INK)
    axes.set_axisbelow(True)


def _label(row):
    if row.output["output_index"] == 0:
        return row.name
    return "%s (output %d)" % (row.name, row.output["output_index"])


def _shortened(text, length):
    """Cuts out the middle: names differ at their ends."""
    if len(text) <= length:
        return text
    head = (length - 1) // 2
    return text[:head] + "…" + text[len(text) - (length - 1 - head):]


def _plain(text):
    """Keeps matplotlib from reading a name as a formula, and from warning of
    characters that its font lacks."""
    return "".join(r"\$" if each == "$" else each if ord(each) in _glyphs() else "?"
                   for each in text)


@functools.lru_cache(maxsize=1)
def _glyphs():
    return frozenset(get_font(findfont(FontProperties())).get_charmap())


def _number(value):
    if isinstance(value, int) and abs(value) < 10 ** 9:
        return str(value)
    return "%.5g" % value


def _short(value):
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e5:
        return "%.4g" % value
    mantissa, exponent = ("%.3g" % value if "e" in "%.3g" % value
                          else "%.2e" % value).split("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return "%se%d" % (mantissa, int(exponent))


def _count(value):
    for limit, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return "%.4g%s" % (value / limit, suffix)
    return "%.4g" % value


def _png(figure):
    stream = io.BytesIO()
    # Without the time and version that would make each file another.
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()
