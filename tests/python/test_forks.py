"""Processes that are forked after int8 nets ran and were observed."""

import ctypes
import multiprocessing
import os
import signal
import threading
import time

import numpy as np
import pytest

import caffe2_quantization
from caffe2.python import core, workspace
from caffe2_quantization import observers, profiles

LIMIT = 60  # seconds, after which a child has hung


@pytest.fixture(autouse=True)
def two_threads():
    """OpenMP's pool has two threads, of which no child has the second."""
    with open("/proc/self/maps") as maps:
        path = next(line.split()[-1] for line in maps if "libgomp" in line)
    openmp = ctypes.CDLL(path)
    before = openmp.omp_get_max_threads()
    openmp.omp_set_num_threads(2)
    yield
    openmp.omp_set_num_threads(before)


def make_net(name="net", engine="ONEDNN", **arguments):
    rng = np.random.RandomState(0)
    workspace.FeedBlob("w", rng.randn(256, 512).astype(np.float32))
    workspace.FeedBlob("b", rng.randn(256).astype(np.float32))
    net = core.Net(name)
    net.Proto().name = name
    net.Proto().op.extend([
        core.CreateOperator("FC", ["x", "w", "b"], ["y"], engine=engine, **arguments),
        core.CreateOperator("Dequantize", ["y"], ["z"], engine=engine)])
    net.Proto().external_input.extend(["x", "w", "b"])
    return net


def make_x(rows, seed=1):
    return np.random.RandomState(seed).randn(rows, 512).astype(np.float32)


@pytest.fixture(params=[{}, {"Y_scale": 1.0, "Y_zero_point": 128}],
                ids=["chosen", "given"])
def net(request):
    """A net that has run: the engine's threads are there."""
    net = make_net(**request.param)
    workspace.FeedBlob("x", make_x(256))
    workspace.CreateNet(net)
    workspace.RunNet("net")
    return net


def run_net(name="net"):
    workspace.FeedBlob("z", np.zeros(1, np.float32))
    workspace.RunNet(name)
    return workspace.FetchBlob("z")


def in_child(function):
    """Runs a function in a forked process and checks that it ends well."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            function()
            status = 0
        finally:
            os._exit(status)
    start = time.time()
    while time.time() - start < LIMIT:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            assert status == 0
            return
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    pytest.fail("the child had not ended after %d seconds" % LIMIT)


def test_a_child_gets_the_results_of_its_parent(net):
    expected = run_net()

    def child():
        np.testing.assert_array_equal(run_net(), expected)
        own = make_net("own")
        workspace.CreateNet(own)
        workspace.RunNet("own")

    in_child(child)


def _worker(seed):
    workspace.FeedBlob("x", make_x(256, seed))
    return run_net()


def test_a_pool_of_processes(net):
    expected = [_worker(seed) for seed in range(8)]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found = pool.map_async(_worker, range(8)).get(LIMIT)
    for one, other in zip(found, expected):
        np.testing.assert_array_equal(one, other)


def test_what_is_measured_stays_with_its_process(net, tmp_path):
    path, own = tmp_path / "parent.minmax", tmp_path / "child.minmax"
    observers.attach(net, path)
    workspace.RunNet("net")
    observers.dump(net)
    workspace.RunNet("net")  # is in no file yet
    written = path.read_bytes()

    def child():
        assert observers.info() == []
        with pytest.raises(RuntimeError, match="attached before the process was forked"):
            observers.info(net)
        with pytest.raises(RuntimeError, match="no OutputMinMaxNetObserver"):
            observers.detach(net)
        with observers.observing(net, own) as observation:
            run_net()
        assert observation.info()["runs"] == 1
        observers.attach(net)
        run_net()
        observers.dump(net, str(own) + ".profile", format="profile")
        assert profiles.read_profile(str(own) + ".profile")["runs"] == 1
        workspace.ResetWorkspace()  # nets that end

    in_child(child)
    assert path.read_bytes() == written
    assert len(observers.read_minmax(own)) == 2
    assert observers.info(net)["runs"] == 2


# A child that ends in order, as a program does.
PROGRAM = """
import os, sys
import numpy as np
import caffe2_quantization
from caffe2.python import core, workspace
from caffe2_quantization import observers
workspace.GlobalInit(["program", "--caffe2_log_level=3"])
caffe2_quantization.load(sys.argv[1])
net = core.Net("net")
net.Copy(["x"], ["y"])
workspace.FeedBlob("x", np.ones(3, np.float32))
workspace.CreateNet(net)
observers.attach(net, "parent.minmax")
observers.attach_to_later_nets(".")
observers.add_callback(lambda record: None)
workspace.RunNet(net)
observers.dump(net)
workspace.RunNet(net)
before = os.stat("parent.minmax")
if os.fork() == 0:
    later = core.Net("later")
    later.Copy(["x"], ["y"])
    workspace.CreateNet(later)
    workspace.RunNet(later)
    sys.exit(3)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 3 if hasattr(
    os, "waitstatus_to_exitcode") else os.wait()[1] == 3 << 8
after = os.stat("parent.minmax")
assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
assert os.listdir(".") == ["parent.minmax"]
"""


def test_a_child_that_ends_in_order_writes_nothing_of_its_parent(run_python, plugin_path,
                                                                 tmp_path):
    run_python(PROGRAM, plugin_path)
    assert os.listdir(str(tmp_path)) == ["parent.minmax"]  # its parent's, at its end


def test_children_of_a_process_that_is_observed_meanwhile(net):
    done = threading.Event()
    failed = []

    def observe():
        try:
            while not done.is_set():
                observers.attach(net, observer="busy", histogram_bins=64)
                workspace.RunNet("net")
                observers.info(net, "busy", histograms=True)
                observers.detach(net, "busy")
        except Exception as error:
            failed.append(error)

    workspace.CreateNet(make_net("other"))
    expected = run_net("other")
    thread = threading.Thread(target=observe)
    thread.start()
    try:
        for _ in range(10):
            def child():
                assert observers.info() == []
                observers.attach("other")
                workspace.RunNet("other")
                assert observers.info("other")["runs"] == 1
                np.testing.assert_array_equal(workspace.FetchBlob("z"), expected)

            in_child(child)
    finally:
        done.set()
        thread.join()
    assert failed == []


def test_calibrate_in_children(tmp_path):
    batches = [{"x": make_x(4, seed)} for seed in range(6)]
    output = str(tmp_path / "profile")
    net = make_net("calibrated")
    expected = caffe2_quantization.calibrate(net, batches)
    del expected["provenance"]

    def calibrate(path):
        profile = caffe2_quantization.calibrate(net, batches, path)
        del profile["provenance"]
        assert profile == expected

    in_child(lambda: calibrate(output + ".first"))

    # While the parent calibrates; and a child that leaves the block by an error.
    def forking():
        for index, batch in enumerate(batches):
            if index == 2:
                in_child(lambda: calibrate(output + ".second"))
                pid = os.fork()
                if pid == 0:
                    raise KeyboardInterrupt
                assert os.waitpid(pid, 0)[1] == 0
                assert sorted(os.listdir(str(tmp_path))) == [
                    "profile.first", "profile.lock", "profile.second"]
            yield batch

    parent = os.getpid()
    try:
        profile = caffe2_quantization.calibrate(net, forking(), output)
    except KeyboardInterrupt:
        if os.getpid() != parent:
            os._exit(0)
        raise
    finally:
        if os.getpid() != parent:
            os._exit(1)
    del profile["provenance"]
    assert profile == expected
    assert sorted(os.listdir(str(tmp_path))) == [
        "profile", "profile.first", "profile.second"]
