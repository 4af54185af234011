"""plot_profile: every file is there, every tensor is on the page, nothing else is."""

import html.parser
import re

import numpy as np
import pytest

import caffe2_quantization
import reference

Image = pytest.importorskip("PIL.Image")

SEED = 20260131


def many_outputs(count):
    rng = np.random.RandomState(SEED)
    outputs = []
    for index in range(count):
        values = rng.randn(rng.randint(1, 2000)) * 10.0 ** rng.uniform(-4, 4)
        outputs.append(("Conv", "scope/layer_%d" % index, values.astype(np.float32)))
    return outputs


ODD = [
    ("Copy", "all_nan", np.full(3, np.nan, np.float32)),
    ("Copy", "empty", np.zeros([0, 4], np.float32)),
    ("Copy", "zero", np.zeros(1, np.float32)),
    ("Copy", "one_value", np.full(5, -2.5, np.float32)),
    ("Copy", "denormal", np.array([1e-45, -1e-40], np.float32)),
    ("Copy", "huge", np.array([-1e300, 1e300])),
    ("Copy", "largest", np.array([-1.7e308, 1.7e308])),
    ("Copy", "int64", np.array([-2 ** 63, 2 ** 63 - 1])),
    ("Copy", "bool", np.array([True, False])),
    ("$\\frac{1}{2}$ & <script>alert(1)</script>", "a \"b\" $x_1$ \n\x1b[31m <b>\u4e2d",
     np.arange(9, dtype=np.int32)),
]


def sizes(paths):
    result = []
    for path in paths:
        with Image.open(path) as image:
            result.append(image.size)
    return result


def read(path):
    with open(path, "rb") as stream:
        return stream.read()


class Page(html.parser.HTMLParser):
    """What the page holds: its tags, its links, the text of its cells."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.rows, self._cell = [], [], [], None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href")]
        if tag == "tr":
            self.rows.append([])
        elif tag == "td":
            self._cell = ""

    def handle_data(self, data):
        if self._cell is not None:
            self._cell += data

    def handle_endtag(self, tag):
        if tag == "td":
            self.rows[-1].append(self._cell)
            self._cell = None


@pytest.mark.parametrize("count", [0, 1, 3, 24, 25, 60, 81])
def test_pages_for_any_number_of_tensors(tmp_path, count):
    profile = reference.profile(many_outputs(count))
    plots = caffe2_quantization.plot_profile(profile, tmp_path / "new" / "folder")
    assert len(plots.ranges) == max(1, -(-count // 80))
    assert len(plots.histograms) == -(-count // 24)
    for width, height in sizes(plots.ranges + plots.histograms):
        assert width < 2000 and height < 3000
    page = Page(read(plots.page).decode("utf-8"))
    assert page.tags.count("img") == len(plots.ranges) + len(plots.histograms)
    assert [row[3] for row in page.rows[1:]] == ["scope/layer_%d" % i for i in range(count)]


def test_odd_values_and_names(tmp_path):
    profile = reference.profile(ODD, name="net <&> $x$")
    plots = caffe2_quantization.plot_profile(profile, tmp_path)
    text = read(plots.page).decode("utf-8")
    page = Page(text)
    assert page.tags.count("script") == 1
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    assert "http" not in re.sub(r"base64,[^\"]*", "", text)
    rows = {row[3]: row for row in page.rows[1:]}
    assert len(rows) == len(ODD)
    assert rows["int64"][6] == str(-2 ** 63) and rows["int64"][10] == str(2 ** 63 - 1)
    assert rows["all_nan"][6] == "–" and rows["all_nan"][14] == "3"
    assert rows["zero"][13] == "100 %"


def test_without_histograms(tmp_path):
    profile = reference.profile(ODD, histogram_bins=0)
    plots = caffe2_quantization.plot_profile(profile, tmp_path)
    assert plots.histograms == []
    assert len(plots.ranges) == 1


def test_the_same_profile_makes_the_same_files(tmp_path):
    profile = reference.profile(many_outputs(5))
    first, second = (caffe2_quantization.plot_profile(profile, tmp_path / name)
                     for name in "ab")
    for path, other in zip(first.ranges + first.histograms + [first.page],
                           second.ranges + second.histograms + [second.page]):
        assert read(path) == read(other)


def test_quantiles_are_numpys_to_a_bin():
    from caffe2_quantization import profiles

    rng = np.random.RandomState(SEED)
    for _ in range(50):
        values = rng.standard_t(2, size=rng.randint(1, 3000)).astype(np.float32)
        bins = reference.histogram(values, 2048)
        fractions = rng.rand(20)
        found = profiles.quantiles(bins, fractions, (values.min(), values.max()))
        ordered = np.sort(values)
        # A value of a histogram's quantile lies in the bin of one of its neighbours.
        at = fractions * values.size
        low = ordered[np.clip(np.floor(at).astype(int) - 1, 0, values.size - 1)]
        high = ordered[np.clip(np.ceil(at).astype(int), 0, values.size - 1)]
        width = 2.0 ** bins["exponent"]
        assert np.all(found >= low - width) and np.all(found <= high + width)


def test_a_missing_matplotlib_is_named(run_python):
    done = run_python("""
import sys
sys.modules["matplotlib"] = None
from caffe2_quantization.plots import plot_profile
try:
    plot_profile({}, "folder")
except ImportError as error:
    print(error)
""")
    assert done.stdout.startswith("plot_profile needs matplotlib, which cannot be imported")


def test_the_command(tmp_path, run_python, plugin_path):
    missing = tmp_path / "missing.profile"
    done = run_python("""
import subprocess, sys
done = subprocess.run([sys.executable, "-m", "caffe2_quantization.plot_profile",
                       sys.argv[1], "-o", "folder"], stderr=subprocess.PIPE)
print(done.returncode, done.stderr.decode())
""", missing, CAFFE2_QUANTIZATION_PLUGIN=plugin_path)
    assert done.stdout.startswith("1 ")
    assert "plot_profile: " in done.stdout and "missing.profile" in done.stdout
