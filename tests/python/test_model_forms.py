"""The forms in which the host's exporters write a model, on the command line.

Each is written by the real exporter, then given to run, calibrate and inspect, and what
these say is compared with the net as the host runs it in this process.
"""

import json
import os
import struct
import subprocess

import numpy as np
import pytest

import conftest
from caffe2.proto import caffe2_pb2, metanet_pb2
from caffe2.python import brew, core, model_helper, workspace
from caffe2.python.predictor import mobile_exporter, predictor_exporter

BINARY = os.path.join(os.path.dirname(os.path.dirname(conftest.PLUGIN)), "bin", "caffe2-quantize")
SAMPLES = 10

pytestmark = pytest.mark.skipif(not os.path.exists(BINARY),
                                reason="no caffe2-quantize beside the plugin")


def command(*arguments):
    return subprocess.run([BINARY] + [str(each) for each in arguments], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, universal_newlines=True)


def report(subcommand, *arguments):
    """The JSON of a command that succeeds."""
    done = command(subcommand, *arguments, "--json", "-")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def inspected(*arguments):
    """What inspect says of the first file."""
    return report("inspect", *arguments)["files"][0]


def refusal(*arguments):
    """The one line in which a command refuses."""
    done = command(*arguments, "--quiet")
    assert done.returncode == 1, (done.returncode, done.stdout, done.stderr)
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


def write(path, proto):
    path.write_bytes(proto.SerializeToString())
    return path


class Model:
    """A small net with weights in the workspace, data, and the scores that the host gives."""

    def __init__(self, folder):
        self.folder = folder
        self.helper = model_helper.ModelHelper("small")
        brew.conv(self.helper, "data", "c", 1, 4, 3)
        brew.relu(self.helper, "c", "c")
        brew.fc(self.helper, "c", "y", 4 * 6 * 6, 3)
        brew.softmax(self.helper, "y", "prob")
        self.helper.net.Proto().external_output.extend(["prob"])
        workspace.RunNetOnce(self.helper.param_init_net)
        self.params = [str(each) for each in self.helper.params]
        for name in self.params:
            shape = workspace.FetchBlob(name).shape
            workspace.FeedBlob(name, np.random.RandomState(1).randn(*shape).astype(np.float32))
        self.data = np.random.RandomState(0).randn(SAMPLES, 1, 8, 8).astype(np.float32)
        workspace.FeedBlob("data", self.data)
        workspace.RunNetOnce(self.helper.net)
        self.scores = workspace.FetchBlob("prob")
        self.labels = self.scores.argmax(axis=1).astype(np.int32)
        self.npz = folder / "data.npz"
        np.savez(str(self.npz), data=self.data, label=self.labels)

    def predictor(self, name="", parameters=None):
        path = self.folder / ("predictor%s.minidb" % name)
        predictor_exporter.save_to_db("minidb", str(path), predictor_exporter.PredictorExportMeta(
            predict_net=self.helper.net.Proto(), parameters=parameters or self.params,
            inputs=["data"], outputs=["prob"],
            shapes={"data": (1, 1, 8, 8), "prob": (1, 3)}, name=name))
        return path

    def mobile(self):
        init, predict = mobile_exporter.Export(workspace, self.helper.net, self.helper.params)
        return write(self.folder / "init.pb", init), write(self.folder / "predict.pb", predict)

    def minidb_without_names(self):
        path = self.folder / "samples.minidb"
        with path.open("wb") as stream:
            for i in range(SAMPLES):
                sample = caffe2_pb2.TensorProtos()
                image, label = sample.protos.add(), sample.protos.add()
                image.data_type = caffe2_pb2.TensorProto.FLOAT
                image.dims.extend(self.data[i].shape)
                image.float_data.extend(self.data[i].ravel().tolist())
                label.data_type = caffe2_pb2.TensorProto.INT32
                label.int32_data.append(int(self.labels[i]))
                key, value = b"%03d" % i, sample.SerializeToString()
                stream.write(struct.pack("<ii", len(key), len(value)) + key + value)
        return path

    def check(self, found):
        """That a report of run is that of this net on this data."""
        assert found["images"] == SAMPLES
        assert found["output"] == "prob"
        assert found["models"][0]["accuracy"] == 1
        output = found["models"][0]["min_max"]["operators"][-1]["outputs"][0]
        assert output["tensor_name"] == "prob"
        np.testing.assert_allclose([output["min"], output["max"]],
                                   [self.scores.min(), self.scores.max()], rtol=1e-4)


@pytest.fixture
def model(tmp_path):
    return Model(tmp_path)


# --- Predictors ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "small"])
def test_run_takes_a_predictor(model, name):
    path = model.predictor(name)
    found = report("run", "--predict", path, "--data", model.npz)
    model.check(found)
    assert found["models"][0]["label"] == path.stem
    assert found["notes"] == []
    # Samples without names go to the input that the predictor declares.
    model.check(report("run", "--predict", path, "--data", model.minidb_without_names()))


def test_a_predictor_goes_with_other_nets_and_weights(model):
    init, predict = model.mobile()
    path = model.predictor()
    found = report("run", "--predict", path, "--init", init, "--init", path,
                   "--data", model.npz)
    model.check(found)
    assert [each["label"] for each in found["models"]] == ["init", "predictor"]
    assert found["models"][1]["largest_output_change"] == 0
    model.check(report("run", "--predict", predict, "--init", path, "--data", model.npz))


def test_calibrate_takes_a_predictor(model):
    init, predict = model.mobile()
    by_nets, by_predictor = model.folder / "nets.json", model.folder / "predictor.json"
    report("calibrate", "--init", init, "--predict", predict, "--data", model.npz, "-o", by_nets)
    report("calibrate", "--predict", model.predictor(), "--data", model.npz, "-o", by_predictor)

    def operators(path):
        return json.loads(path.read_text())["operators"]

    assert operators(by_predictor) == operators(by_nets)


def test_inspect_tells_what_is_in_a_predictor(model):
    path = model.predictor()
    found = inspected(path)
    assert found["form"] == "minidb" and found["is_predictor"] and found["fault_count"] == 0
    assert [each["label"] for each in found["nets"]] == [
        "PREDICT_INIT_NET_TYPE", "GLOBAL_INIT_NET_TYPE", "PREDICT_NET_TYPE"]
    assert [each["name"] for each in found["tensors"]] == model.params
    assert command("inspect", path, "--float", path).returncode == 0


def test_a_tensor_in_several_records(tmp_path):
    # Save cuts at a million elements.
    net = core.Net("big")
    net.FC(["x", "w", "b"], "y")
    random = np.random.RandomState(0)
    workspace.FeedBlob("w", random.randn(3, 700001).astype(np.float32))
    workspace.FeedBlob("b", np.zeros(3, np.float32))
    x = random.randn(4, 700001).astype(np.float32)
    workspace.FeedBlob("x", x)
    workspace.RunNetOnce(net)
    scores = workspace.FetchBlob("y")
    np.savez(str(tmp_path / "d.npz"), x=x, label=scores.argmax(axis=1).astype(np.int32))
    path = tmp_path / "big.minidb"
    predictor_exporter.save_to_db("minidb", str(path), predictor_exporter.PredictorExportMeta(
        predict_net=net.Proto(), parameters=["w", "b"], inputs=["x"], outputs=["y"],
        shapes={"x": (1, 700001), "y": (1, 3)}))
    assert b"w#%2" in path.read_bytes()
    found = report("run", "--predict", path, "--data", tmp_path / "d.npz")
    assert found["models"][0]["accuracy"] == 1


def test_quantized_weights_of_a_predictor(model):
    """A QTensor among the parameters, dequantized by the predictor's own init net."""
    init = core.Net("dequantize")
    workspace.RunOperatorOnce(core.CreateOperator(
        "QTensorQuantize", ["y_w"], ["y_w_q"], precision=7))
    init.QTensorDequantize("y_w_q", "y_w")
    path = model.folder / "q.minidb"
    predictor_exporter.save_to_db("minidb", str(path), predictor_exporter.PredictorExportMeta(
        predict_net=model.helper.net.Proto(),
        parameters=[each for each in model.params if each != "y_w"] + ["y_w_q"],
        inputs=["data"], outputs=["prob"], shapes={"data": (1, 1, 8, 8), "prob": (1, 3)},
        global_init_net=init))
    # The exporter declares parameters and inputs alone; the net reads y_w, too.
    float_path = model.predictor()
    found = report("run", "--predict", float_path, "--init", float_path, "--init", path,
                   "--data", model.npz)
    assert [each["blob"] for each in found["models"][1]["qtensors"]] == ["y_w_q"]
    assert 0 < found["models"][1]["largest_output_change"] < 0.5
    compared = inspected(path, "--float", float_path)["against_float"]["weights"]
    assert [(each["blob"], each["weight"]) for each in compared] == [("y_w_q", "y_w")]


# --- Predictors that are broken ------------------------------------------------------------


def records(path):
    data, found, at = path.read_bytes(), [], 0
    while at < len(data):
        key_size, value_size = struct.unpack_from("<ii", data, at)
        key = data[at + 8:at + 8 + key_size]
        found.append((key, data[at + 8 + key_size:at + 8 + key_size + value_size]))
        at += 8 + key_size + value_size
    return found


def changed(path, change):
    """The predictor with `change` applied to the dict of its records."""
    entries = dict(records(path))
    change(entries)
    path.write_bytes(b"".join(struct.pack("<ii", len(key), len(value)) + key + value
                              for key, value in entries.items()))
    return path


def expect_refusal(model, path, *parts):
    """run and calibrate refuse in one line that names the file; inspect ends in order."""
    for subcommand in (["run"], ["calibrate", "-o", model.folder / "p.profile"]):
        line = refusal(*subcommand, "--predict", path, "--data", model.npz)
        assert line.startswith("caffe2-quantize: %s: " % path), line
        for part in parts:
            assert part in line
    assert not (model.folder / "p.profile").exists()
    assert command("inspect", path).returncode in (0, 1)


def test_a_predictor_that_is_cut_short(model):
    data = model.predictor().read_bytes()
    path = model.folder / "cut.minidb"
    for size in list(range(1, len(data), 499)) + [len(data) - 1]:
        path.write_bytes(data[:size])
        expect_refusal(model, path)
    expect_refusal(model, path, "offset", "value_size is ", "expected 0 to ")


def test_a_parameter_without_a_record(model):
    path = changed(model.predictor(), lambda entries: entries.pop(b"y_w#%0"))
    expect_refusal(model, path, "there is no record 'y_w', expected one for each parameter")


def test_a_predictor_without_nets(model):
    path = changed(model.predictor(), lambda entries: entries.pop(b"!!META_NET_DEF"))
    expect_refusal(model, path, "there is no record '!!META_NET_DEF', expected")


def test_a_key_of_the_nets_that_is_missing(model):
    def change(entries):
        blob = caffe2_pb2.BlobProto.FromString(entries[b"!!META_NET_DEF"])
        meta = metanet_pb2.MetaNetDef.FromString(blob.content)
        meta.nets[2].key = "OTHER"
        blob.content = meta.SerializeToString()
        entries[b"!!META_NET_DEF"] = blob.SerializeToString()

    expect_refusal(model, changed(model.predictor(), change),
                   "found 0 nets 'PREDICT_NET_TYPE' in its MetaNetDef, expected one",
                   "'PREDICT_INIT_NET_TYPE', 'GLOBAL_INIT_NET_TYPE', 'OTHER'")


@pytest.mark.parametrize("kind", ["Foo", "QTensor", "Int8TensorCPU"])
def test_a_record_of_another_type(model, kind):
    # Save numbers the records of a tensor, be there one.
    def change(entries):
        blob = caffe2_pb2.BlobProto.FromString(entries[b"c_w#%0"])
        blob.type = kind
        entries[b"c_w#%0"] = blob.SerializeToString()

    expect_refusal(model, changed(model.predictor(), change), "record 'c_w#%0': ")


@pytest.mark.parametrize("dims", [[1 << 40], [1 << 40, 1 << 40], [-1], [5, 1, 3, 3]])
@pytest.mark.parametrize("as_piece", [False, True])
def test_dims_that_the_file_does_not_have(model, dims, as_piece):
    def change(entries):
        blob = caffe2_pb2.BlobProto.FromString(entries[b"c_w#%0"])
        del blob.tensor.dims[:]
        blob.tensor.dims.extend(dims)
        blob.tensor.ClearField("segment")
        if as_piece:
            blob.tensor.segment.begin = 0
            blob.tensor.segment.end = 36
        entries[b"c_w#%0"] = blob.SerializeToString()

    expect_refusal(model, changed(model.predictor(), change), "'c_w", "expected" if as_piece
                   and dims == [5, 1, 3, 3] else "dims")


def test_a_record_that_says_it_is_huge(model):
    path = model.predictor()
    data = bytearray(path.read_bytes())
    data[4:8] = struct.pack("<i", 0x7FFFFFFF)
    path.write_bytes(bytes(data))
    expect_refusal(model, path, "value_size is 2147483647, expected 0 to ")


def test_a_minidb_of_samples_is_no_predictor(model):
    expect_refusal(model, model.minidb_without_names(), "'!!META_NET_DEF'")


# --- Init nets of the other exporters ------------------------------------------------------


@pytest.mark.parametrize("given", [[], ["--input", "data"]])
def test_mobile_exporter(model, given):
    init, predict = model.mobile()
    assert [op.output[0] for op in caffe2_pb2.NetDef.FromString(init.read_bytes()).op][-1] == "data"
    weights = ["run", "--predict", predict, "--init", init]
    model.check(report(*weights, "--data", model.npz, *given))
    model.check(report(*weights, "--data", model.minidb_without_names(), *given))


@pytest.mark.parametrize("declares_weights", [True, False])
def test_onnx_importer(model, declares_weights):
    """Of onnx since 1.9, the init net holds the whole model; a model of IR 4 and later does
    not declare its weights as inputs, and neither does the predict net."""
    import onnx
    from onnx import helper, numpy_helper

    from caffe2.python.onnx.backend import Caffe2Backend

    values = [numpy_helper.from_array(workspace.FetchBlob(name), name) for name in model.params]
    inputs = [("data", [1, 1, 8, 8])]
    if declares_weights:
        inputs += [(each.name, each.dims) for each in values]

    def value_info(name, dims):
        return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, list(dims))

    graph = helper.make_graph(
        [helper.make_node("Conv", ["data", "c_w", "c_b"], ["c"], kernel_shape=[3, 3]),
         helper.make_node("Relu", ["c"], ["r"]),
         helper.make_node("Flatten", ["r"], ["f"]),
         helper.make_node("Gemm", ["f", "y_w", "y_b"], ["y"], transB=1),
         helper.make_node("Softmax", ["y"], ["prob"], axis=1)],
        "small", [value_info(*each) for each in inputs], [value_info("prob", [1, 3])], values)
    init, predict = Caffe2Backend.onnx_graph_to_caffe2_net(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9)]))
    assert "Softmax" in [op.type for op in init.op]
    assert ("c_w" in predict.external_input) == declares_weights
    arguments = ["--init", write(model.folder / "init.pb", init),
                 "--predict", write(model.folder / "predict.pb", predict)]
    for data in (model.npz, model.minidb_without_names()):
        found = report("run", *arguments, "--data", data)
        model.check(found)
        assert any("operators make no weights and are left out" in note
                   for note in found["notes"])
    found = report("calibrate", *arguments, "--data", model.npz, "-o", model.folder / "p.json")
    assert found["samples"] == SAMPLES
    assert inspected(model.folder / "init.pb")["fault_count"] == 0


def test_an_empty_init_net(model):
    net = core.Net("no_weights")
    net.Flatten("data", "prob")
    net.Proto().external_input.extend(["data"])
    net.Proto().external_output.extend(["prob"])
    predict = write(model.folder / "predict.pb", net.Proto())
    for init in (caffe2_pb2.NetDef(), core.Net("init").Proto()):
        path = write(model.folder / "empty.pb", init)
        found = report("run", "--init", path, "--predict", predict, "--data", model.npz)
        assert found["notes"] == ["%s: no operators, so it makes no weights" % path]
    line = refusal("run", "--init", path, "--predict", model.mobile()[1], "--data", model.npz)
    assert "inputs that neither" in line


def test_an_input_that_no_operator_reads(model):
    init, predict = model.mobile()
    net = caffe2_pb2.NetDef.FromString(predict.read_bytes())
    net.external_input.insert(0, "im_info")
    write(predict, net)
    for data in (model.npz, model.minidb_without_names()):
        found = report("run", "--init", init, "--predict", predict, "--data", data)
        model.check(found)
        assert ["im_info" in note for note in found["notes"]].count(True) == 1


def test_samples_without_values(model):
    init, predict = model.mobile()
    path = model.folder / "empty.npz"
    np.savez(str(path), data=np.zeros((4, 1, 0, 8), np.float32))
    line = refusal("run", "--init", init, "--predict", predict, "--data", path)
    assert "%s: array 'data': is empty" % path in line
    assert "[4, 1, 0, 8]" in line


# --- Text ----------------------------------------------------------------------------------


def test_a_text_says_where_it_is_wrong(model):
    init, predict = model.mobile()
    text = str(caffe2_pb2.NetDef.FromString(predict.read_bytes()))
    path = model.folder / "predict.pbtxt"
    path.write_text(text)
    model.check(report("run", "--init", init, "--predict", path, "--data", model.npz))
    path.write_text(text.replace('type: "Relu"', 'tyqe: "Relu"'))
    line = 1 + text[:text.index('type: "Relu"')].count("\n")
    where = ("line %d, column 3: NetDef.op[1]: found tyqe, expected a field of OperatorDef" % line)
    for subcommand in (["run"], ["calibrate", "-o", model.folder / "p.profile"]):
        assert where in refusal(*subcommand, "--init", init, "--predict", path,
                                "--data", model.npz)
    assert where in command("inspect", path).stderr
