"""QTensors: filled from a NetDef, dequantized, written, read, and refused."""

import numpy as np
import pytest

from caffe2.proto import caffe2_pb2
from caffe2.python import core, workspace

SEEDS = range(40)


def random_proto(seed):
    """Returns a QTensorProto and the integers that its bit planes hold."""
    rng = np.random.RandomState(seed)
    shape = rng.randint(1, 12, size=rng.randint(1, 5)).tolist()
    precision = int(rng.randint(1, 17))
    is_signed = bool(rng.randint(2))
    magnitudes = rng.randint(0, 2 ** precision, size=shape).astype(np.int64)
    negative = rng.randint(0, 2, size=shape).astype(bool) & is_signed
    proto = pack(magnitudes, negative, precision, is_signed, scale=float(rng.randn()),
                 bias=float(rng.randn()))
    return proto, np.where(negative, -magnitudes, magnitudes)


def pack(magnitudes, negative, precision, is_signed, scale, bias):
    # Plane b holds bit b of every magnitude; the signs, if any, are a plane more.
    # Within a byte the first element has the most significant bit.
    planes = [[(int(each) >> bit) & 1 for each in magnitudes.ravel()]
              for bit in range(precision)]
    if is_signed:
        planes.append(negative.ravel())
    proto = caffe2_pb2.QTensorProto()
    proto.dims.extend(magnitudes.shape)
    proto.precision = precision
    proto.scale = scale
    proto.bias = bias
    proto.is_signed = is_signed
    data = np.packbits(np.array(planes, dtype=np.uint8), axis=1)
    proto.data.extend(data.ravel().tolist())
    return proto


def fill_op(name, *protos):
    op = core.CreateOperator("GivenQTensorFill", [], [name] if len(protos) == 1 else
                             ["%s_%d" % (name, i) for i in range(len(protos))])
    op.arg.add(name="qtensors").qtensors.extend(protos)
    return op


def dequantize(name):
    workspace.RunOperatorOnce(core.CreateOperator("QTensorDequantize", [name], ["values"]))
    return workspace.FetchBlob("values")


def blob_proto(proto, name="q"):
    blob = caffe2_pb2.BlobProto()
    blob.name = name
    blob.type = "QTensor"
    blob.qtensor.CopyFrom(proto)
    return blob


def read(data):
    blob = caffe2_pb2.BlobProto()
    blob.ParseFromString(data)
    return blob


def assert_same_floats(found, expected):
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found.view(np.uint32),
                                  expected.astype(np.float32).view(np.uint32))


@pytest.mark.parametrize("seed", SEEDS)
def test_fill_and_dequantize(seed):
    proto, integers = random_proto(seed)
    workspace.RunOperatorOnce(fill_op("q", proto))
    assert_same_floats(dequantize("q"), proto.scale * (integers + proto.bias))


@pytest.mark.parametrize("precision", range(17, 65))
@pytest.mark.parametrize("is_signed", [False, True])
def test_precisions_up_to_64(precision, is_signed):
    rng = np.random.RandomState(precision)
    magnitudes = rng.randint(0, 2 ** 64, size=21, dtype=np.uint64)
    magnitudes >>= np.uint64(64 - precision)
    negative = (rng.rand(21) < 0.5) & is_signed
    proto = pack(magnitudes, negative, precision, is_signed, scale=0.37, bias=1.5)
    workspace.RunOperatorOnce(fill_op("q", proto))
    # From here on in double precision, each integer rounded to it once.
    values = np.where(negative, -1.0, 1.0) * magnitudes.astype(np.float64)
    assert_same_floats(dequantize("q"), proto.scale * (values + proto.bias))


@pytest.mark.parametrize("seed", SEEDS)
def test_fill_and_dequantize_per_channel(seed):
    rng = np.random.RandomState(1000 + seed)
    proto, integers = random_proto(seed)
    axis = seed % integers.ndim
    channels = integers.shape[axis]
    proto.is_multiparam = True
    proto.axis = axis
    proto.scales.extend(rng.rand(channels) + 0.1)
    proto.biases.extend(rng.randn(channels))
    workspace.RunOperatorOnce(fill_op("q", proto))
    along = [1] * integers.ndim
    along[axis] = channels
    expected = (np.array(proto.scales).reshape(along)
                * (integers + np.array(proto.biases).reshape(along)))
    assert_same_floats(dequantize("q"), expected)


def test_several_in_one_operator():
    protos = [random_proto(seed) for seed in range(3)]
    workspace.RunOperatorOnce(fill_op("q", *[proto for proto, _ in protos]))
    for index, (proto, integers) in enumerate(protos):
        assert_same_floats(dequantize("q_%d" % index),
                           proto.scale * (integers + proto.bias))


@pytest.mark.parametrize("seed", SEEDS)
def test_blob_to_bytes_and_back(seed):
    proto, integers = random_proto(seed)
    workspace.RunOperatorOnce(fill_op("q", proto))
    data = workspace.SerializeBlob("q")
    written = read(data)
    assert (written.name, written.type) == ("q", "QTensor")
    for field in ("dims", "precision", "scale", "bias", "is_signed", "data"):
        assert getattr(written.qtensor, field) == getattr(proto, field), field
    workspace.DeserializeBlob("again", data)
    assert_same_floats(dequantize("again"), proto.scale * (integers + proto.bias))
    written.name = "again"
    assert read(workspace.SerializeBlob("again")).qtensor.data == proto.data


HOST = """
import sys
import numpy as np
from caffe2.python import workspace
assert "ByteWeightQuant" not in workspace.RegisteredOperators()
given = np.load(sys.argv[1], allow_pickle=True)["blobs"]
blobs = np.empty(len(given), dtype=object)
for index, data in enumerate(given):
    workspace.DeserializeBlob("q", data)
    blobs[index] = workspace.SerializeBlob("q")
np.savez(sys.argv[2], blobs=blobs)
"""


def test_same_bytes_as_the_host(run_python, tmp_path):
    blobs = np.empty(len(SEEDS), dtype=object)
    for seed in SEEDS:
        workspace.RunOperatorOnce(fill_op("q", random_proto(seed)[0]))
        blobs[seed] = workspace.SerializeBlob("q")
    np.savez(str(tmp_path / "ours.npz"), blobs=blobs)
    run_python(HOST, "ours.npz", "hosts.npz")
    hosts = np.load(str(tmp_path / "hosts.npz"), allow_pickle=True)["blobs"]
    for seed in SEEDS:
        assert blobs[seed] == hosts[seed], "seed %d" % seed
        workspace.DeserializeBlob("q", hosts[seed])
        assert workspace.SerializeBlob("q") == hosts[seed], "seed %d" % seed


def valid_proto():
    return pack(np.arange(20, dtype=np.int64).reshape(4, 5), np.zeros((4, 5), dtype=bool),
                precision=5, is_signed=True, scale=0.5, bias=1.0)


def per_channel(proto, axis=0, scales=(1, 1, 1, 1), biases=(0, 0, 0, 0)):
    proto.is_multiparam = True
    proto.axis = axis
    proto.scales.extend(scales)
    proto.biases.extend(biases)


def set_dims(proto, *dims):
    del proto.dims[:]
    proto.dims.extend(dims)


def set_data(proto, index, value):
    proto.data[index] = value


HOSTILE = {
    "precision of 0": (lambda p: setattr(p, "precision", 0), "precision is 0"),
    "precision below 0": (lambda p: setattr(p, "precision", -8), "precision is -8"),
    "precision above 64": (lambda p: setattr(p, "precision", 65), "precision is 65"),
    "scale NaN": (lambda p: setattr(p, "scale", np.nan), "scale is nan"),
    "scale infinite": (lambda p: setattr(p, "scale", np.inf), "scale is inf"),
    "bias NaN": (lambda p: setattr(p, "bias", np.nan), "bias is nan"),
    "dim below 0": (lambda p: set_dims(p, 4, -5), r"dims\[1\] is -5"),
    "two dims below 0": (lambda p: set_dims(p, -4, -5), r"dims\[0\] is -4"),
    "dim beyond int": (lambda p: set_dims(p, 1 << 40), r"dims\[0\] is 1099511627776"),
    "product beyond 63 bits": (lambda p: set_dims(p, 1 << 30, 1 << 30, 1 << 30),
                               "dims has a product of more than 63 bits"),
    "dims beyond the data": (lambda p: set_dims(p, 1 << 30, 1 << 30),
                             "data has 18 values, expected 6 planes of"),
    "data too short": (lambda p: p.data.pop(), "data has 17 values"),
    "data too long": (lambda p: p.data.append(0), "data has 19 values"),
    "no data": (lambda p: p.ClearField("data"), "data has 0 values"),
    "data above 255": (lambda p: set_data(p, 7, 256), r"data\[7\] is 256"),
    "data below 0": (lambda p: set_data(p, 17, -1), r"data\[17\] is -1"),
    "axis beyond the dims": (lambda p: per_channel(p, axis=2), "axis is 2"),
    "axis below 0": (lambda p: per_channel(p, axis=-1), "axis is -1"),
    "scales too few": (lambda p: per_channel(p, scales=[1]), "scales has 1 elements"),
    "biases too many": (lambda p: per_channel(p, biases=[0] * 5), "biases has 5 elements"),
    "a scale of 0": (lambda p: per_channel(p, scales=[1, 1, 0, 1]), r"scales\[2\] is 0"),
    "a scale infinite": (lambda p: per_channel(p, scales=[1, 1, 1, np.inf]),
                         r"scales\[3\] is inf"),
    "a bias NaN": (lambda p: per_channel(p, biases=[np.nan, 0, 0, 0]),
                   r"biases\[0\] is nan"),
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_a_hostile_message_is_refused_and_the_blob_left_alone(name):
    corrupt, message = HOSTILE[name]
    workspace.RunOperatorOnce(fill_op("q", random_proto(0)[0]))
    workspace.FeedBlob("tensor", np.float32([1, 2]))
    before = workspace.SerializeBlob("q")
    proto = valid_proto()
    corrupt(proto)
    for blob in ("q", "tensor"):
        with pytest.raises(RuntimeError, match="QTensor '%s': field %s" % (blob, message)):
            workspace.DeserializeBlob(blob, blob_proto(proto, blob).SerializeToString())
        with pytest.raises(RuntimeError, match="QTensor '%s': field %s" % (blob, message)):
            workspace.RunOperatorOnce(fill_op(blob, proto))
    assert workspace.SerializeBlob("q") == before
    assert workspace.FetchBlob("tensor").tolist() == [1, 2]


def test_the_message_that_is_corrupted_above_is_valid():
    workspace.RunOperatorOnce(fill_op("q", valid_proto()))
    assert dequantize("q").tolist() == (0.5 * (np.arange(20) + 1.0)).reshape(4, 5).tolist()


@pytest.mark.parametrize("field", ["precision", "scale", "bias", "is_signed"])
def test_a_missing_field_is_refused_and_the_blob_left_alone(field):
    workspace.RunOperatorOnce(fill_op("q", random_proto(0)[0]))
    before = workspace.SerializeBlob("q")
    proto = valid_proto()
    proto.ClearField(field)
    with pytest.raises(RuntimeError):
        workspace.DeserializeBlob("q", blob_proto(proto).SerializePartialToString())
    assert workspace.SerializeBlob("q") == before


def test_a_blob_proto_without_its_qtensor_is_refused():
    workspace.RunOperatorOnce(fill_op("q", random_proto(0)[0]))
    before = workspace.SerializeBlob("q")
    blob = blob_proto(valid_proto())
    blob.ClearField("qtensor")
    with pytest.raises(RuntimeError, match="qtensor of its BlobProto is missing"):
        workspace.DeserializeBlob("q", blob.SerializeToString())
    assert workspace.SerializeBlob("q") == before


def test_one_hostile_message_among_several_changes_no_output():
    for name in ("q_0", "q_1"):
        workspace.FeedBlob(name, np.float32([1, 2]))
    hostile = valid_proto()
    hostile.precision = 0
    with pytest.raises(RuntimeError, match="QTensor 'q_1': field precision is 0"):
        workspace.RunOperatorOnce(fill_op("q", valid_proto(), hostile))
    assert workspace.FetchBlob("q_0").tolist() == [1, 2]


def test_as_many_messages_as_outputs():
    op = fill_op("q", valid_proto())
    op.output.append("another")
    with pytest.raises(RuntimeError, match="qtensors holds 1 QTensors, expected 2"):
        workspace.RunOperatorOnce(op)


def test_what_is_no_qtensor_is_not_dequantized():
    workspace.FeedBlob("x", np.float32([1]))
    with pytest.raises(RuntimeError, match="input 'x' is a blob of type .* a QTensor"):
        dequantize("x")


@pytest.mark.parametrize("dims", [[0], [3, 0]])
def test_an_empty_qtensor(dims):
    proto = valid_proto()
    set_dims(proto, *dims)
    proto.ClearField("data")
    workspace.RunOperatorOnce(fill_op("q", proto))
    assert dequantize("q").shape == tuple(dims)
    workspace.DeserializeBlob("again", workspace.SerializeBlob("q"))
    assert dequantize("again").shape == tuple(dims)
