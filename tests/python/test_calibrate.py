"""calibrate: any iterable to a profile; resumed, merged, refused, killed."""

import functools
import glob
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import caffe2_quantization
import conftest
from caffe2.python import core, workspace
from caffe2_quantization import observers, profiles
from caffe2_quantization._path_lock import locked

SEED = 20260131


def make_net(name="net"):
    rng = np.random.RandomState(0)
    workspace.FeedBlob("W", rng.randn(5, 8).astype(np.float32))
    workspace.FeedBlob("b", rng.randn(5).astype(np.float32))
    net = core.Net(name)
    net.Proto().name = name
    net.FC(["data", "W", "b"], ["fc"])
    net.Relu(["fc"], ["relu"])
    net.Softmax(["relu"], ["softmax"])
    return net


def make_batches(count, seed=SEED):
    rng = np.random.RandomState(seed)
    return [{"data": (rng.randn(rng.randint(1, 9), 8) * 10.0 ** rng.randint(-3, 4))
             .astype(np.float32)} for _ in range(count)]


def without_provenance(path):
    profile = profiles.read_profile(path)
    return {name: value for name, value in profile.items() if name != "provenance"}


def read(path):
    with open(path, "rb") as stream:
        return stream.read()


def stripped(path):
    """A profile's bytes without the provenance, which is in them once."""
    profile = profiles.read_profile(path)
    size = 0

    def varint(value):
        encoded = bytearray()
        while value > 127:
            encoded.append(value & 127 | 128)
            value >>= 7
        encoded.append(value)
        return bytes(encoded)

    provenance = profile["provenance"]
    message = b"\x08" + varint(provenance["first_record_ns"])
    message += b"\x10" + varint(provenance["last_record_ns"])
    for name in provenance["hosts"]:
        message += b"\x1a" + varint(len(name)) + name.encode()
    field = b"\x5a" + varint(len(message)) + message
    data = read(path)
    assert data.count(field) == 1
    return data.replace(field, b"")


@pytest.fixture
def output(tmp_path):
    return str(tmp_path / "net.profile")


# --- What it measures --------------------------------------------------------------


def test_it_measures_what_observers_do(output):
    batches = make_batches(20)
    profile = caffe2_quantization.calibrate(make_net(), batches, output)
    assert os.listdir(os.path.dirname(output)) == ["net.profile"]
    assert profile == profiles.read_profile(output)
    assert (profile["runs"], profile["samples"]) == (
        20, sum(len(batch["data"]) for batch in batches))
    everything = np.concatenate([batch["data"] for batch in batches])
    fc, relu, softmax = [op["outputs"][0] for op in profile["operators"]]
    expected = everything.dot(workspace.FetchBlob("W").T) + workspace.FetchBlob("b")
    assert fc["count"] == expected.size
    np.testing.assert_allclose([fc["range"]["min"], fc["range"]["max"]],
                               [expected.min(), expected.max()], rtol=1e-5)
    assert relu["range"]["min"] == 0
    counts, edges = profiles.histogram(softmax["histogram"])
    assert counts.sum() == softmax["count"] and edges[0] >= 0
    assert observers.info() == []  # none is left


@pytest.mark.parametrize("form", ["dicts", "tuples", "lists", "arrays", "generator"])
def test_forms_of_batches(form, output):
    batches = make_batches(5)
    expected = caffe2_quantization.calibrate(make_net(), batches)
    workspace.ResetWorkspace()
    arrays = [batch["data"] for batch in batches]
    form = {"dicts": batches, "tuples": [(array,) for array in arrays],
            "lists": [[array] for array in arrays], "arrays": arrays,
            "generator": (batch for batch in batches)}[form]
    found = caffe2_quantization.calibrate(make_net(), form)
    for profile in (expected, found):
        del profile["provenance"]
    assert found == expected


def test_several_inputs_in_their_order():
    net = core.Net("net")
    net.Sub(["first", "second"], ["difference"])
    ones, threes = np.ones(2, np.float32), np.full(2, 3, np.float32)
    profile = caffe2_quantization.calibrate(net, [(ones, threes)])
    assert profile["operators"][0]["outputs"][0]["range"]["min"] == -2
    profile = caffe2_quantization.calibrate(net, [(ones, threes)],
                                            inputs=["second", "first"])
    assert profile["operators"][0]["outputs"][0]["range"]["min"] == 2


def test_a_net_that_is_there_and_options(output):
    net = make_net()
    workspace.FeedBlob("data", np.zeros([1, 8], np.float32))
    workspace.CreateNet(net)
    profile = caffe2_quantization.calibrate(
        "net", make_batches(6), output + ".json", histogram_bins=64, op_types=["Relu"],
        every=2)
    assert read(output + ".json").startswith(b"{")
    assert [op["op_type"] for op in profile["operators"]] == ["Relu"]
    assert (profile["runs"], profile["recorded_runs"]) == (6, 3)
    assert len(profile["operators"][0]["outputs"][0]["histogram"]["counts"]) <= 64


def test_beside_another_observer():
    net = make_net()
    workspace.FeedBlob("data", np.zeros([1, 8], np.float32))
    workspace.CreateNet(net)
    observers.attach(net)
    with pytest.raises(RuntimeError, match="net"):
        caffe2_quantization.calibrate(net, make_batches(2))
    profile = caffe2_quantization.calibrate(net, make_batches(2), observer="mine")
    assert profile["observer"] == "mine"
    assert observers.info(net)["runs"] == 2


def test_memory_does_not_grow_with_the_batches():
    import resource

    net = make_net()
    batch = np.zeros([64, 8], np.float32)
    calibrate = functools.partial(caffe2_quantization.calibrate, net, inputs=["data"])
    calibrate(itertools.repeat(batch, 100))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    calibrate(itertools.repeat(batch, 5000))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4096


def test_the_bar(output, capfd):
    caffe2_quantization.calibrate(make_net(), make_batches(3), output)
    assert capfd.readouterr().err == ""  # is no terminal
    caffe2_quantization.calibrate("net", make_batches(3), output, progress=True,
                                  inputs=["data"])
    assert "3/3" in capfd.readouterr().err


# --- What is wrong ---------------------------------------------------------------------


@pytest.mark.parametrize("batches, message", [
    ([], "there is no batch"),
    ([{"dta": 1}], "a batch has 'dta', but net 'net' has no such input; it has 'data'"),
    ([(1, 2)], "a batch has 2 arrays, but there are 1 inputs: 'data'"),
])
def test_batches_that_do_not_fit(batches, message, output):
    with pytest.raises(ValueError) as error:
        caffe2_quantization.calibrate(make_net(), batches, output)
    assert message in str(error.value)
    assert glob.glob(output + "*") == []


@pytest.mark.parametrize("form", ["big-endian", "lists", "torch"])
def test_values_count_and_not_their_bytes(form, output):
    torch = pytest.importorskip("torch")
    change = {"big-endian": lambda array: array.astype(">f4"),
              "lists": lambda array: array.tolist(),
              "torch": torch.from_numpy}[form]
    batches = make_batches(5)
    expected = caffe2_quantization.calibrate(make_net("a"), batches)
    workspace.ResetWorkspace()
    changed = [{name: change(array) for name, array in batch.items()} for batch in batches]
    profile = caffe2_quantization.calibrate(make_net("a"), changed)
    assert profile["operators"] == expected["operators"]
    assert profile["samples"] == expected["samples"]


def test_an_array_that_no_blob_can_hold_is_named(output):
    batches = make_batches(3)
    batches[2]["data"] = batches[2]["data"].astype(complex)
    with pytest.raises(ValueError, match="batch 2: blob 'data' is of dtype complex128"):
        caffe2_quantization.calibrate(make_net(), batches, output, checkpoint_every=1)
    assert profiles.read_profile(output + ".checkpoint")["runs"] == 2
    batches[0]["data"] = np.ma.masked_array(np.ones((2, 8), np.float32), mask=True)
    with pytest.raises(ValueError, match="batch 0: blob 'data' has 16 masked values of 16"):
        caffe2_quantization.calibrate(make_net(), batches)


@pytest.mark.parametrize("options, error, message", [
    ({"op_type": ["Relu"]}, TypeError,
     r"calibrate\(\) has no option 'op_type' \(did you mean 'op_types'\?\)"),
    ({"nonsense": 1}, TypeError, "has no option 'nonsense'; there are: net, batches, output"),
    ({"op_types": ["Konv", "FC"]}, RuntimeError,
     "op_types: net 'net' has no operator of type 'Konv'; there are: FC, Relu, Softmax"),
    ({"op_types": "Rleu"}, RuntimeError, r"'Rleu' \(did you mean 'Relu'\?\)"),
    ({"outputs": ["nosuch"]}, RuntimeError,
     "outputs: net 'net' has no output 'nosuch'; there are: fc, relu, softmax"),
    ({"op_names": ["nosuch"]}, RuntimeError, "no operator called 'nosuch'; there are none"),
    ({"op_types": ["FC"], "outputs": ["relu"]}, RuntimeError,
     "no operator of net 'net' fits all of op_types, op_names and outputs"),
])
def test_options_and_names_that_nobody_knows(options, error, message, output):
    with pytest.raises(error, match=message):
        caffe2_quantization.calibrate(make_net(), make_batches(2), output, **options)
    assert glob.glob(output + "*") == []
    assert observers.info() == []


def test_a_net_that_fails_leaves_the_last_checkpoint(output):
    batches = make_batches(7) + [{"data": np.zeros([2, 3], np.float32)}]
    with pytest.raises(RuntimeError):
        caffe2_quantization.calibrate(make_net(), batches, output, checkpoint_every=3)
    assert glob.glob(output + "*") == [output + ".checkpoint"]
    assert profiles.read_profile(output + ".checkpoint")["runs"] == 6
    assert observers.info() == []


def test_other_options_do_not_go_on_from_a_checkpoint(output):
    stop = itertools.chain(make_batches(4), iter(lambda: 1 / 0, None))
    with pytest.raises(ZeroDivisionError):
        caffe2_quantization.calibrate(make_net(), stop, output)
    with pytest.raises(RuntimeError, match="histogram_bins"):
        caffe2_quantization.calibrate("net", make_batches(5), output, histogram_bins=64,
                                      inputs=["data"])
    with pytest.raises(ValueError, match="there are 2 batches, but .* holds 4"):
        caffe2_quantization.calibrate(make_net(), make_batches(2), output)
    assert os.path.exists(output + ".checkpoint")
    caffe2_quantization.calibrate(make_net(), make_batches(5), output, histogram_bins=64,
                                  resume=False)
    assert glob.glob(output + "*") == [output]


def test_two_threads_are_one_too_many(tmp_path):
    # Nets of two names share the blob "data" of the workspace.
    nets = [make_net("first"), make_net("second")]
    arrays = [np.full([4, 8], value, np.float32) for value in (1, 1000)]
    expected = []
    for net, array in zip(nets, arrays):
        workspace.FeedBlob("data", array)
        expected.append(caffe2_quantization.calibrate(net, [{"data": array}] * 3))
    for profile in expected:
        del profile["provenance"]
    for _ in range(50):
        barrier = threading.Barrier(2)
        found, errors = [None, None], []

        def calibrate(index):
            barrier.wait()
            try:
                found[index] = caffe2_quantization.calibrate(
                    nets[index], [{"data": arrays[index]}] * 3)
            except RuntimeError as error:
                errors.append(str(error))

        threads = [threading.Thread(target=calibrate, args=(index,)) for index in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for index, profile in enumerate(found):
            if profile is not None:
                del profile["provenance"]
                assert profile == expected[index]
        assert found.count(None) == len(errors) <= 1
        for error in errors:
            assert "this process is calibrating net '" in error


def test_one_within_another():
    def batches():
        yield {"data": np.zeros([1, 8], np.float32)}
        caffe2_quantization.calibrate(make_net("inner"), make_batches(1))

    with pytest.raises(RuntimeError, match="calibrate of net 'inner': this process is "
                       "calibrating net 'outer'"):
        caffe2_quantization.calibrate(make_net("outer"), batches())
    caffe2_quantization.calibrate("outer", make_batches(1), inputs=["data"])


def test_two_on_one_path(output):
    with locked(output):
        with pytest.raises(RuntimeError, match="another process is writing to '%s'"
                           % output):
            caffe2_quantization.calibrate(make_net(), make_batches(2), output)
    caffe2_quantization.calibrate(make_net(), make_batches(2), output)


def test_a_lock_that_was_left_behind(output):
    open(output + ".lock", "w").close()
    caffe2_quantization.calibrate(make_net(), make_batches(2), output)
    assert glob.glob(output + "*") == [output]


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(OSError, match="nowhere"):
        caffe2_quantization.calibrate(make_net(), make_batches(2),
                                      str(tmp_path / "nowhere" / "net.profile"))


def test_a_checkpoint_that_cannot_be_written_costs_no_run(output):
    net = make_net()

    def batches():
        for index, batch in enumerate(make_batches(6)):
            if index == 1:
                os.mkdir(output + ".checkpoint")  # nothing can be renamed to it
            yield batch
        os.rmdir(output + ".checkpoint")

    with pytest.warns(RuntimeWarning, match="no checkpoint: .*checkpoint") as warned:
        profile = caffe2_quantization.calibrate(net, batches(), output,
                                                checkpoint_every=2)
    assert len(warned) == 1
    assert profile["runs"] == 6


def test_the_checkpoint_of_the_command_line_is_its_own(output):
    profile = {"format_version": 1, "net_name": "net",
               "checkpoint": {"batches": "1", "settings": [{"name": "a", "value": "b"}]}}
    with open(output + ".checkpoint", "w") as stream:
        json.dump(profile, stream)
    with pytest.raises(RuntimeError, match="a checkpoint of caffe2-quantize calibrate"):
        caffe2_quantization.calibrate(make_net(), make_batches(2), output)
    caffe2_quantization.calibrate(make_net(), make_batches(2), output, resume=False)


@pytest.mark.parametrize("suffix", ["", ".json"])
def test_the_command_line_makes_the_same_profile(tmp_path, digits_folder, suffix):
    program = os.path.join(os.path.dirname(os.path.dirname(conftest.PLUGIN)), "bin",
                           "caffe2-quantize")
    if not os.path.exists(program):
        pytest.skip("no caffe2-quantize beside the plugin")
    from caffe2.proto import caffe2_pb2
    from caffe2.python import utils

    def message(name, kind):
        result = kind()
        result.ParseFromString(read(os.path.join(digits_folder, name)))
        return result

    by_shell = str(tmp_path / "shell") + suffix
    subprocess.run(
        [program, "calibrate", "--init", os.path.join(digits_folder, "init_net.pb"),
         "--predict", os.path.join(digits_folder, "predict_net.pb"),
         "--data", os.path.join(digits_folder, "test_images.pb"),
         "--batch-size", "100", "-o", by_shell],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    workspace.RunNetOnce(message("init_net.pb", caffe2_pb2.NetDef))
    images = utils.Caffe2TensorToNumpyArray(
        message("test_images.pb", caffe2_pb2.TensorProtos).protos[0])
    by_python = str(tmp_path / "python") + suffix
    caffe2_quantization.calibrate(
        message("predict_net.pb", caffe2_pb2.NetDef),
        [images[at:at + 100] for at in range(0, len(images), 100)], by_python,
        inputs=["data"])
    assert without_provenance(by_python) == without_provenance(by_shell)
    if not suffix:
        assert stripped(by_python) == stripped(by_shell)


# --- Resumed, merged, killed ------------------------------------------------------------


@pytest.mark.parametrize("stop_after", [1, 2, 7, 19])
def test_interrupted_and_resumed(output, stop_after):
    batches = make_batches(20)
    caffe2_quantization.calibrate(make_net(), batches, output + ".whole")

    def interrupted():
        yield from batches[:stop_after]
        raise KeyboardInterrupt

    workspace.ResetWorkspace()
    with pytest.raises(KeyboardInterrupt):
        caffe2_quantization.calibrate(make_net(), interrupted(), output,
                                      checkpoint_every=5)
    assert profiles.read_profile(output + ".checkpoint")["runs"] == stop_after
    workspace.ResetWorkspace()
    caffe2_quantization.calibrate(make_net(), batches, output)
    assert stripped(output) == stripped(output + ".whole")
    assert not os.path.exists(output + ".checkpoint")


@pytest.mark.parametrize("shards", [1, 2, 7, 64])
def test_a_thousand_batches_in_shards(output, shards):
    batches = make_batches(1000)
    caffe2_quantization.calibrate(make_net(), batches, output)
    order = list(range(1000))
    random.Random(SEED + shards).shuffle(order)
    paths = []
    for shard in range(shards):
        paths.append("%s.%d" % (output, shard))
        caffe2_quantization.calibrate(
            "net", [batches[index] for index in order[shard::shards]], paths[-1],
            inputs=["data"])
    random.Random(shards).shuffle(paths)
    profiles.merge_profiles(paths, output + ".merged")
    assert stripped(output + ".merged") == stripped(output)


PROGRAM = """
import sys, time
sys.path.insert(0, sys.argv[3])
import test_calibrate
from caffe2.python import workspace
import caffe2_quantization
workspace.GlobalInit(["calibrate", "--caffe2_log_level=3"])
net = test_calibrate.make_net()
def slowly():
    print("begins", flush=True)
    for batch in test_calibrate.make_batches(60):
        time.sleep(float(sys.argv[2]))
        yield batch
caffe2_quantization.calibrate(net, slowly(), sys.argv[1], checkpoint_every=2)
print("done")
"""


def start(output, delay):
    env = dict(os.environ, PYTHONPATH=conftest.PYTHON_FOLDER,
               CAFFE2_QUANTIZATION_PLUGIN=conftest.PLUGIN)
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, output, str(delay),
         os.path.dirname(os.path.abspath(__file__))],
        env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_killed_at_any_moment(output):
    seed = int(os.environ.get("CAFFE2_QUANTIZATION_TEST_SEED", SEED))
    print("CAFFE2_QUANTIZATION_TEST_SEED=%d" % seed)
    rng = random.Random(seed)
    caffe2_quantization.calibrate(make_net(), make_batches(60), output + ".whole")
    kills = 0
    attempt = 0  # at this calibration: each lasts longer than the one before
    while kills < conftest.case_count(20, 300) or attempt > 0:
        process = start(output, 0.005)
        assert process.stdout.readline() == b"begins\n", process.stderr.read()
        time.sleep(rng.uniform(0, 0.1 * (attempt + 2)))
        number = rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGINT,
                             signal.SIGTERM])
        process.send_signal(number)
        out, error = process.communicate()
        for path in (output, output + ".checkpoint"):
            if os.path.exists(path):
                profiles.read_profile(path)  # is whole
        attempt += 1
        if b"done" not in out:
            kills += 1
            if os.path.exists(output):  # all was done but the last word
                continue
            if number == signal.SIGTERM:
                assert process.returncode == 143, error
                assert b"calibrate: stopped after " in error
            elif number == signal.SIGINT:
                assert b"KeyboardInterrupt: stopped after " in error, error
            continue
        assert stripped(output) == stripped(output + ".whole")
        assert sorted(glob.glob(output + "*")) == [output, output + ".whole"]
        os.unlink(output)
        attempt = 0


# --- Other data, parameters or options after a kill ------------------------------------


def stop_after(count, net, batches, output, **options):
    """Calibrates the first batches and is stopped."""
    with pytest.raises(KeyboardInterrupt):
        caffe2_quantization.calibrate(
            net, itertools.chain(batches[:count], raising(KeyboardInterrupt)), output,
            **options)


def raising(error):
    raise error
    yield


def change_value(batches, index):
    batches[index] = {"data": batches[index]["data"].copy()}
    batches[index]["data"][0, 0] += 1
    return batches


def swap(batches):
    batches[0], batches[6] = batches[6], batches[0]
    return batches


def halve(batches):
    return [{"data": part} for batch in batches
            for part in np.array_split(batch["data"], 2) if len(part)]


@pytest.mark.parametrize("change, message", [
    (lambda batches: change_value(batches, 0), "values of the first batch was 'data "),
    (lambda batches: change_value(batches, 3),
     "values of the last batch that was done was 'data "),
    (swap, "values of the first batch was 'data "),
    (lambda batches: batches[1:] + batches[:1], "values of the first batch was 'data "),
    (halve, "batch size was '"),
    (lambda batches: [{"data": batch["data"].astype(np.float64)} for batch in batches],
     "values of the first batch was 'data "),
])
def test_other_batches_do_not_go_on(output, change, message):
    batches = make_batches(9)
    stop_after(4, make_net(), batches, output)
    held = read(output + ".checkpoint")
    for _ in range(2):  # the refusal leaves the checkpoint as it is
        workspace.ResetWorkspace()
        with pytest.raises(RuntimeError) as error:
            caffe2_quantization.calibrate(make_net(), change(list(batches)), output)
        assert "cannot go on from the checkpoint '%s.checkpoint': " % output in str(
            error.value)
        assert message in str(error.value)
        assert "pass resume=False to start anew" in str(error.value)
        assert read(output + ".checkpoint") == held
        assert observers.info() == []
    workspace.ResetWorkspace()
    caffe2_quantization.calibrate(make_net(), batches, output)
    assert glob.glob(output + "*") == [output]


def test_other_parameters_do_not_go_on(output):
    batches = make_batches(9)
    stop_after(4, make_net(), batches, output)
    workspace.ResetWorkspace()
    net = make_net()
    bias = workspace.FetchBlob("b")
    bias[2] += 1
    workspace.FeedBlob("b", bias)
    with pytest.raises(RuntimeError, match="parameter 'b' was '[0-9a-f]{32}' and is '"):
        caffe2_quantization.calibrate(net, batches, output)
    workspace.FeedBlob("b", bias.astype(np.float64))
    with pytest.raises(RuntimeError, match="parameter 'b' was '"):
        caffe2_quantization.calibrate("net", batches, output)
    bias[2] -= 1
    workspace.ResetWorkspace()
    net = make_net()
    caffe2_quantization.calibrate(net, batches, output)
    assert glob.glob(output + "*") == [output]


def test_another_net_does_not_go_on(output):
    batches = make_batches(9)
    stop_after(4, make_net(), batches, output)
    workspace.ResetWorkspace()
    net = make_net()
    net.Proto().op[1].type = "Tanh"
    with pytest.raises(RuntimeError, match="the profile is of a net with hash '"):
        caffe2_quantization.calibrate(net, batches, output)
    for options, message in [({"histogram_bins": 64}, "histogram_bins was .*resume=False"),
                             ({"op_types": ["FC"]}, "op_types"),
                             ({"every": 2}, "every")]:
        workspace.ResetWorkspace()
        with pytest.raises(RuntimeError, match=message):
            caffe2_quantization.calibrate(make_net(), batches, output, **options)


def test_many_parameters_are_told_by_groups(output):
    def calibrate(changed=None, stop=True):
        net = core.Net("many")
        net.Proto().name = "many"
        names = ["w%d" % index for index in range(3000)]
        for index, name in enumerate(names):
            workspace.FeedBlob(name, np.full(2, index == changed, np.float32))
        net.Sum(names + ["x"], ["y"])
        batches = [{"x": np.full(2, value, np.float32)} for value in range(3)]
        run = stop_after if stop else lambda _, *arguments: (
            caffe2_quantization.calibrate(*arguments))
        return run(2, net, batches, output)

    calibrate()
    assert len(profiles.read_profile(output + ".checkpoint")["checkpoint"]["settings"]
               ) < 1100
    workspace.ResetWorkspace()
    with pytest.raises(RuntimeError, match="parameters 'w999' to 'w1001' was '"):
        calibrate(changed=1001, stop=False)
    workspace.ResetWorkspace()
    assert calibrate(stop=False)["runs"] == 3


def test_a_checkpoint_of_an_earlier_version_is_refused(output):
    profile = caffe2_quantization.calibrate(make_net(), make_batches(2), output)
    os.rename(output, output + ".checkpoint")
    assert profile["checkpoint"] is None
    with pytest.raises(RuntimeError, match="it is a finished profile, or of an earlier "
                                           "version, which did not keep enough"):
        caffe2_quantization.calibrate("net", make_batches(2), output, inputs=["data"])


def test_no_blob_is_left_behind(output):
    net = make_net()
    before = set(workspace.Blobs())
    stop_after(4, net, make_batches(9), output)
    assert set(workspace.Blobs()) - before == {"data", "fc", "relu", "softmax"}


# --- Signals, and checkpoints by the clock ---------------------------------------------


def test_checkpoints_by_the_clock(output, monkeypatch):
    from caffe2_quantization import _calibrate

    now = [1000.0]
    monkeypatch.setattr(_calibrate, "_clock", lambda: now[0])
    held = []

    def batches():
        for batch in make_batches(9):
            yield batch
            path = output + ".checkpoint"
            held.append(profiles.read_profile(path)["runs"]
                        if os.path.exists(path) else 0)
            now[0] += 4

    caffe2_quantization.calibrate(make_net(), batches(), output)
    assert held == [0, 0, 0, 4, 4, 4, 7, 7, 7]
    del held[:]
    caffe2_quantization.calibrate("net", batches(), output, inputs=["data"],
                                  checkpoint_seconds=0)
    assert held == [0] * 9


def test_checkpoints_take_a_small_share_of_the_time(output, monkeypatch):
    from caffe2_quantization import _calibrate

    now, written = [0.0], []
    monkeypatch.setattr(_calibrate, "_clock", lambda: now[0])
    dump = observers.dump

    def slowly(*arguments, **options):
        dump(*arguments, **options)
        now[0] += 1.0
        written.append(now[0])

    monkeypatch.setattr(observers, "dump", slowly)

    def batches():
        for batch in make_batches(300):
            yield batch
            now[0] += 1

    caffe2_quantization.calibrate(make_net(), batches(), output, checkpoint_every=10 ** 6)
    # After 10 seconds, and then every 50: 2 % of the time.
    assert len(written) == 1 + 1 + 290 // 51


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["in the net", "between two batches"])
def test_a_signal_leaves_a_checkpoint_of_whole_batches(output, number, moment,
                                                       monkeypatch, capfd):
    batches = make_batches(20)
    caffe2_quantization.calibrate(make_net(), batches, output + ".whole")
    workspace.ResetWorkspace()
    run_net, runs = workspace.RunNet, []

    def run(name):
        result = run_net(name)
        runs.append(name)
        if moment == "in the net" and len(runs) == 7:
            os.kill(os.getpid(), number)  # told when the net is back
        return result

    def signalled():
        for index, batch in enumerate(batches):
            if moment != "in the net" and index == 7:
                os.kill(os.getpid(), number)
            yield batch

    monkeypatch.setattr(workspace, "RunNet", run)
    handler = signal.getsignal(number)
    with pytest.raises((KeyboardInterrupt, SystemExit)) as stopped:
        caffe2_quantization.calibrate(make_net(), signalled(), output)
    assert signal.getsignal(number) is handler
    sentence = ("stopped after 7 batches, which '%s.checkpoint' holds; to go on, call "
                "calibrate as before" % output)
    if number == signal.SIGINT:
        assert stopped.type is KeyboardInterrupt and str(stopped.value) == sentence
    else:
        assert stopped.value.code == 143
        assert capfd.readouterr().err == "calibrate: %s\n" % sentence
    assert profiles.read_profile(output + ".checkpoint")["runs"] == 7
    monkeypatch.undo()
    workspace.ResetWorkspace()
    caffe2_quantization.calibrate(make_net(), batches, output)
    assert stripped(output) == stripped(output + ".whole")


def test_the_programs_own_handler_is_called(output):
    calls = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: calls.append(number))
    try:
        def signalled():
            for index, batch in enumerate(make_batches(9)):
                if index == 4:
                    os.kill(os.getpid(), signal.SIGTERM)
                yield batch

        profile = caffe2_quantization.calibrate(make_net(), signalled(), output)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert calls == [signal.SIGTERM] and profile["runs"] == 9


def test_another_thread_leaves_signals_alone(output):
    handler, seen, profile = signal.getsignal(signal.SIGINT), [], []

    def batches():
        for batch in make_batches(3):
            seen.append(signal.getsignal(signal.SIGINT))
            yield batch

    net = make_net()
    thread = threading.Thread(target=lambda: profile.append(
        caffe2_quantization.calibrate(net, batches(), output)))
    thread.start()
    thread.join()
    assert seen == [handler] * 3 and profile[0]["runs"] == 3


def test_two_processes_on_one_path(output):
    first = start(output, 0.05)
    assert first.stdout.readline() == b"begins\n"
    while not os.path.exists(output + ".checkpoint"):
        assert first.poll() is None, first.stderr.read()
        time.sleep(0.01)
    second = start(output, 0)
    _, error = second.communicate()
    assert second.returncode == 1
    assert error.decode().strip().splitlines()[-1].startswith(
        "RuntimeError: another process is writing to '%s'" % output)
    first.send_signal(signal.SIGINT)
    first.communicate()
    assert sorted(glob.glob(output + "*")) == [output + ".checkpoint"]
