"""Random nets on random data: what a profile holds is exactly what numpy says.

CAFFE2_QUANTIZATION_TEST_NETS says how many nets (1,000);
CAFFE2_QUANTIZATION_TEST_SEED repeats the one that failed.
"""

import os

import numpy as np
import pytest

from caffe2.python import core, workspace
from caffe2_quantization import observers, profiles, qtensor
from reference import MISSING, Observed, finite, output

NETS = int(os.environ.get("CAFFE2_QUANTIZATION_TEST_NETS", 1000))
SEED = os.environ.get("CAFFE2_QUANTIZATION_TEST_SEED")
GROUPS = 20  # of nets, a test each

NET_TYPES = ["simple", "dag", "async_simple", "async_scheduling", "prof_dag"]
INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "int64"]
BINS = [0, 4, 5, 63, 256, 2048, 65536]

DENORMALS = [1e-45, -1e-45, 1e-40, -3e-39]
EXTREMES = [np.finfo(np.float32).max, np.finfo(np.float32).min, 1.17549435e-38]


def random_shape(rng):
    shape = list(rng.randint(1, 12, size=rng.randint(1, 5)))
    if rng.rand() < 0.1:
        shape[rng.randint(len(shape))] = 0
    return shape


def random_floats(rng, shape, dtype=np.float32):
    largest = 300 if dtype == np.float64 else 38
    with np.errstate(all="ignore"):
        if rng.rand() < 0.3:  # of all magnitudes
            values = rng.randn(*shape) * 10.0 ** rng.uniform(-largest - 7, largest, shape)
        else:
            values = rng.randn(*shape) * 10.0 ** rng.uniform(-5, 5) + rng.randn()
        values = values.astype(dtype)
    special = [0.0, -0.0, np.nan, np.inf, -np.inf] + DENORMALS + EXTREMES
    if dtype == np.float64:
        special += [5e-324, -5e-324, 1.7e308, -1.7e308]
    for _ in range(rng.randint(0, 6) if values.size else 0):
        values.flat[rng.randint(values.size)] = special[rng.randint(len(special))]
    if rng.rand() < 0.03:
        values[...] = [np.nan, np.inf, 0.0][rng.randint(3)]
    return values


def random_integers(rng, shape, dtype):
    limits = np.iinfo(dtype)
    if rng.rand() < 0.5:  # near each other, far from zero
        middle = rng.randint(limits.min, limits.max, dtype=dtype)
        low = max(limits.min, int(middle) - 100)
        return rng.randint(low, min(limits.max, low + 200), size=shape, dtype=dtype)
    values = rng.randint(limits.min, limits.max, size=shape, dtype=dtype)
    if values.size:
        values.flat[0] = limits.max
    return values


class RandomNet(object):
    """A net, and the data of its runs."""

    def __init__(self, rng, name):
        self.net = core.Net(name)
        self.net.Proto().name = name
        self.net.Proto().type = NET_TYPES[rng.randint(len(NET_TYPES))]
        self.net.Proto().num_workers = 2
        self._rng = rng
        self._makers = {}  # input: what makes an array of a shape
        self._blobs = 0
        for _ in range(rng.randint(1, 9)):
            getattr(self, "_add_" + KINDS[rng.randint(len(KINDS))])()

    def feeds(self):
        """Returns the data of one run."""
        shape = random_shape(self._rng)
        return {name: make(shape) for name, make in sorted(self._makers.items())}

    def _new(self):
        self._blobs += 1
        return "%s/%d" % (self.net.Name(), self._blobs)

    def _input(self, make):
        name = self._new()
        self._makers[name] = make
        return name

    def _floats(self):
        return self._input(lambda shape: random_floats(self._rng, shape))

    def _add_chain(self):
        """Float operators one after another, some in place."""
        blob = self._floats()
        for _ in range(self._rng.randint(1, 5)):
            op = ["Relu", "Sigmoid", "Negative", "Abs", "Exp", "Log", "Tanh", "Sqr",
                  "Floor", "Copy"][self._rng.randint(10)]
            in_place = op in ("Relu", "Sigmoid", "Tanh", "Negative") and (
                self._rng.rand() < 0.4)
            output = blob if in_place else self._new()
            getattr(self.net, op)([blob], [output])
            blob = output

    def _add_copy(self):
        dtype = (INTEGERS + ["bool", "float64", "float32"])[self._rng.randint(9)]
        if dtype == "bool":
            name = self._input(lambda shape: self._rng.rand(*shape) < 0.5)
        elif dtype.startswith("float"):
            name = self._input(
                lambda shape: random_floats(self._rng, shape, np.dtype(dtype).type))
        else:
            name = self._input(lambda shape: random_integers(self._rng, shape, dtype))
        self.net.Copy([name], [self._new()])

    def _add_half(self):
        half = self._new()
        self.net.FloatToHalf([self._floats()], [half])
        self.net.HalfToFloat([half], [self._new()])

    def _add_compare(self):
        blob = self._floats()
        self.net.LT([blob, blob], [self._new()])
        self.net.Shape([blob], [self._new()])

    def _add_several(self):
        name = self._input(lambda shape: random_floats(
            self._rng, [2 * self._rng.randint(1, 30), self._rng.randint(1, 9)]))
        self.net.Split([name], [self._new(), self._new()], axis=0)
        self.net.TopK([name], [self._new(), self._new()], k=1)

    def _add_missing(self):
        """Dropout makes no mask when it is only tested."""
        self.net.Dropout([self._floats()], [self._new(), self._new()], is_test=1)

    def _add_string(self):
        name = self._new()
        self.net.GivenTensorStringFill([], [name], values=["a", "b"], shape=[2])

    def _add_int8(self):
        name = self._input(
            lambda shape: self._rng.randn(*(max(1, dim) for dim in shape))
            .astype(np.float32))
        quantized = self._new()
        self.net.Int8Quantize([name], [quantized], Y_scale=self._rng.uniform(1e-3, 1),
                              Y_zero_point=self._rng.randint(0, 256))
        self.net.Int8Dequantize([quantized], [self._new()])

    def _add_qtensor(self):
        name = self._input(
            lambda shape: self._rng.randn(*(max(1, dim) for dim in shape))
            .astype(np.float32))
        signed = self._rng.randint(2)
        scale, bias = self._rng.uniform(1e-3, 1), self._rng.uniform(-9, 9)
        self.net.QTensorQuantize(
            [name], [self._new()], precision=self._rng.randint(1, 17), signed=signed,
            scale=scale, bias=bias)


KINDS = sorted(name[5:] for name in dir(RandomNet) if name.startswith("_add_"))


def observe(net, feeds):
    """Runs the operators one by one; returns what each output was just after."""
    for name, value in feeds.items():
        workspace.FeedBlob(name, value)
    seen = []
    for op in net.Proto().op:
        workspace.RunOperatorOnce(op)
        seen.append([look(op, name) for name in op.output])
    return seen


def look(op, name):
    if op.type == "Dropout" and name == op.output[1]:
        return MISSING
    if op.type == "Int8Quantize":
        tensor = workspace.FetchInt8Blob(name)
        steps = tensor.data.astype(np.int64) - tensor.zero_point
        return Observed(np.float32(tensor.scale) * steps.astype(np.float32), tensor.data,
                        "caffe2::int8::Int8TensorCPU")
    if op.type == "QTensorQuantize":
        tensor = qtensor.fetch(name)
        return Observed(tensor.dequantize(), tensor.integers(),
                        "caffe2::QTensor<caffe2::CPUContext>")
    return Observed(workspace.FetchBlob(name))


def check(seed, path):
    rng = np.random.RandomState(seed)
    made = RandomNet(rng, "net%d" % seed)
    net = made.net
    histogram_bins = BINS[rng.randint(len(BINS))]
    runs = []
    for run in range(rng.randint(1, 4)):
        feeds = made.feeds()
        runs.append(observe(net, feeds))
        for name, value in feeds.items():
            workspace.FeedBlob(name, value)
        if run == 0:
            workspace.CreateNet(net)
            observers.attach(net, histogram_bins=histogram_bins)
        workspace.RunNet(net)
    observers.dump(net, path, format="profile", samples=len(runs))
    profile = profiles.read_profile(path)
    assert profile["net_name"] == net.Name()
    assert profile["runs"] == profile["recorded_runs"] == profile["samples"] == len(runs)
    assert profile["options"]["histogram_bins"] == histogram_bins
    assert len(profile["operators"]) == len(net.Proto().op)
    for place, (op, found) in enumerate(zip(net.Proto().op, profile["operators"])):
        assert (found["op_index"], found["step_index"], found["op_type"]) == (
            place, -1, op.type)
        expected = [output(index, name, [seen[place][index] for seen in runs],
                           histogram_bins) for index, name in enumerate(op.output)]
        for index, name in enumerate(op.output):
            assert found["outputs"][index] == expected[index], (op.type, name)
        assert len(found["outputs"]) == len(op.output)
    if histogram_bins == 2048:
        check_text(net, runs, path.with_suffix(".hist"))
    observers.detach(net)
    workspace.ResetWorkspace()


def check_text(net, runs, path):
    """Compares the histogram file with numpy's own histogram."""
    observers.dump(net, path, format="histogram")
    for line in observers.read_histograms(path):
        op = net.Proto().op[line.op_index]
        assert (op.type, op.output[line.output_index]) == (line.op_type,
                                                           line.tensor_name)
        values = np.concatenate([
            finite(seen[line.op_index][line.output_index].values).ravel() for seen in runs
            if seen[line.op_index][line.output_index] is not MISSING])
        # From the first bin that counted anything to the last one.
        assert 1 <= len(line.counts) <= 2048
        assert line.counts[0] > 0 and line.counts[-1] > 0
        assert line.counts.sum() == values.size
        if np.abs(values.astype(np.float64)).max() < 2.0 ** 53:  # numpy counts floats
            expected, _ = np.histogram(values.astype(np.float64), bins=len(line.counts),
                                       range=(line.min, line.max))
            np.testing.assert_array_equal(line.counts, expected.astype(np.uint64))


def test_the_kinds_of_outputs():
    assert len(KINDS) == 9


@pytest.mark.parametrize("group", range(GROUPS) if SEED is None else [SEED])
def test_profiles_hold_what_numpy_says(group, tmp_path):
    seeds = range(group, NETS, GROUPS) if SEED is None else [int(SEED)]
    for seed in seeds:
        try:
            check(seed, tmp_path / "net.profile")
        except BaseException:
            print("CAFFE2_QUANTIZATION_TEST_SEED=%d" % seed)
            raise
