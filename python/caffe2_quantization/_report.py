"""The HTML page of a profile: one file, which links to nothing."""

import base64
import datetime
import html

import numpy as np

_STYLE = """
body { font: 14px/1.45 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
       color: #22303c; background: #fff; margin: 24px auto; max-width: 1500px;
       padding: 0 20px; }
h1 { font-size: 22px; margin: 0 0 4px; }
h2 { font-size: 17px; margin: 32px 0 8px; border-bottom: 1px solid #e4e8ec;
     padding-bottom: 4px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 8px 0; }
dt { color: #5b6b7a; } dd { margin: 0; overflow-wrap: anywhere; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-size: 12.5px; font-variant-numeric: tabular-nums; }
th, td { padding: 3px 9px; text-align: right; white-space: nowrap; }
th { position: sticky; top: 0; background: #f3f5f7; font-weight: 600; cursor: pointer;
     user-select: none; border-bottom: 1px solid #c9d2da; }
th:hover { background: #e4e8ec; }
th[aria-sort=ascending]::after { content: " ▲"; font-size: 9px; }
th[aria-sort=descending]::after { content: " ▼"; font-size: 9px; }
.text { text-align: left; }
tbody tr:nth-child(even) { background: #fafbfc; }
tbody tr:hover { background: #eef4fb; }
.warn { color: #c2410c; font-weight: 600; }
.none { color: #9aa7b3; }
svg { display: block; } input { font: inherit; padding: 4px 8px; margin: 0 0 8px;
     border: 1px solid #c9d2da; border-radius: 4px; width: 260px; }
img { max-width: 100%; height: auto; display: block; margin: 0 0 12px; }
"""

_SCRIPT = """
var body = document.querySelector("tbody");
var heads = document.querySelectorAll("th");
function key(row, column) {
  var cell = row.cells[column];
  var value = cell.getAttribute("data-value");
  return value === null ? cell.textContent : value === "" ? null : Number(value);
}
heads.forEach(function (head, column) {
  head.addEventListener("click", function () {
    var down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach(function (each) { each.removeAttribute("aria-sort"); });
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    Array.from(body.rows).sort(function (a, b) {
      var x = key(a, column), y = key(b, column);
      if (x === null || y === null) return (x === null) - (y === null);
      var order = typeof x === "number" ? x - y : x.localeCompare(y);
      return down ? -order : order;
    }).forEach(function (row) { body.appendChild(row); });
  });
});
document.querySelector("input").addEventListener("input", function () {
  var wanted = this.value.toLowerCase();
  Array.from(body.rows).forEach(function (row) {
    var text = row.cells[1].textContent + " " + row.cells[3].textContent;
    row.hidden = text.toLowerCase().indexOf(wanted) < 0;
  });
});
"""

_BARS = 48  # of the histogram in a row


def page(profile, rows, title, ranges, histograms):
    """Makes the page.

    Args:
        profile: the profile's dict.
        rows: list of plots.Row.
        title: one line.
        ranges: list of PNG files' bytes.
        histograms: likewise.

    Returns:
        The HTML text.
    """
    parts = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        "<title>%s</title>\n<style>%s</style>\n</head>\n<body>\n<h1>%s</h1>\n"
        % (_text(title), _STYLE, _text(title)),
        _header(profile, rows),
        "<h2>Ranges</h2>\n", _pictures(ranges, "range of each tensor"),
        "<h2>Numbers</h2>\n"
        '<input type="search" placeholder="type or tensor …" aria-label="show only">\n',
        _table(rows),
    ]
    if histograms:
        parts += ["<h2>Histograms</h2>\n",
                  _pictures(histograms, "histogram of each tensor")]
    parts.append("<script>%s</script>\n</body>\n</html>\n" % _SCRIPT)
    return "".join(parts)


def _header(profile, rows):
    options = profile["options"]
    provenance = profile["provenance"]
    facts = [
        ("tensors", format(len(rows), ",")),
        ("runs", "%s, of which recorded %s" % (format(profile["runs"], ","),
                                               format(profile["recorded_runs"], ","))),
        ("samples", format(profile["samples"], ",") if profile["samples"] else "unknown"),
        ("hash of the net", profile["net_hash"] or "unknown"),
        ("histograms", "up to %d bins" % options["histogram_bins"]
         if options["histogram_bins"] else "none"),
    ]
    for name, label in (("op_types", "only operators of the types"),
                        ("op_names", "only operators named"),
                        ("outputs", "only operators with an output"),
                        ("inputs", "only external inputs named")):
        if options[name]:
            facts.append((label, ", ".join(options[name])))
    if options["every"] != 1:
        facts.append(("recorded", "every %d runs" % options["every"]))
    if options["run_limit"]:
        facts.append(("recorded", "%d runs at most" % options["run_limit"]))
    if provenance["first_record_ns"]:
        facts.append(("time", "%s to %s" % (_time(provenance["first_record_ns"]),
                                            _time(provenance["last_record_ns"]))))
    if provenance["hosts"]:
        facts.append(("machines", ", ".join(provenance["hosts"])))
    if profile["forced"]:
        facts.append(("merged by force", "; ".join(profile["forced"])))
    return "<dl>\n%s</dl>\n" % "".join(
        "<dt>%s</dt><dd>%s</dd>\n" % (_text(label), _text(value)) for label, value in facts)


_COLUMNS = (
    ("op", ""), ("type", "text"), ("out", ""), ("tensor", "text"), ("holds", "text"),
    ("shapes", "text"), ("min", ""), ("0.1 %", ""), ("median", ""), ("99.9 %", ""),
    ("max", ""), ("histogram", "text"), ("values", ""), ("zeros", ""), ("NaN", ""),
    ("+inf", ""), ("−inf", ""), ("runs", ""), ("without values", ""),
)


def _table(rows):
    lines = ['<div class="table"><table>\n<thead><tr>']
    lines += ['<th class="%s">%s</th>' % (kind, _text(name)) for name, kind in _COLUMNS]
    lines.append("</tr></thead>\n<tbody>\n")
    lines += [_row(order, row) for order, row in enumerate(rows)]
    lines.append("</tbody>\n</table></div>\n")
    return "".join(lines)


def _row(order, row):
    output = row.output
    count = output["count"]
    quantiles = [None] * 5 if row.quantiles is None else row.quantiles
    zeros = 100.0 * output["zero_count"] / count if count else None
    absent = output["missing_runs"] + output["unsupported_runs"] + output["empty_runs"]
    cells = [
        _cell(row.place, order),
        _cell(row.op_type, kind="text"),
        _cell(str(output["output_index"]), output["output_index"]),
        _cell(row.name, kind="text"),
        _cell(", ".join(output["types"]), kind="text"),
        _cell(_shapes(output), kind="text"),
        _value(row.low), _value(quantiles[0]), _value(quantiles[2]), _value(quantiles[4]),
        _value(row.high),
        '<td class="text" data-value="%d">%s</td>' % (count, _sparkline(row)),
        _cell(format(count, ","), count),
        _cell("" if zeros is None else "%.3g %%" % zeros, "" if zeros is None else zeros),
        _alarm(output["nan_count"]),
        _alarm(output["positive_infinity_count"]),
        _alarm(output["negative_infinity_count"]),
        _cell(format(output["runs"], ","), output["runs"]),
        _alarm(absent),
    ]
    return "<tr>%s</tr>\n" % "".join(cells)


def _cell(text, value=None, kind=""):
    attributes = ' class="%s"' % kind if kind else ""
    if value is not None:
        attributes += ' data-value="%s"' % value
    return "<td%s>%s</td>" % (attributes, _text(text))


def _value(value):
    if value is None:
        return _cell("–", "", "none")
    if isinstance(value, int):
        return _cell(str(value), value)
    return _cell("%.6g" % value, repr(float(value)))


def _alarm(count):
    return _cell(format(count, ","), count, "warn" if count else "none")


def _shapes(output):
    texts = ["×".join(str(dim) for dim in shape["dims"]) or "scalar"
             for shape in output["shapes"]]
    return ", ".join(texts) + (", …" if output["more_shapes"] else "")


def _sparkline(row):
    """A histogram of 96 by 18 pixels, its heights the logarithms of the counts."""
    if not row.counts.size:
        return ""
    together = -(-row.counts.size // _BARS)
    padded = np.zeros(-(-row.counts.size // together) * together)
    padded[:row.counts.size] = row.counts
    sums = padded.reshape(-1, together).sum(axis=1)
    heights = 18 * np.log1p(sums) / np.log1p(sums.max())
    width = 96.0 / sums.size
    path = "".join("M%.4g 18v-%.3gh%.4gv%.3gz" % (index * width, height, width, height)
                   for index, height in enumerate(heights) if height > 0)
    return ('<svg width="96" height="18" viewBox="0 0 96 18" role="img" '
            'aria-label="histogram"><path d="%s" fill="#5b8fc7"/></svg>' % path)


def _pictures(pictures, what):
    return "".join('<img alt="%s" src="data:image/png;base64,%s">\n'
                   % (what, base64.b64encode(picture).decode("ascii"))
                   for picture in pictures)


def _time(nanoseconds):
    time = datetime.datetime.fromtimestamp(nanoseconds // 10 ** 9, datetime.timezone.utc)
    return time.strftime("%Y-%m-%d %H:%M:%S UTC")


def _text(text):
    return html.escape("".join(each if each.isprintable() else "?" for each in text))
