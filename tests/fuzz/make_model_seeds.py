#!/usr/bin/env python3
"""Writes the seeds of the inspection's fuzz target: small files of every form, made by Caffe2 itself.

    .deps/venv/bin/python tests/fuzz/make_model_seeds.py            into corpus/inspect/

Needs caffe2.python. Besides the files of examples/digits that are small, these are nets with every kind of argument,
a database that Save wrote in chunks, a predictor as predictor_exporter writes it, and text forms of them.
"""

import os
import pathlib

import numpy as np
from caffe2.proto import caffe2_pb2
from caffe2.python import core, workspace
from caffe2.python.predictor import predictor_exporter

HERE = pathlib.Path(__file__).resolve().parent
CORPUS = HERE / "corpus" / "inspect"
DIGITS = HERE.parent.parent / "examples" / "digits"


def remove(name):
    """Save adds to a database that is there."""
    if os.path.exists(name):
        os.remove(name)


def write(name, message):
    (CORPUS / (name + ".pb")).write_bytes(message.SerializeToString())
    (CORPUS / (name + ".pbtxt")).write_text(str(message))


def qtensor(proto, per_channel=False):
    proto.dims.extend([2, 3])
    proto.precision = 3
    proto.scale = 0.5
    proto.bias = -1
    proto.is_signed = True
    proto.data.extend([0xAC, 0x64, 0x0C, 0x48])
    proto.name = "q"
    if per_channel:
        proto.scales.extend([0.5, 2])
        proto.biases.extend([0, 1])
        proto.axis = 0
        proto.is_multiparam = True
        proto.data_type = caffe2_pb2.TensorProto.FLOAT


def tensors():
    protos = caffe2_pb2.TensorProtos()
    for name, data_type, field, values in (
        ("f", "FLOAT", "float_data", [1.5, float("nan"), float("-inf")]),
        ("d", "DOUBLE", "double_data", [0.1, -2, 3]),
        ("i", "INT32", "int32_data", [-1, 2, 300]),
        ("l", "INT64", "int64_data", [-(1 << 62), 0, 7]),
        ("h", "FLOAT16", "int32_data", [0x3C00, 0xBC00, 0x7C00]),
        ("b", "BOOL", "int32_data", [1, 0, 1]),
    ):
        proto = protos.protos.add(name=name, data_type=getattr(caffe2_pb2.TensorProto, data_type), dims=[3])
        getattr(proto, field).extend(values)
    protos.protos.add(name="y", data_type=caffe2_pb2.TensorProto.BYTE, dims=[4], byte_data=b"\x00\x7f\x80\xff")
    text = protos.protos.add(name="s", data_type=caffe2_pb2.TensorProto.STRING, dims=[2])
    text.string_data.extend([b"one", b"\x01two\n\xff"])
    part = protos.protos.add(name="p", data_type=caffe2_pb2.TensorProto.FLOAT, dims=[4], float_data=[1, 2])
    part.segment.begin = 1
    part.segment.end = 3
    protos.protos.add(name="w", data_type=caffe2_pb2.TensorProto.UINT8, dims=[2], raw_data=b"\x01\x02")
    protos.protos.add(name="none", dims=[0, 5])
    return protos


def net():
    fill = core.Net("fill")
    fill.GivenTensorFill([], "w", shape=[2, 2], values=np.array([1, -2, 3, 4], dtype=np.float32))
    fill.GivenTensorIntFill([], "n", shape=[3], values=[1, 2, 3])
    fill.GivenTensorStringFill([], "s", shape=[2], values=["a", "bc"])
    fill.GivenTensorByteStringToUInt8Fill([], "u", shape=[4], values=[b"\x00\x10\x80\xff"])
    fill.Int8GivenTensorFill([], "q8", shape=[4], values=b"\x00\x10\x80\xff", Y_scale=0.5, Y_zero_point=128)
    fill.ConstantFill([], "z", shape=[1], value=0.5)
    proto = fill.Proto()
    proto.type = "simple"
    proto.num_workers = 2
    proto.external_output.extend(["w"])
    quantized = proto.op.add(type="GivenQTensorFill", output=["q", "r"], engine="ONEDNN", name="quantized")
    argument = quantized.arg.add(name="qtensors")
    qtensor(argument.qtensors.add())
    qtensor(argument.qtensors.add(), per_channel=True)
    nested = proto.op.add(type="If", input=["c"], output=["o"])
    inner = nested.arg.add(name="then_net").n
    inner.op.add(type="Copy", input=["a"], output=["o"]).device_option.device_type = caffe2_pb2.CUDA
    inner.op[0].arg.add(name="deep").nets.add(name="deep").op.add(type="Relu", input=["o"], output=["o"])
    other = nested.arg.add(name="tensors")
    other.tensors.extend(tensors().protos[:2])
    other.t.CopyFrom(tensors().protos[2])
    return proto


def blob(name):
    return workspace.SerializeBlob(name)


def main():
    CORPUS.mkdir(parents=True, exist_ok=True)
    os.chdir(CORPUS)
    predict = caffe2_pb2.NetDef()
    predict.ParseFromString((DIGITS / "predict_net.pb").read_bytes())
    write("predict_net", predict)
    write("every_argument", net())
    write("tensors", tensors())

    holder = caffe2_pb2.BlobProto(name="q", type="QTensor")
    qtensor(holder.qtensor, per_channel=True)
    write("qtensor", holder)
    wide = caffe2_pb2.BlobProto(name="wide", type="QTensor")
    wide.qtensor.dims.append(9)
    wide.qtensor.precision = 64
    wide.qtensor.scale = -0.5
    wide.qtensor.bias = 3
    wide.qtensor.is_signed = True
    wide.qtensor.data.extend(i * 73 & 0xFF for i in range(130))
    write("wide_qtensor", wide)

    workspace.FeedBlob("f", np.arange(12, dtype=np.float32).reshape(3, 4))
    workspace.FeedBlob("s", np.array([b"ab", b"c"], dtype=object))
    workspace.FeedBlob("h", np.arange(4).astype(np.float16))
    workspace.FeedBlob("i", np.arange(-3, 3).astype(np.int8))
    workspace.FeedBlob("text", b"hello")
    workspace.RunOperatorOnce(core.CreateOperator("Int8Quantize", ["f"], ["q8"], Y_scale=0.1, Y_zero_point=3))
    for name in ("f", "q8", "text"):
        (CORPUS / f"{name}.blob").write_bytes(blob(name))
    remove("chunks.minidb")
    names = ["f", "s", "h", "i", "text", "q8"]
    workspace.RunOperatorOnce(
        core.CreateOperator("Save", names, [], absolute_path=1, db="chunks.minidb", db_type="minidb", chunk_size=5)
    )

    small = core.Net("small")
    small.FC(["x", "w", "b"], "y")
    workspace.FeedBlob("w", np.eye(2, dtype=np.float32))
    workspace.FeedBlob("b", np.zeros(2, dtype=np.float32))
    meta = predictor_exporter.PredictorExportMeta(
        predict_net=small.Proto(), parameters=["w", "b"], inputs=["x"], outputs=["y"], shapes={"x": (1, 2), "y": (1, 2)}
    )
    remove("predictor.minidb")
    predictor_exporter.save_to_db("minidb", "predictor.minidb", meta)
    meta_net = predictor_exporter.get_meta_net_def(meta, db_type="minidb")
    predictor_exporter.set_model_info(meta_net, "project", "class", "1")
    meta_net.applicationSpecificInfo.add(key="key", value="value")
    plan = meta_net.plans.add(key="plan").value
    plan.name = "plan"
    plan.network.add(name="in_plan").op.add(type="Relu", input=["x"], output=["y"])
    plan.execution_step.add(name="step").network.append("in_plan")
    bound = meta_net.tensorBoundShapes.shapes.add(name="x")
    bound.dim_type.append(caffe2_pb2.TensorBoundShape.BATCH)
    bound.shape.dims.append(1)
    write("meta_net", meta_net)


if __name__ == "__main__":
    main()
