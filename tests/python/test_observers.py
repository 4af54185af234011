"""The observers, on real nets: what they measure is numpy's min and max."""

import glob
import os
import threading

import numpy as np
import pytest

from caffe2.proto import caffe2_pb2
from caffe2.python import core, workspace
from caffe2_quantization import observers

NET_TYPES = ["simple", "simple_refcount", "dag", "prof_dag", "async_simple", "async_dag",
             "async_scheduling"]

INTEGERS = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.int64]


def random_feeds(rng):
    """Returns one array of every type that an observer measures, sizes at random."""
    def shape():
        return rng.randint(1, 20, size=rng.randint(1, 4))

    feeds = {"x": (rng.randn(*shape()) * 10.0 ** rng.uniform(-3, 3)).astype(np.float32)}
    feeds["pair"] = rng.randn(2 * rng.randint(1, 50)).astype(np.float32)
    for dtype in INTEGERS:
        limits = np.iinfo(dtype)
        feeds[np.dtype(dtype).name] = rng.randint(
            limits.min, limits.max, size=shape(), dtype=dtype)
    feeds["double"] = rng.randn(*shape()) * 10.0 ** rng.uniform(-200, 200)
    feeds["bool"] = rng.rand(*shape()) < 0.5
    return feeds


def new_net(name="net"):
    net = core.Net(name)
    net.Proto().name = name  # core.Net numbers the names that were used before
    return net


def every_type_net(name, net_type="simple"):
    """A net with outputs of every type, two of them by one operator."""
    net = new_net(name)
    net.Proto().type = net_type
    net.Proto().num_workers = 4
    prefix = name + "/"
    x = prefix + "x"
    net.Relu([x], [prefix + "relu"])
    net.Sigmoid([prefix + "relu"], [prefix + "sigmoid"])
    net.Negative([x], [prefix + "negative"])
    net.Split([prefix + "pair"], [prefix + "first", prefix + "second"], axis=0)
    net.Cast([x], [prefix + "cast_double"], to=core.DataType.DOUBLE)
    net.FloatToHalf([x], [prefix + "half"])
    net.GT([x, prefix + "relu"], [prefix + "greater"])
    for dtype in INTEGERS:
        each = np.dtype(dtype).name
        net.Copy([prefix + each], [prefix + each + "_copy"])
    net.Copy([prefix + "double"], [prefix + "double_copy"])
    net.Copy([prefix + "bool"], [prefix + "bool_copy"])
    return net


def feed(net, feeds):
    for name, value in feeds.items():
        workspace.FeedBlob(net.Name() + "/" + name, value)


def outputs_of(measured):
    """Returns {tensor name: what was measured of it}."""
    return {output["tensor_name"]: output
            for op in measured["operators"] for output in op["outputs"]}


class Expected(object):
    """numpy's min and max of every output of a net, over its runs so far.

    The values are those of a plain twin of the net: some types of net free a blob
    as soon as it has been used.
    """

    def __init__(self, net):
        twin = caffe2_pb2.NetDef()
        twin.CopyFrom(net.Proto())
        twin.name = self._twin = net.Name() + "/twin"
        twin.type = "simple"
        workspace.CreateNet(twin)
        self._names = [name for op in twin.op for name in op.output]
        self.ranges = {}

    def add_run(self):
        workspace.RunNet(self._twin)
        for name in self._names:
            value = workspace.FetchBlob(name)
            low, high = value.min(), value.max()
            if name in self.ranges:
                low = min(low, self.ranges[name][0])
                high = max(high, self.ranges[name][1])
            self.ranges[name] = (low, high)

    def check(self, measured, low="min", high="max", note=""):
        found = outputs_of(measured)
        assert set(found) == set(self.ranges)
        for name, limits in self.ranges.items():
            # As Python numbers, which are compared without rounding.
            expected = tuple(limit.item() for limit in limits)
            assert (found[name][low], found[name][high]) == expected, (name, note)


@pytest.mark.parametrize("net_type", NET_TYPES)
@pytest.mark.parametrize("seed", range(3))
def test_every_output_and_run_of_every_type_of_net(net_type, seed):
    rng = np.random.RandomState(seed)
    net = every_type_net("net", net_type)
    feed(net, random_feeds(rng))
    workspace.CreateNet(net)
    observers.attach(net)
    expected = Expected(net)
    for run in range(1, 6):
        feed(net, random_feeds(rng))
        workspace.RunNet(net)
        measured = observers.info(net)
        expected.add_run()
        expected.check(measured, note="run %d" % run)
        expected.check(measured, "total_min", "total_max", note="run %d" % run)
        assert measured["runs"] == run
        for name, output in outputs_of(measured).items():
            assert output["runs"] == run
            assert output["shape"] == list(workspace.FetchBlob(name).shape)
            assert output["unsupported_runs"] == 0


@pytest.mark.parametrize("net_type", NET_TYPES)
def test_results_are_the_same_with_and_without_observers(net_type):
    net = every_type_net("net", net_type)
    feed(net, random_feeds(np.random.RandomState(0)))
    workspace.CreateNet(net)
    workspace.RunNet(net)
    names = [name for op in net.Proto().op for name in op.output]
    before = {name: workspace.FetchBlob(name) for name in names}
    with observers.observing(net):
        workspace.RunNet(net)
    for name in names:
        np.testing.assert_array_equal(workspace.FetchBlob(name), before[name], name)


@pytest.mark.parametrize("count", list(range(1, 70)) + [4095, 4096, 4097, 100003])
def test_sizes_around_vectors_and_blocks(count):
    values = np.random.RandomState(count).randn(count).astype(np.float32)
    values[count // 2] = -9
    values[-1] = 9  # where a careless tail would miss it
    workspace.FeedBlob("x", values)
    net = new_net()
    net.Copy(["x"], ["y"])
    net.FloatToHalf(["x"], ["half"])
    workspace.CreateNet(net)
    with observers.observing(net) as observation:
        workspace.RunNet(net)
    for output in outputs_of(observation.info()).values():
        dtype = np.float16 if output["tensor_name"] == "half" else np.float32
        assert (output["min"], output["max"]) == (dtype(values.min()), 9)
        assert output["count"] == count


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("count", [2, 3, 64, 5001])
def test_the_limits_of_an_integer_type(dtype, count):
    limits = np.iinfo(dtype)
    values = np.zeros(count, dtype=dtype)
    values[-2:] = limits.min, limits.max
    net = copying_net(values, dtype)
    with observers.observing(net) as observation:
        workspace.RunNet(net)
    assert y_of(observation.info()) == (limits.min, limits.max)


def copying_net(values, dtype):
    workspace.FeedBlob("x", np.array(values, dtype=dtype))
    net = new_net()
    net.Copy(["x"], ["y"])
    workspace.CreateNet(net)
    return net


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("copies", [1, 1000])
def test_nan_and_infinity_are_counted_and_are_no_limits(dtype, copies):
    values = [np.nan, -2, np.inf, 3, -np.inf, np.inf, 0.5] * copies
    net = copying_net(values, dtype)
    observers.attach(net)
    workspace.RunNet(net)
    output = outputs_of(observers.info(net))["y"]
    assert (output["min"], output["max"]) == (-2, 3)
    assert output["nan"] == copies
    assert output["positive_infinity"] == 2 * copies
    assert output["negative_infinity"] == copies
    assert output["count"] == 7 * copies


@pytest.mark.parametrize("values", [[], [np.nan], [np.inf, -np.inf]])
def test_no_finite_value_means_no_limit(values, tmp_path):
    net = copying_net(values, np.float32)
    observers.attach(net)
    workspace.RunNet(net)
    output = outputs_of(observers.info(net))["y"]
    assert (output["min"], output["max"]) == (None, None)
    assert output["count"] == len(values)
    observers.dump(net, tmp_path / "net.minmax")
    line, = observers.read_minmax(tmp_path / "net.minmax")
    assert (line.min, line.max) == (None, None)


def test_an_output_in_place_is_measured_when_its_operator_has_run():
    workspace.FeedBlob("x", np.float32([-3, 2]))
    net = new_net()
    net.Copy(["x"], ["y"])
    net.Relu(["y"], ["y"])
    net.Negative(["y"], ["y"])
    workspace.CreateNet(net)
    with observers.observing(net) as observation:
        workspace.RunNet(net)
    ranges = [(op["op_index"], op["op_type"], op["outputs"][0]["min"],
               op["outputs"][0]["max"]) for op in observation.info()["operators"]]
    assert ranges == [(0, "Copy", -3, 2), (1, "Relu", 0, 2), (2, "Negative", -2, 0)]


def test_an_output_that_is_no_number_is_counted_as_unsupported():
    workspace.FeedBlob("x", np.array(["a", "b"], dtype=object))
    net = new_net()
    net.Copy(["x"], ["y"])
    workspace.CreateNet(net)
    with observers.observing(net) as observation:
        workspace.RunNet(net)
    output = outputs_of(observation.info())["y"]
    assert output["unsupported_runs"] == 1
    assert (output["min"], output["max"]) == (None, None)


def counting_net(name="net"):
    """A net whose output y is whatever x was."""
    workspace.FeedBlob("x", np.float32([0]))
    net = new_net(name)
    net.Copy(["x"], ["y"])
    workspace.CreateNet(net)
    return net


def run_with(net, *values):
    for value in values:
        workspace.FeedBlob("x", np.float32([value]))
        workspace.RunNet(net)


def y_of(measured, low="min", high="max"):
    output = outputs_of(measured)["y"]
    return output[low], output[high]


@pytest.mark.parametrize("as_argument", [
    lambda net: net, lambda net: net.Proto(), lambda net: net.Name()])
def test_a_net_may_be_given_in_three_ways(as_argument, tmp_path):
    net = counting_net()
    given = as_argument(net)
    observers.attach(given)
    run_with(net, 1, 2)
    assert y_of(observers.info(given)) == (1, 2)
    observers.stop(given)
    observers.resume(given)
    observers.reset(given)
    observers.dump(given, tmp_path / "a.minmax")
    observers.dump_and_reset(given, tmp_path / "b.minmax")
    observers.detach(given)


def test_anything_else_is_no_net():
    with pytest.raises(TypeError, match="expected a core.Net, a NetDef or a name"):
        observers.attach(5)


def test_stop_and_resume():
    net = counting_net()
    observers.attach(net)
    run_with(net, 1)
    observers.stop(net)
    assert observers.info(net)["stopped"]
    run_with(net, 100)
    observers.resume(net)
    assert not observers.info(net)["stopped"]
    run_with(net, 2)
    measured = observers.info(net)
    assert y_of(measured) == (1, 2)
    assert measured["runs"] == 2


def test_reset_forgets_the_ranges_and_keeps_the_totals():
    net = counting_net()
    observers.attach(net)
    run_with(net, 1, 9)
    observers.reset(net)
    assert y_of(observers.info(net)) == (None, None)
    run_with(net, 5)
    measured = observers.info(net)
    assert y_of(measured) == (5, 5)
    assert y_of(measured, "total_min", "total_max") == (1, 9)
    assert outputs_of(measured)["y"]["count"] == 3


def test_detach_and_attach_again():
    net = counting_net()
    observers.attach(net)
    run_with(net, 1)
    observers.detach(net)
    run_with(net, 100)
    with pytest.raises(RuntimeError, match="net 'net' has no OutputMinMaxNetObserver"):
        observers.info(net)
    observers.attach(net)
    run_with(net, 2)
    assert y_of(observers.info(net)) == (2, 2)


def test_attaching_twice_is_refused():
    net = counting_net()
    observers.attach(net)
    with pytest.raises(RuntimeError, match="^OutputMinMaxObserverAttach: net 'net' has an "
                                           "OutputMinMaxNetObserver already"):
        observers.attach(net)


@pytest.mark.parametrize("call", [
    observers.info, observers.dump, observers.reset, observers.stop, observers.resume,
    observers.detach])
def test_an_unknown_net_is_refused(call):
    with pytest.raises(RuntimeError, match="net 'nowhere' has no") as error:
        call("nowhere")
    assert "\n" not in str(error.value)
    assert list(workspace.Blobs()) == []


def test_attaching_to_an_unknown_net_names_those_there_are():
    counting_net("here")
    with pytest.raises(RuntimeError, match="there is no net 'nowhere' .* has: here"):
        observers.attach("nowhere")


def test_info_leaves_no_blob_behind():
    net = counting_net()
    observers.attach(net)
    before = list(workspace.Blobs())
    observers.info(net)
    observers.info()
    assert list(workspace.Blobs()) == before


@pytest.mark.parametrize("options, observed", [
    ({"op_types": ["Relu"]}, ["net/relu"]),
    ({"op_types": "Relu"}, ["net/relu"]),
    ({"outputs": ["net/second"]}, ["net/first", "net/second"]),
    ({"op_types": ["Split", "Relu"], "outputs": ["net/relu", "net/half"]}, ["net/relu"]),
])
def test_chosen_operators(options, observed):
    net = every_type_net("net")
    feed(net, random_feeds(np.random.RandomState(0)))
    workspace.CreateNet(net)
    with observers.observing(net, **options) as observation:
        workspace.RunNet(net)
    assert sorted(outputs_of(observation.info())) == observed


def test_dump_has_the_same_ranges(tmp_path):
    net = every_type_net("net")
    rng = np.random.RandomState(0)
    feed(net, random_feeds(rng))
    workspace.CreateNet(net)
    observers.attach(net)
    expected = Expected(net)
    for _ in range(3):
        feed(net, random_feeds(rng))
        workspace.RunNet(net)
        expected.add_run()
    path = tmp_path / "net.minmax"
    observers.dump(net, path)
    lines = observers.read_minmax(path)
    places = [(index, op.type, output, name) for index, op in enumerate(net.Proto().op)
              for output, name in enumerate(op.output)]
    assert [tuple(line[:4]) for line in lines] == places
    for line in lines:
        low, high = expected.ranges[line.tensor_name]
        # A float's digits are those of its own type.
        assert (low.dtype.type(line.min), high.dtype.type(line.max)) == (low, high), line
    assert os.listdir(str(tmp_path)) == ["net.minmax"]


def test_dump_and_reset(tmp_path):
    net = counting_net()
    observers.attach(net, path=tmp_path / "total.minmax")
    run_with(net, 1, 9)
    observers.dump_and_reset(net, tmp_path / "first.minmax")
    run_with(net, 5)
    observers.dump_and_reset(net, tmp_path / "second.minmax")
    observers.dump(net)
    ranges = {}
    for name in ("first", "second", "total"):
        line, = observers.read_minmax(tmp_path / (name + ".minmax"))
        ranges[name] = (line.min, line.max)
    assert ranges == {"first": (1, 9), "second": (5, 5), "total": (1, 9)}


def test_a_dump_that_fails_loses_nothing(tmp_path):
    net = counting_net()
    observers.attach(net)
    run_with(net, 1, 9)
    with pytest.raises(RuntimeError, match="^OutputMinMaxObserverDump: .*missing"):
        observers.dump_and_reset(net, tmp_path / "missing" / "net.minmax")
    assert y_of(observers.info(net)) == (1, 9)


def test_dump_without_a_path_is_refused():
    net = counting_net()
    observers.attach(net)
    with pytest.raises(RuntimeError, match="no path to dump"):
        observers.dump(net)


def test_dump_freq(tmp_path):
    net = counting_net()
    observers.attach(net, path=tmp_path / "net.minmax", dump_freq=2)
    run_with(net, 1, 2, 3, 4, 5)
    observers.detach(net)
    ranges = {os.path.basename(path): observers.read_minmax(path)[0][4:]
              for path in glob.glob(str(tmp_path / "*"))}
    assert ranges == {"net_1.minmax": (1, 2), "net_2.minmax": (3, 4),
                      "net.minmax": (1, 5)}


def test_dump_freq_without_a_path_is_refused():
    net = counting_net()
    with pytest.raises(RuntimeError, match="dump_freq is 2, but there is no path"):
        observers.attach(net, dump_freq=2)


def test_a_measurement_outlives_its_net(tmp_path):
    net = counting_net()
    path = tmp_path / "net.minmax"
    observers.attach(net, path=path)
    run_with(net, 1, 2)
    workspace.ResetWorkspace()
    assert observers.read_minmax(path)[0][4:] == (1, 2)
    measured = observers.info("net")
    assert not measured["net_alive"]
    assert y_of(measured) == (1, 2)
    observers.detach("net")
    assert observers.info() == []


def test_a_net_that_fails_can_be_measured_again():
    workspace.FeedBlob("x", np.float32([1]))
    workspace.FeedBlob("z", np.float32([1, 2]))
    net = new_net()
    net.Copy(["x"], ["y"])
    net.MatMul(["x", "z"], ["product"])  # refuses these shapes
    workspace.CreateNet(net)
    observers.attach(net)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="MatMul"):
            workspace.RunNet(net)
    assert y_of(observers.info(net)) == (1, 1)
    assert outputs_of(observers.info(net))["y"]["runs"] == 2
    observers.detach(net)


def test_observing_detaches_and_keeps_what_it_saw(tmp_path):
    net = counting_net()
    with observers.observing(net, path=tmp_path / "net.minmax") as observation:
        assert observation.net == "net"
        run_with(net, 1)
        assert y_of(observation.info()) == (1, 1)
        run_with(net, 2)
    assert y_of(observation.info()) == (1, 2)
    assert observers.info() == []
    assert observers.read_minmax(tmp_path / "net.minmax")[0][4:] == (1, 2)


def test_observing_lets_the_block_s_error_through():
    net = counting_net()
    with pytest.raises(KeyError):
        with observers.observing(net) as observation:
            run_with(net, 1)
            raise KeyError("mine")
    assert y_of(observation.info()) == (1, 1)
    assert observers.info() == []


def test_observing_lets_the_block_s_error_through_when_the_dump_fails(tmp_path):
    net = counting_net()
    with pytest.raises(KeyError):
        with observers.observing(net, path=tmp_path / "missing" / "net.minmax"):
            run_with(net, 1)
            raise KeyError("mine")


def test_observing_keeps_the_observer_when_the_dump_fails(tmp_path):
    net = counting_net()
    with pytest.raises(RuntimeError, match="^OutputMinMaxObserverDetach: .*missing"):
        with observers.observing(net, path=tmp_path / "missing" / "net.minmax"):
            run_with(net, 1)
    assert y_of(observers.info(net)) == (1, 1)
    (tmp_path / "missing").mkdir()
    observers.detach(net)
    assert observers.read_minmax(tmp_path / "missing" / "net.minmax")[0][4:] == (1, 1)


def test_later_nets(tmp_path):
    counting_net("before")
    observers.attach_to_later_nets(folder=tmp_path)
    first, second = counting_net("first"), counting_net("a/b")
    observers.stop_attaching_to_later_nets()
    counting_net("after")
    run_with("before", 9)
    run_with("after", 9)
    run_with(first, 1, 2)
    run_with(second, 3)
    assert sorted(measured["net"] for measured in observers.info()) == ["a/b", "first"]
    assert y_of(observers.info(first)) == (1, 2)
    workspace.ResetWorkspace()
    assert sorted(os.listdir(str(tmp_path))) == ["a_b.minmax", "first.minmax"]
    assert observers.read_minmax(tmp_path / "first.minmax")[0][4:] == (1, 2)
    assert observers.read_minmax(tmp_path / "a_b.minmax")[0][4:] == (3, 3)


def test_later_nets_include_those_that_run_once(tmp_path):
    workspace.FeedBlob("x", np.float32([4]))
    net = new_net("once")
    net.Copy(["x"], ["y"])
    observers.attach_to_later_nets(folder=tmp_path)
    workspace.RunNetOnce(net)
    workspace.RunNetOnce(net)
    assert sorted(os.listdir(str(tmp_path))) == ["once.minmax", "once_2.minmax"]


def test_later_nets_after_the_host_forgot_them():
    observers.attach_to_later_nets()
    workspace.ClearGlobalNetObserver()
    counting_net("unseen")
    observers.attach_to_later_nets(op_types=["Copy"])
    counting_net("seen")
    assert [measured["net"] for measured in observers.info()] == ["seen"]


def test_info_of_all_nets():
    assert observers.info() == []
    first, second = counting_net("first"), counting_net("second")
    observers.attach(second)
    observers.attach(first)
    run_with(first, 1)
    assert [(measured["net"], measured["runs"]) for measured in observers.info()] == [
        ("second", 0), ("first", 1)]


def test_timestamps_are_in_order():
    net = counting_net()
    observers.attach(net)
    op = observers.info(net)["operators"][0]
    assert (op["first_record"], op["last_record"]) == ("", "")
    run_with(net, 1, 2)
    measured = observers.info(net)
    op = measured["operators"][0]
    # Of one length and in UTC: they sort as text.
    assert "2" < measured["attached_at"] <= op["first_record"] <= op["last_record"]
    assert measured["attached_at"].endswith("Z")


def test_names_that_need_quotes(tmp_path):
    names = ['with blank', 'with "quotes"', 'back\\slash', 'new\nline']
    net = new_net()
    workspace.FeedBlob("x", np.float32([1, 2]))
    for name in names:
        net.Proto().op.extend([core.CreateOperator("Copy", ["x"], [name])])
    workspace.CreateNet(net)
    with observers.observing(net, path=tmp_path / "net.minmax") as observation:
        workspace.RunNet(net)
    lines = observers.read_minmax(tmp_path / "net.minmax")
    assert [line.tensor_name for line in lines] == names
    assert set(outputs_of(observation.info())) == set(names)


@pytest.mark.parametrize("net_type", NET_TYPES)
def test_two_nets_in_two_threads(net_type):
    runs = 30
    nets = [every_type_net(name, net_type) for name in ("one", "two")]
    for net in nets:
        feed(net, random_feeds(np.random.RandomState(0)))
        workspace.CreateNet(net)
        observers.attach(net)
    expected = [Expected(net) for net in nets]
    errors = []

    def work(net, ranges, seed):
        try:
            rng = np.random.RandomState(seed)
            for _ in range(runs):
                feed(net, random_feeds(rng))
                workspace.RunNet(net)
                ranges.add_run()
        except Exception as error:  # shown by the assertion below
            errors.append(error)

    threads = [threading.Thread(target=work, args=(net, ranges, seed))
               for seed, (net, ranges) in enumerate(zip(nets, expected))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    for net, ranges in zip(nets, expected):
        measured = observers.info(net)
        assert measured["runs"] == runs
        ranges.check(measured, note="seeds 0 and 1")


def test_reading_while_a_net_runs():
    net = counting_net()
    observers.attach(net)
    done = threading.Event()
    errors = []

    def read():
        try:
            while not done.is_set():
                low, high = y_of(observers.info(net))
                assert low is None or low <= high
        except Exception as error:  # shown by the assertion below
            errors.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    run_with(net, *range(300))
    done.set()
    reader.join()
    assert errors == []
    assert y_of(observers.info(net)) == (0, 299)


def test_a_net_def_can_drive_the_observers_itself(tmp_path):
    """The control operators need no Python: a NetDef attaches, runs and dumps."""
    net = counting_net()
    control = caffe2_pb2.NetDef()
    control.name = "control"
    path = str(tmp_path / "net.minmax")
    control.op.extend([
        core.CreateOperator("OutputMinMaxObserverAttach", [], [], net="net", path=path)])
    workspace.RunNetOnce(control)
    run_with(net, 7)
    workspace.RunOperatorOnce(core.CreateOperator(
        "OutputMinMaxObserverDetach", [], [], net="net"))
    assert observers.read_minmax(path)[0][4:] == (7, 7)


@pytest.mark.parametrize("call, message", [
    (lambda net: observers.attach(net, histogram_bin=8),
     r"attach\(\) has no option 'histogram_bin' \(did you mean 'histogram_bins'\?\)"),
    (lambda net: observers.attach_to_later_nets(op_name=["x"]),
     r"attach_to_later_nets\(\) has no option 'op_name' \(did you mean 'op_names'\?\)"),
    (lambda net: observers.observing(net, evry=2).__enter__(),
     r"observing\(\) has no option 'evry' \(did you mean 'every'\?\)"),
])
def test_options_that_there_are_not(call, message):
    with pytest.raises(TypeError, match=message):
        call("net")


def test_types_that_no_later_net_can_have_are_refused():
    with pytest.raises(RuntimeError, match=r"Caffe2 has no operator of type 'Konv' \(did you "
                                           r"mean 'Conv'\?\)"):
        observers.attach_to_later_nets(op_types=["Konv"])
    observers.attach_to_later_nets(op_types=["Conv*"], outputs=["of no net yet"])


@pytest.mark.parametrize("engine, dtype", [("ONEDNN", np.uint8), ("ONEDNN_16", np.uint16)])
def test_codes_of_an_int8_engine(engine, dtype):
    # Codes of 8 or 16 bits: what they stand for is measured, and the codes too.
    net = new_net()
    net.Proto().op.extend([core.CreateOperator(
        "Quantize", ["x"], ["q"], name="first/quantize", engine=engine,
        Y_scale=0.25, Y_zero_point=100)])
    x = np.array([[-3, 0, 0, 1.25, 20]], np.float32)
    workspace.FeedBlob("x", x)
    workspace.CreateNet(net)
    observers.attach(net, histogram_bins=16)
    workspace.RunNet(net)
    operator, = observers.info(net, histograms=True)["operators"]
    output, = operator["outputs"]
    assert operator["op_name"] == "first/quantize"
    assert output["unsupported_runs"] == 0
    codes = (x / 0.25 + 100).astype(dtype)
    assert (output["min"], output["max"]) == (x.min(), x.max())
    assert (output["raw_min"], output["raw_max"]) == (codes.min(), codes.max())
    assert (output["count"], output["zero"]) == (5, 2)
    assert sum(output["histogram"]["counts"]) == 5
