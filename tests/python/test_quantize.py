"""quantize: a float net made int8, from Python and on the command line."""

import filecmp
import json
import os
import random
import re
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

import caffe2_quantization
import conftest
from caffe2.proto import caffe2_pb2
from caffe2.python import core, workspace
from caffe2_quantization import _operators, profiles

BINARY = os.path.join(os.path.dirname(os.path.dirname(conftest.PLUGIN)), "bin", "caffe2-quantize")
FILES = ["init_net.pb", "predict_net.pb", "recipe.json", "report.json"]
needs_binary = pytest.mark.skipif(not os.path.exists(BINARY),
                                  reason="no caffe2-quantize beside the plugin")


def read_net(path):
    with open(str(path), "rb") as stream:
        return caffe2_pb2.NetDef.FromString(stream.read())


class Digits(object):
    """The digits example: its nets, its images, and a profile of it."""

    def __init__(self, folder, scratch):
        self.folder = folder
        self.init = read_net(os.path.join(folder, "init_net.pb"))
        self.predict = read_net(os.path.join(folder, "predict_net.pb"))
        with open(os.path.join(folder, "test_images.pb"), "rb") as stream:
            protos = caffe2_pb2.TensorProtos.FromString(stream.read()).protos
        tensors = {each.name: each for each in protos}
        data = tensors["data"]
        self.images = np.array(data.float_data, np.float32).reshape(data.dims)
        self.labels = np.array(tensors["label"].int32_data)
        self.profile = str(scratch / "digits.profile")

    def calibrate(self, **options):
        workspace.RunNetOnce(self.init)
        batches = [{"data": batch} for batch in np.array_split(self.images, 9)]
        caffe2_quantization.calibrate(self.predict, batches, self.profile, **options)
        workspace.ResetWorkspace()

    def scores(self, init, predict):
        workspace.ResetWorkspace()
        workspace.RunNetOnce(init)
        workspace.FeedBlob("data", self.images)
        workspace.RunNetOnce(predict)
        return workspace.FetchBlob("softmax")

    def accuracy(self, init, predict):
        return (self.scores(init, predict).argmax(axis=1) == self.labels).mean()

    def check(self, init, predict, largest_share=0.3):
        """That a net is as good as the float one, and its weights are small."""
        expected = self.accuracy(self.init, self.predict)
        assert expected - self.accuracy(init, predict) <= 0.003
        assert init.ByteSize() <= largest_share * self.init.ByteSize()
        assert list(predict.external_output) == list(self.predict.external_output)


@pytest.fixture
def digits(digits_folder, tmp_path):
    return Digits(digits_folder, tmp_path)


# --- From Python -------------------------------------------------------------------


@pytest.mark.parametrize("method", ["MIN_MAX", "MSE", "P99.99"])
def test_digits(digits, method):
    digits.calibrate()
    nets = caffe2_quantization.quantize(digits.init, digits.predict, digits.profile,
                                        activation_method=method)
    digits.check(nets.init_net, nets.predict_net)
    assert [op["decision"] for op in nets.recipe["operators"]] == ["int8"] * 9 + ["float"]
    assert nets.recipe["operators"][9]["reason"] == "last_softmax"
    assert nets.report["float_bytes"] == digits.init.ByteSize() + digits.predict.ByteSize()
    assert nets.report["int8_bytes"] == (nets.init_net.ByteSize()
                                         + nets.predict_net.ByteSize())
    assert nets.recipe["tensors"][0]["shape"]["dims"] == [60, 1, 8, 8]


def test_forms_of_arguments(digits):
    digits.calibrate(histogram_bins=0)
    expected = caffe2_quantization.quantize(digits.init, digits.predict, digits.profile)
    with open(digits.profile, "rb") as stream:
        profile = stream.read()
    init = core.Net("init")
    init.Proto().CopyFrom(digits.init)
    folder = digits.folder
    for found in [
            caffe2_quantization.quantize(init, digits.predict.SerializeToString(), profile),
            caffe2_quantization.quantize(os.path.join(folder, "init_net.pb"),
                                         os.path.join(folder, "predict_net.pb"), profile)]:
        assert found == expected
    for recipe in [expected.recipe, json.dumps(expected.recipe),
                   json.dumps(expected.recipe).encode()]:
        found = caffe2_quantization.quantize(digits.init, digits.predict, recipe=recipe)
        assert found[:3] == expected[:3]


@pytest.mark.parametrize("bins", [0, 2048])
def test_a_profile_as_a_dict(digits, bins):
    digits.calibrate(histogram_bins=bins)
    method = "MSE" if bins else "MIN_MAX"
    expected, found = (
        caffe2_quantization.quantize(digits.init, digits.predict, profile, activation_method=method)
        for profile in (digits.profile, profiles.read_profile(digits.profile)))
    assert found == expected


@pytest.mark.parametrize("version", [1, 2])
def test_a_dict_of_another_net_s_profile(digits, version):
    path = os.path.join(conftest.CHECKOUT, "tests", "profiles", "data", "version_%d.json" % version)
    with pytest.raises(RuntimeError, match="the profile is of another net"):
        caffe2_quantization.quantize(digits.init, digits.predict, profiles.read_profile(path))


def test_a_changed_decision(digits):
    digits.calibrate()
    nets = caffe2_quantization.quantize(digits.init, digits.predict, digits.profile)
    recipe = nets.recipe
    assert (recipe["operators"][3]["op_type"], recipe["operators"][4]["folded_into"]) == (
        "Conv", 3)
    recipe["operators"][3]["decision"] = "float"
    changed = caffe2_quantization.quantize(digits.init, digits.predict, recipe=recipe)
    assert [op["reason"] for op in changed.recipe["operators"]][3:5] == ["recipe", "recipe"]
    assert [op.type for op in changed.predict_net.op if op.engine == ""] == [
        "Conv", "Relu", "Softmax"]
    digits.check(changed.init_net, changed.predict_net, 0.6)
    again = caffe2_quantization.quantize(digits.init, digits.predict, recipe=changed.recipe)
    assert again[:3] == changed[:3]


def test_options(digits):
    digits.calibrate()
    nets = caffe2_quantization.quantize(
        digits.init, digits.predict, digits.profile, keep_float="fc.*", per_channel=False,
        weight_bits=7, int8_io=True)
    assert [op["reason"] for op in nets.recipe["operators"]][6:9:2] == ["kept_float"] * 2
    assert "Int8Quantize" not in [op.type for op in nets.predict_net.op]  # it is fed codes
    options = nets.recipe["options"]
    assert (options["per_channel"], options["weight_bits"], options["int8_io"]) == (
        False, 7, True)
    only = caffe2_quantization.quantize(digits.init, digits.predict, digits.profile,
                                        only=["conv1", "relu1"])
    assert [op["decision"] for op in only.recipe["operators"]] == ["int8"] * 2 + ["float"] * 8


def test_wrong_arguments(digits):
    digits.calibrate(histogram_bins=0)
    good = dict(init_net=digits.init, predict_net=digits.predict, profile=digits.profile)
    recipe = caffe2_quantization.quantize(**good).recipe
    other = caffe2_pb2.NetDef.FromString(digits.predict.SerializeToString())
    other.op[0].arg[0].i += 1
    cases = [
        (TypeError, "no option 'engin'.*did you mean 'engine'", dict(engin="ONEDNN")),
        (TypeError, "init_net is a int", dict(init_net=3)),
        (TypeError, "profile is a list", dict(profile=[])),
        (ValueError, "neither, expected a profile or a recipe", dict(profile=None)),
        (ValueError, "both, expected", dict(recipe=recipe)),
        (RuntimeError, "engine is 'FBGEMM', expected ONEDNN or DNNLOWP", dict(engine="FBGEMM")),
        (RuntimeError, "argument activation_method: .*'MAXMIN' is unknown",
         dict(activation_method="MAXMIN")),
        (RuntimeError, "activations are 9 bits, expected 2 to 8", dict(activation_bits=9)),
        (RuntimeError, "weights are 1 bits, expected 2 to 8", dict(weight_bits=1)),
        (RuntimeError, "argument weight_percentile is 2", dict(weight_percentile=2)),
        (RuntimeError, "keep_float: 'conv11' .*did you mean 'conv1'",
         dict(keep_float="conv11")),
        (RuntimeError, "only: 'Cnv' .*did you mean 'Conv'", dict(only=["Cnv"])),
        (RuntimeError, r"only: '\(' is no regular expression", dict(only=["("])),
        (RuntimeError, "the profile is of another net: its hash is", dict(predict_net=other)),
        (RuntimeError, "input profile: ", dict(profile=b"no profile")),
        (RuntimeError, "input init: ", dict(init_net=b"no net")),
        (RuntimeError, "input predict: ", dict(predict_net=b"\xff\xff")),
        (RuntimeError, "no histogram of tensor .*MSE", dict(activation_method="MSE")),
        (RuntimeError, "input recipe: recipe: no format_version",
         dict(profile=None, recipe={})),
        (RuntimeError, "argument int8_engine is given, but the recipe has all options",
         dict(profile=None, recipe=recipe, engine="ONEDNN")),
        (OSError, "none", dict(profile="none")),
    ]
    for error, message, wrong in cases:
        with pytest.raises(error, match="(?s)" + message):
            caffe2_quantization.quantize(**dict(good, **wrong))


def test_the_operator_leaves_its_outputs(digits):
    digits.calibrate(histogram_bins=0)
    with open(digits.profile, "rb") as stream:
        profile = stream.read()
    good = {"init": digits.init.SerializeToString(), "profile": profile, "recipe": b"",
            "predict": digits.predict.SerializeToString()}
    outputs = ["a", "b", "c", "d"]
    op = core.CreateOperator("QuantizeNet", ["init", "predict", "profile", "recipe"], outputs)
    for name, wrong, message in [
            ("init", np.zeros(2, np.float32), "2 values of type float, expected one string"),
            ("predict", np.array([b"a", b"b"], dtype=object), "2 values of type"),
            ("profile", b"", "inputs profile and recipe are both empty"),
            ("recipe", b"{}", "inputs profile and recipe are both given")]:
        for each in outputs:
            workspace.FeedBlob(each, b"before")
        for each, value in good.items():
            workspace.FeedBlob(each, wrong if each == name else value)
        with pytest.raises(RuntimeError, match="QuantizeNet: .*" + message):
            _operators.run(op)
        assert [workspace.FetchBlob(each) for each in outputs] == [b"before"] * 4
    for each, value in good.items():  # strings in tensors
        workspace.FeedBlob(each, np.array([value], dtype=object))
    _operators.run(op)
    expected = caffe2_quantization.quantize(digits.init, digits.predict, profile)
    assert workspace.FetchBlob("b")[0] == expected.predict_net.SerializeToString()
    net = core.Net("quantize")
    net.Proto().op.extend([op])
    shapes, _ = workspace.InferShapesAndTypes([net])
    assert [shapes[each] for each in outputs] == [[1]] * 4


# --- On the command line -----------------------------------------------------------


def command(*arguments):
    return subprocess.run([BINARY] + [str(each) for each in arguments], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, universal_newlines=True)


def succeeds(*arguments):
    done = command(*arguments)
    assert done.returncode == 0, done.stderr
    return done


def files(digits):
    return ["--init", os.path.join(digits.folder, "init_net.pb"),
            "--predict", os.path.join(digits.folder, "predict_net.pb")]


def data(digits):
    return ["--data", os.path.join(digits.folder, "test_images.pb")]


def same(first, second):
    """Whether two folders hold the same four files."""
    for folder in (first, second):
        assert sorted(os.listdir(str(folder))) == FILES
    return filecmp.cmpfiles(str(first), str(second), FILES, shallow=False) == (FILES, [], [])


@needs_binary
def test_two_commands(digits, tmp_path):
    profile, out = tmp_path / "digits.profile", tmp_path / "int8"
    succeeds("calibrate", *files(digits), *data(digits), "-o", profile)
    done = succeeds("quantize", *files(digits), "--profile", profile, "-o", out,
                    "--json", tmp_path / "report.json")
    assert "9 of 10 operators are int8" in done.stdout
    assert "last_softmax" in done.stdout and "written to" in done.stdout
    assert filecmp.cmp(str(tmp_path / "report.json"), str(out / "report.json"), False)
    digits.check(read_net(out / "init_net.pb"), read_net(out / "predict_net.pb"))

    # Python makes the same of the same profile.
    nets = caffe2_quantization.quantize(digits.init, digits.predict, str(profile))
    assert nets.init_net.SerializeToString() == (out / "init_net.pb").read_bytes()
    assert nets.predict_net.SerializeToString() == (out / "predict_net.pb").read_bytes()

    # The data in one step, and a second time in the place of the first.
    succeeds("quantize", *files(digits), *data(digits), "-o", tmp_path / "once")
    assert same(out, tmp_path / "once")
    succeeds("quantize", *files(digits), "--profile", profile, "-o", tmp_path / "once",
             "--quiet")
    assert same(out, tmp_path / "once")

    # Its recipe makes the same nets again.
    succeeds("quantize", *files(digits), "--recipe", out / "recipe.json", "-o",
             tmp_path / "again", "--quiet")
    for name in FILES[:3]:
        assert filecmp.cmp(str(out / name), str(tmp_path / "again" / name), False)
    assert sorted(os.listdir(str(tmp_path))) == [
        "again", "digits.profile", "int8", "once", "report.json"]

    run = json.loads(succeeds("run", "--init", out / "init_net.pb", "--predict",
                              out / "predict_net.pb", *data(digits), "--observe", "none",
                              "--json", "-").stdout)
    assert run["models"][0]["accuracy"] >= 0.98


@needs_binary
@pytest.mark.parametrize("init", ["init_net_byte.pb", "init_net_qtensor.pb"])
def test_weights_that_an_init_net_computes(digits, tmp_path, init):
    arguments = ["--init", os.path.join(digits.folder, init), "--predict",
                 os.path.join(digits.folder, "predict_net.pb")]
    done = succeeds("quantize", *arguments, *data(digits), "-o", tmp_path / "out")
    assert "operators are no constant fills and were run once" in done.stderr
    digits.check(read_net(tmp_path / "out" / "init_net.pb"),
                 read_net(tmp_path / "out" / "predict_net.pb"))


@needs_binary
def test_dnnlowp_runs_without_the_plugin(digits, tmp_path, run_python):
    out = tmp_path / "out"
    succeeds("quantize", *files(digits), *data(digits), "-o", out, "--engine", "DNNLOWP",
             "--activations", "MSE", "--quiet")
    predict = read_net(out / "predict_net.pb")
    assert {op.engine for op in predict.op} == {"", "DNNLOWP"}
    assert sum(op.type.startswith("Int8") for op in predict.op) >= 6
    np.savez(str(tmp_path / "images.npz"), images=digits.images, labels=digits.labels)
    done = run_python(textwrap.dedent("""
        import sys
        import numpy as np
        from caffe2.proto import caffe2_pb2
        from caffe2.python import core, workspace
        workspace.GlobalInit(["python", "--caffe2_log_level=3"])
        assert "QuantizeNet" not in workspace.RegisteredOperators()
        arrays = np.load(sys.argv[2])
        nets = []
        for name in ("init_net.pb", "predict_net.pb"):
            with open(sys.argv[1] + "/" + name, "rb") as stream:
                nets.append(caffe2_pb2.NetDef.FromString(stream.read()))
        for net in nets:
            for op in net.op:
                key = op.type + ("_ENGINE_" + op.engine if op.engine else "")
                assert key in workspace.RegisteredOperators(), key
        workspace.RunNetOnce(nets[0])
        workspace.FeedBlob("data", arrays["images"])
        workspace.RunNetOnce(nets[1])
        found = workspace.FetchBlob("softmax").argmax(axis=1)
        print((found == arrays["labels"]).mean())
    """), out, tmp_path / "images.npz")
    expected = digits.accuracy(digits.init, digits.predict)
    assert expected - float(done.stdout.split()[-1]) <= 0.003


def test_dnnlowp_keys_are_the_wheels():
    # The rewriter asks the registry which operators DNNLOWP has, with the plugin in it.
    registered = set(workspace.RegisteredOperators())
    program = ("from caffe2.python import workspace; "
               "print(' '.join(workspace.RegisteredOperators()))")
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, universal_newlines=True, check=True)
    wheel = set(done.stdout.split())
    added = registered - wheel
    assert "QuantizeNet" in added
    assert [key for key in sorted(added) if "DNNLOWP" in key] == []


@needs_binary
def test_strict(digits, tmp_path):
    succeeds("calibrate", *files(digits), *data(digits), "-o", tmp_path / "p", "--quiet")
    arguments = ["quantize"] + files(digits) + ["--profile", tmp_path / "p", "-o",
                                                tmp_path / "out", "--strict"]
    done = command(*arguments)
    assert done.returncode == 1
    assert "operator 9 (Softmax, output 'softmax')" in done.stderr
    assert "last_softmax" in done.stdout and "written" not in done.stdout
    assert not (tmp_path / "out").exists()
    succeeds(*arguments, "--keep-float", "Softmax")
    done = command(*arguments, "--keep-float", "Softmx", "--quiet")
    assert done.returncode == 1
    assert "did you mean 'Softmax'" in done.stderr
    assert sorted(os.listdir(str(tmp_path / "out"))) == FILES


@needs_binary
def test_wrong_commands(digits, tmp_path):
    succeeds("calibrate", *files(digits), *data(digits), "-o", tmp_path / "p", "--quiet")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    for status, message, arguments in [
            (2, "One of --profile, --data and --recipe is required", []),
            (2, "--profile excludes --data", ["--profile", tmp_path / "p"] + data(digits)),
            (2, "--recipe excludes --engine", ["--recipe", "r", "--engine", "DNNLOWP"]),
            (2, "--activations: .*'MXE' is unknown", ["--profile", "p", "--activations", "MXE"]),
            (2, "--weights: 'MSE:9', expected bits from 2 to 8",
             ["--profile", "p", "--weights", "MSE:9"]),
            (2, "--weights: 'MSE:', expected bits", ["--profile", "p", "--weights", "MSE:"]),
            (2, "--io: ", ["--profile", "p", "--io", "int4"]),
            (1, "cannot .*none", ["--profile", tmp_path / "none"]),
            (1, "recipe: JSON", ["--recipe", os.path.join(digits.folder, "predict_net.pb")]),
            (1, "'.*mine' holds 'notes.txt' and is not replaced",
             ["--profile", tmp_path / "p", "-o", tmp_path / "mine"])]:
        if "-o" not in arguments:
            arguments = arguments + ["-o", tmp_path / "out"]
        done = command("quantize", *files(digits), *arguments)
        assert done.returncode == status, (arguments, done.stderr)
        assert re.search(message, done.stderr), (message, done.stderr)
    assert not (tmp_path / "out").exists()
    assert os.listdir(str(tmp_path / "mine")) == ["notes.txt"]
    assert not [name for name in os.listdir(str(tmp_path)) if name.endswith((".tmp", ".lock"))]


@needs_binary
def test_killed_at_any_moment(digits, tmp_path):
    seed = random.randrange(1 << 32)
    print("seed %d" % seed)
    rng = random.Random(seed)
    out, old, new = tmp_path / "out", tmp_path / "old", tmp_path / "new"
    arguments = [BINARY, "quantize"] + files(digits) + data(digits) + [
        "--batch-size", "4", "--checkpoint-every", "1", "--quiet"]
    arguments = [str(each) for each in arguments]
    per_tensor = arguments + ["--per-tensor"]
    begin = time.monotonic()
    subprocess.run(per_tensor + ["-o", str(old)], check=True)
    duration = time.monotonic() - begin
    subprocess.run(arguments + ["-o", str(new)], check=True)
    assert not same(old, new)
    subprocess.run(per_tensor + ["-o", str(out)], check=True)
    kills = finished = 0
    while kills < conftest.case_count(6, 200):
        process = subprocess.Popen(arguments + ["-o", str(out)], stderr=subprocess.DEVNULL)
        number = rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])
        try:
            process.wait(rng.uniform(0.2, 0.95) * duration)
        except subprocess.TimeoutExpired:
            process.send_signal(number)
        process.wait()
        assert same(out, old) or same(out, new)
        if process.returncode == 0:
            assert same(out, new)
            finished += 1
            subprocess.run(per_tensor + ["-o", str(out), "--restart"], check=True)
        else:
            assert process.returncode in (-number, 128 + number)
            kills += 1
    subprocess.run(arguments + ["-o", str(out)], check=True)
    assert same(out, new)
    assert sorted(os.listdir(str(tmp_path))) == ["new", "old", "out"]
    print("%d kills, %d finished" % (kills, finished))
