"""Pictures of a profile: ranges, histograms, and one HTML page with all numbers."""

import argparse
import collections
import os
import sys

from caffe2_quantization import _report
from caffe2_quantization._library import host
from caffe2_quantization.profiles import histogram, quantiles, read_profile

Plots = collections.namedtuple("Plots", ["ranges", "histograms", "page"])
Plots.__doc__ = """What ``plot_profile`` wrote.

Attributes:
    ranges: paths of the PNG pages with each tensor's range.
    histograms: paths of the PNG pages with each tensor's histogram; none if the
        profile has no histograms.
    page: path of the HTML page. It needs no other file.
"""

# Of a row's `quantiles`.
FRACTIONS = (0.001, 0.25, 0.5, 0.75, 0.999)


class Row(object):
    """One tensor of a profile.

    Attributes:
        place: the operator's path; "input" of an external input.
        op_type: its type; "" of an external input.
        output: the output's dict.
        name: the tensor's name.
        low: the smallest finite value; None when there was none.
        high: the largest one.
        counts: its histogram's counts; empty when there is none.
        edges: the edges of its bins.
        quantiles: values at FRACTIONS; None without a histogram.
    """

    def __init__(self, place, op_type, output):
        self.place = place
        self.op_type = op_type
        self.output = output
        self.name = output["tensor_name"]
        limits = output["range"]
        self.low, self.high = (limits["min"], limits["max"]) if limits else (None, None)
        self.counts, self.edges = histogram(output["histogram"])
        self.quantiles = None
        if limits and self.counts.size:
            self.quantiles = quantiles(output["histogram"], FRACTIONS,
                                       (float(self.low), float(self.high)))


def plot_profile(profile, folder):
    """Draws a profile to PNG files and one HTML page.

    Args:
        profile: a profile's path, or what ``read_profile`` returns.
        folder: where the files go; made if it is not there.

    Returns:
        Plots: "ranges.png", "histograms.png" (with "_2", "_3" … where a picture
        takes several pages) and "profile.html".

    Raises:
        ImportError: matplotlib is missing.
        RuntimeError: the profile cannot be read.
    """
    try:
        from caffe2_quantization import _figures
    except ImportError as error:
        raise ImportError("plot_profile needs matplotlib, which cannot be imported (%s): "
                          "script/setup installs it, or pip install 'matplotlib>=3.5'"
                          % error) from error
    if not isinstance(profile, dict):
        profile = read_profile(profile)
    rows = [Row("input", "", each) for each in profile["inputs"]]
    rows += [Row(op["path"], op["op_type"], output)
             for op in profile["operators"] for output in op["outputs"]]
    folder = os.fspath(folder)
    os.makedirs(folder, exist_ok=True)
    title = _title(profile)
    ranges = _figures.draw_ranges(rows, title)
    histograms = _figures.draw_histograms(rows, title)
    page = os.path.join(folder, "profile.html")
    with open(page, "w", encoding="utf-8", errors="replace") as stream:
        stream.write(_report.page(profile, rows, title, ranges, histograms))
    return Plots(_write(folder, "ranges", ranges),
                 _write(folder, "histograms", histograms), page)


def _title(profile):
    parts = ["%s run%s" % (format(profile["recorded_runs"], ","),
                           "" if profile["recorded_runs"] == 1 else "s")]
    if profile["samples"]:
        parts.append("%s samples" % format(profile["samples"], ","))
    return "%s: %s" % (profile["net_name"] or "net without a name", ", ".join(parts))


def _write(folder, stem, pictures):
    paths = []
    for number, picture in enumerate(pictures, 1):
        suffix = "" if number == 1 else "_%d" % number
        paths.append(os.path.join(folder, stem + suffix + ".png"))
        with open(paths[-1], "wb") as stream:
            stream.write(picture)
    return paths


def main(arguments=None):
    """The command: python -m caffe2_quantization.plot_profile PROFILE -o FOLDER."""
    parser = argparse.ArgumentParser(
        prog="plot_profile", description="Draws ranges and histograms of a profile to "
        "PNG files and one HTML page.")
    parser.add_argument("profile", help="the profile, binary or JSON")
    parser.add_argument("-o", "--output", required=True, metavar="FOLDER",
                        help="where the files go")
    parsed = parser.parse_args(arguments)
    try:
        _, workspace = host()
        # Before any other call, or the host warns.
        workspace.GlobalInit(["plot_profile", "--caffe2_log_level=3"])
        plots = plot_profile(parsed.profile, parsed.output)
    except (ImportError, OSError, RuntimeError) as error:
        print("plot_profile: %s" % error, file=sys.stderr)
        return 1
    for path in plots.ranges + plots.histograms + [plots.page]:
        print(path)
    return 0
