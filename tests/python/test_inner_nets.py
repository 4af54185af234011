"""A net with an LSTM, an If and a While: its inputs, and what is within, as numpy says."""

import collections
import json
import os
import subprocess

import numpy as np
import pytest

import reference
from caffe2.proto import caffe2_pb2
from caffe2.python import core, model_helper, rnn_cell, workspace
from caffe2_quantization import calibrate, observers, plots, profiles
from conftest import CHECKOUT
from reference import Observed

BINS = 512
FEATURES, HIDDEN, BATCH = 3, 4, 2
SEED = int(os.environ.get("CAFFE2_QUANTIZATION_TEST_SEED", 0)) or np.random.randint(2 ** 31)


def inner_net(name, operators, inputs):
    net = caffe2_pb2.NetDef(name=name, type="simple", external_input=inputs)
    net.op.extend(operators)
    return net


def with_nets(op_type, inputs, outputs, **nets):
    op = core.CreateOperator(op_type, inputs, outputs)
    for name, net in sorted(nets.items()):
        argument = op.arg.add(name=name)
        argument.n.CopyFrom(net)
    return op


def make_net(executor=True):
    """0 FC and 1 RecurrentNetwork of the LSTM, 2 If, 3 While."""
    model = model_helper.ModelHelper("whole")
    _, last, _, _ = rnn_cell.LSTM(model, "seq", "lengths", ("h0", "c0"), FEATURES, HIDDEN,
                                  "lstm", forward_only=True)
    net = caffe2_pb2.NetDef()
    net.CopyFrom(model.net.Proto())
    net.name = "whole"  # which Caffe2 numbers
    last = str(last)
    # Both branches write one blob; the loop writes what it reads.
    net.op.extend([
        with_nets("If", ["condition"], ["branch"],
                  then_net=inner_net("then", [core.CreateOperator("Relu", last, "branch")],
                                     [last]),
                  else_net=inner_net("else", [core.CreateOperator("Negative", last, "branch"),
                                              core.CreateOperator("Relu", "branch", "branch")],
                                     [last])),
        with_nets("While", ["go_on"], [],
                  loop_net=inner_net("loop", [
                      core.CreateOperator("Add", ["sum", "branch"], "sum"),
                      core.CreateOperator("Add", ["count", "one"], "count")],
                                     ["sum", "branch", "count", "one"]),
                  cond_net=inner_net("condition", [
                      core.CreateOperator("LT", ["count", "limit"], "go_on")],
                                     ["count", "limit"])),
    ])
    net.external_input.extend(["condition", "go_on", "sum", "count", "one", "limit"])
    for argument in net.op[1].arg:
        if argument.name == "enable_rnn_executor":
            argument.i = int(executor)
    return net


def feed_weights(rng):
    """Weights whose products are exact in any order: one power of two in each row."""
    for name, columns in (("i2h", FEATURES), ("gates_t", HIDDEN)):
        weight = np.zeros((4 * HIDDEN, columns), np.float32)
        weight[np.arange(4 * HIDDEN), rng.randint(columns, size=4 * HIDDEN)] = (
            2.0 ** rng.randint(-2, 3, size=4 * HIDDEN))
        workspace.FeedBlob("lstm/%s_w" % name, weight)
        workspace.FeedBlob("lstm/%s_b" % name, rng.randn(4 * HIDDEN).astype(np.float32))


def random_batch(rng, steps=None):
    steps = steps or rng.randint(1, 7)
    return {
        "seq": rng.randn(steps, BATCH, FEATURES).astype(np.float32),
        "lengths": np.full(BATCH, steps, np.int32),
        "h0": rng.uniform(-1, 1, (1, BATCH, HIDDEN)).astype(np.float32),
        "c0": rng.uniform(-1, 1, (1, BATCH, HIDDEN)).astype(np.float32),
        "condition": np.array([rng.rand() < 0.5]),
        "go_on": np.array([True]),
        "sum": np.zeros((1, BATCH, HIDDEN), np.float32),
        "count": np.array([0], np.int64),
        "one": np.array([1], np.int64),
        "limit": np.array([rng.randint(0, 4)], np.int64),
    }


def expected_of(batch):
    """What a run that has ended made: [(path, output, name, array)]."""
    made = []

    def add(path, index, name, array):
        made.append((path, index, name, np.asarray(array)))

    weight, bias = (workspace.FetchBlob("lstm/gates_t_" + part) for part in "wb")
    hidden = workspace.FetchBlob("lstm/hidden_state_all")
    cells = workspace.FetchBlob("lstm/cell_state_all")
    given = workspace.FetchBlob("lstm/i2h")
    before = batch["h0"][0]
    for step in range(len(hidden)):
        gates = (before.dot(weight.T) + bias)[np.newaxis]
        add("1/step_net/0", 0, "lstm/gates_t", gates)
        add("1/step_net/1", 0, "lstm/gates_t", gates + given[step])
        add("1/step_net/2", 0, "lstm/hidden_state", hidden[step][np.newaxis])
        add("1/step_net/2", 1, "lstm/cell_state", cells[step][np.newaxis])
        before = hidden[step]
    last = hidden[-1:]
    if batch["condition"][0]:
        branch = np.maximum(last, 0)
        add("2/then_net/0", 0, "branch", branch)
    else:
        branch = np.maximum(-last, 0)
        add("2/else_net/0", 0, "branch", -last)
        add("2/else_net/1", 0, "branch", branch)
    total = batch["sum"]
    for count in range(batch["limit"][0] + 1):
        add("3/cond_net/0", 0, "go_on", np.array([count < batch["limit"][0]]))
        if count == batch["limit"][0]:
            break
        total = total + branch
        add("3/loop_net/0", 0, "sum", total)
        add("3/loop_net/1", 0, "count", np.array([count + 1], np.int64))
    return made


class Recording(object):
    """What runs took, by numpy."""

    def __init__(self):
        self.inner = collections.OrderedDict()  # (path, index, name): arrays
        self.inputs = collections.OrderedDict()  # name: arrays

    def add(self, batch):
        for path, index, name, array in expected_of(batch):
            self.inner.setdefault((path, index, name), []).append(Observed(array))
        for name, array in batch.items():
            self.inputs.setdefault(name, []).append(Observed(array))

    def compare(self, profile):
        found = {(op["path"], each["output_index"], each["tensor_name"]): each
                 for op in profile["operators"] for each in op["outputs"]
                 if "/" in op["path"] and each["runs"]}
        assert sorted(found) == sorted(self.inner)
        for key, arrays in self.inner.items():
            assert found[key] == reference.output(key[1], key[2], arrays, BINS), key
        paths = [op["path"] for op in profile["operators"]]
        assert len(set(paths)) == len(paths)
        # All that is fed and nothing that is a weight, by its place in external_input.
        places = {name: index for index, name in enumerate(make_net().external_input)}
        assert [each["tensor_name"] for each in profile["inputs"]] == sorted(
            self.inputs, key=places.get)
        for each in profile["inputs"]:
            name = each["tensor_name"]
            assert each == reference.output(places[name], name, self.inputs[name],
                                            BINS), name


@pytest.fixture(autouse=True)
def fresh_workspace():
    print("CAFFE2_QUANTIZATION_TEST_SEED=%d" % SEED)
    workspace.ResetWorkspace()
    yield
    workspace.ResetWorkspace()


def run(net, batch):
    for name, array in batch.items():
        workspace.FeedBlob(name, array)
    workspace.RunNet(net.name)


@pytest.mark.parametrize("executor", [True, False])
def test_every_inner_output_and_input_is_what_numpy_says(executor, tmp_path):
    rng = np.random.RandomState(SEED)
    feed_weights(rng)
    for name, array in random_batch(rng).items():
        workspace.FeedBlob(name, array)
    net = make_net(executor)
    workspace.CreateNet(net)
    observers.attach(net, histogram_bins=BINS, format="profile")
    recording = Recording()
    for _ in range(25):
        batch = random_batch(rng)
        run(net, batch)
        recording.add(batch)
    for form in ("profile", "profile_json"):
        path = str(tmp_path / form)
        observers.dump(net, path, format=form)
        profile = profiles.read_profile(path)
        assert profile["format_version"] == 2
        recording.compare(profile)
    info = observers.info(net)
    assert [op["path"] for op in info["operators"]] == [
        "0", "1", "1/step_net/0", "1/step_net/1", "1/step_net/2", "2", "2/then_net/0",
        "2/else_net/0", "2/else_net/1", "3", "3/loop_net/0", "3/loop_net/1",
        "3/cond_net/0"]
    assert [(op["op_index"], op["step_index"]) for op in info["operators"]][2:6] == [
        (1, 0), (1, 1), (1, 2), (2, -1)]
    # The older forms have the net's own operators, as upstream's.
    observers.dump(net, str(tmp_path / "text"), format="min_max")
    lines = observers.read_minmax(str(tmp_path / "text"))
    assert [line.op_index for line in lines] == [0] + [1] * 5 + [2]


def test_weights_are_recorded_when_they_are_named():
    rng = np.random.RandomState(SEED)
    feed_weights(rng)
    net = make_net()
    batch = random_batch(rng)
    for name, array in batch.items():
        workspace.FeedBlob(name, array)
    workspace.CreateNet(net)
    observers.attach(net, input_names=["lstm/*_w", "seq"])
    run(net, batch)
    inputs = observers.info(net)["inputs"]
    assert [each["tensor_name"] for each in inputs] == [
        "seq", "lstm/i2h_w", "lstm/gates_t_w"]
    assert inputs[0]["max"] == batch["seq"].max()
    with pytest.raises(RuntimeError, match="has no external input 'seqs'"):
        observers.attach(net, input_names=["seqs"], observer="other")


@pytest.mark.parametrize("shards", [1, 2, 7])
def test_merged_shards_are_the_single_run(shards, tmp_path):
    rng = np.random.RandomState(SEED)
    feed_weights(rng)
    batches = [random_batch(rng) for _ in range(14)]
    weights = {name: workspace.FetchBlob(name) for name in workspace.Blobs()}

    def profile_of(batches, path):
        workspace.ResetWorkspace()
        for name, array in weights.items():
            workspace.FeedBlob(name, array)
        calibrate(make_net(), batches, path, histogram_bins=BINS)

    profile_of(batches, str(tmp_path / "single"))
    recording = Recording()
    net = make_net()
    net.name = "again"
    workspace.CreateNet(net)
    for batch in batches:
        run(net, batch)
        recording.add(batch)
    recording.compare(profiles.read_profile(str(tmp_path / "single")))
    parts = [str(tmp_path / ("part%d" % shard)) for shard in range(shards)]
    for shard, path in enumerate(parts):
        profile_of(batches[shard::shards], path)
    profiles.merge_profiles(parts[::-1], str(tmp_path / "merged"))
    single, merged = (profiles.read_profile(str(tmp_path / name))
                      for name in ("single", "merged"))
    del single["provenance"], merged["provenance"]
    assert merged == single


def test_a_checkpoint_holds_inner_outputs_and_inputs(tmp_path):
    rng = np.random.RandomState(SEED)
    feed_weights(rng)
    batches = [random_batch(rng) for _ in range(8)]
    path = str(tmp_path / "net.profile")

    class Stop(Exception):
        pass

    def until_it_breaks():
        for batch in batches[:5]:
            yield batch
        raise Stop()

    with pytest.raises(Stop):
        calibrate(make_net(), until_it_breaks(), path, histogram_bins=BINS,
                  checkpoint_every=2)
    assert os.path.exists(path + ".checkpoint")
    profile = calibrate(make_net(), batches, path, histogram_bins=BINS)
    recording = Recording()
    net = make_net()
    net.name = "again"
    workspace.CreateNet(net)
    for batch in batches:
        run(net, batch)
        recording.add(batch)
    recording.compare(profile)


def test_inspect_and_plots_show_them(tmp_path):
    pytest.importorskip("matplotlib")
    rng = np.random.RandomState(SEED)
    feed_weights(rng)
    path = str(tmp_path / "net.profile")
    batches = [dict(random_batch(rng), condition=np.array([k == 0])) for k in range(2)]
    calibrate(make_net(), batches, path, histogram_bins=BINS)
    tool = os.path.join(CHECKOUT, "build", "bin", "caffe2-quantize")
    text = subprocess.run([tool, "inspect", path], check=True, stdout=subprocess.PIPE,
                          universal_newlines=True).stdout
    assert "format version 2, 2 of 2 runs recorded" in text
    assert "10 external inputs, 13 operators" in text
    for start in ("input  ", "1/step_net/2  ", "2/then_net/0  ", "3/loop_net/1  "):
        assert "\n" + start in text
    report = json.loads(subprocess.run(
        [tool, "inspect", path, "--json", "-"], check=True, stdout=subprocess.PIPE,
        universal_newlines=True).stdout)["files"][0]
    assert report["form"] == "profile"
    assert [each["tensor_name"] for each in report["profile"]["inputs"]][0] == "seq"
    assert report["profile"]["operators"][2]["path"] == "1/step_net/0"
    page = plots.plot_profile(path, str(tmp_path / "plots")).page
    with open(page, encoding="utf-8") as stream:
        html = stream.read()
    for place in ("input", "1/step_net/2", "2/else_net/0"):
        assert "<td>%s</td>" % place in html or ">%s</td>" % place in html
