"""add_callback and remove_callback: what they hear, errors, threads, the end."""

import threading

import numpy as np
import pytest

from caffe2.python import core, workspace
from caffe2_quantization import observers

X = np.array([[1, np.nan, np.inf], [0, -5, 6]], np.float32)


def make_net(name="net", net_type="simple", outputs=1):
    workspace.FeedBlob("X", X)
    net = core.Net(name)
    net.Proto().name = name
    net.Proto().type = net_type
    net.Proto().num_workers = 4
    for index in range(outputs):
        net.Copy(["X"], ["%s/Y%d" % (name, index)])
    workspace.CreateNet(net)
    return net


@pytest.fixture
def callback():
    """Adds callbacks; those that are left are removed."""
    handles = []

    def add(function):
        handles.append(observers.add_callback(function))
        return handles[-1]

    yield add
    for handle in handles:
        try:
            observers.remove_callback(handle)
        except KeyError:
            pass


def test_a_record(callback):
    net = make_net()
    observers.attach(net, observer="mine")
    records = []
    handle = callback(records.append)
    workspace.RunNet(net)
    workspace.RunNet(net)
    assert [record.pop("run") for record in records] == [1, 2]
    assert records[0] == records[1] == {
        "net": "net", "observer": "mine", "path": "0", "op_index": 0, "step_index": -1,
        "op_type": "Copy", "op_name": "", "output_index": 0, "tensor_name": "net/Y0",
        "type": "float", "shape": [2, 3], "min": -5.0, "max": 6.0, "raw_min": None, "raw_max": None,
        "count": 6, "zero": 1, "nan": 1, "positive_infinity": 1, "negative_infinity": 0}
    observers.remove_callback(handle)
    workspace.RunNet(net)
    assert len(records) == 2


def test_several_callbacks_hear_of_every_observer_and_net(callback):
    first, second = [], []
    callback(first.append)
    handle = callback(second.append)
    for name in "ab":
        net = make_net(name, outputs=3)
        observers.attach(net)
        observers.attach(net, observer="other")
        workspace.RunNet(net)
    assert first == second
    assert len({(each["net"], each["observer"], each["tensor_name"])
                for each in first}) == len(first) == 12
    observers.remove_callback(handle)
    workspace.RunNet("a")
    assert (len(first), len(second)) == (18, 12)


def test_a_stopped_observer_says_nothing(callback):
    net = make_net()
    observers.attach(net)
    records = []
    callback(records.append)
    observers.stop(net)
    workspace.RunNet(net)
    assert records == []


def test_an_exception_is_shown_once_and_the_net_goes_on(callback, capfd):
    net = make_net(outputs=5)
    observers.attach(net)

    def fail(record):
        raise ValueError("from %s" % record["tensor_name"])

    records = []
    callback(fail)
    callback(records.append)
    for _ in range(3):
        workspace.RunNet(net)
    assert len(records) == 15
    error = capfd.readouterr().err
    assert error.count("ValueError: from net/") == 1
    assert error.count("a callback failed") == 1


def test_handles_that_are_none():
    with pytest.raises(KeyError, match="no callback 12345"):
        observers.remove_callback(12345)
    handle = observers.add_callback(lambda record: None)
    observers.remove_callback(handle)
    with pytest.raises(KeyError):
        observers.remove_callback(handle)


def test_a_callback_that_removes_itself(callback):
    net = make_net(outputs=4)
    observers.attach(net)
    heard = []

    def once(record):
        heard.append(record)
        observers.remove_callback(handle)

    handle = callback(once)
    for _ in range(3):
        workspace.RunNet(net)
    assert len(heard) == 1


def test_a_callback_may_read_the_measurement(callback):
    net = make_net(outputs=2)
    observers.attach(net)
    callback(lambda record: None)
    runs = []
    # Not by Info, which is an operator of this workspace; reading other state is.
    callback(lambda record: runs.append(workspace.HasBlob(record["tensor_name"])))
    workspace.RunNet(net)
    assert runs == [True, True]


@pytest.mark.parametrize("net_type", ["simple", "async_scheduling", "dag"])
def test_removal_while_nets_run_in_other_threads(net_type, callback):
    nets = [make_net("net%d" % index, net_type, outputs=8) for index in range(3)]
    for net in nets:
        observers.attach(net)
    end = threading.Event()

    def run(net):
        while not end.is_set():
            workspace.RunNet(net)

    threads = [threading.Thread(target=run, args=(net,)) for net in nets]
    for thread in threads:
        thread.start()
    try:
        for _ in range(200):
            removed = []
            late = []

            def hear(record, removed=removed, late=late):
                if removed:
                    late.append(record)

            handle = callback(hear)
            observers.remove_callback(handle)
            removed.append(True)
            assert late == []
    finally:
        end.set()
        for thread in threads:
            thread.join(60)
    assert not any(thread.is_alive() for thread in threads)


def test_callbacks_that_are_left_when_python_ends(run_python, plugin_path, tmp_path):
    done = run_python("""
import numpy as np
from caffe2.python import core, workspace
from caffe2_quantization import load, observers
workspace.GlobalInit(["end", "--caffe2_log_level=3"])
load()
workspace.FeedBlob("X", np.zeros(10, np.float32))
net = core.Net("net")
net.Copy(["X"], ["Y"])
workspace.CreateNet(net)
observers.attach(net, path="net.minmax")
observers.add_callback(lambda record: print("heard"))
workspace.RunNet(net)
""", CAFFE2_QUANTIZATION_PLUGIN=plugin_path)
    assert done.stdout == "heard\n"
    assert observers.read_minmax(tmp_path / "net.minmax")[0].max == 0
