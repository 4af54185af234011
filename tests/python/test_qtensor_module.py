"""caffe2_quantization.qtensor: numpy, blobs, messages and files; examples/digits/bits.py."""

import copy
import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from caffe2.proto import caffe2_pb2
from caffe2.python import core, workspace
from caffe2_quantization import qtensor

SIZES = [1, 7, 8, 9, 63, 64, 65]
SIGNED = [False, True]


def random_integers(seed, size, precision, signed):
    rng = np.random.RandomState(seed)
    magnitudes = rng.randint(0, 2 ** precision, size=size).astype(np.int64)
    return np.where(rng.rand(size) < 0.5, -magnitudes, magnitudes) if signed else magnitudes


def by_the_operator(name):
    workspace.RunOperatorOnce(core.CreateOperator("QTensorDequantize", [name], ["values"]))
    return workspace.FetchBlob("values")


def assert_same_bits(found, expected):
    assert found.dtype == expected.dtype == np.float32
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found.view(np.uint32), expected.view(np.uint32))


# --- There and back -----------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("signed", SIGNED)
@pytest.mark.parametrize("precision", range(1, 17))
def test_integers_through_planes_blob_message_and_file(precision, signed, size, tmp_path):
    integers = random_integers(precision, size, precision, signed)
    made = qtensor.from_integers(integers, precision, signed, scale=0.3, bias=-1.7)
    assert made.nbytes == (precision + signed) * ((size + 7) // 8)
    assert made.integers().dtype == np.int64
    np.testing.assert_array_equal(made.integers(), integers)

    qtensor.feed("q", made)
    assert qtensor.fetch("q") == made
    assert_same_bits(made.dequantize(), by_the_operator("q"))
    # protobuf's own bytes, by the plugin and by this module.
    assert qtensor.from_proto(made.to_proto()) == made
    blob = caffe2_pb2.BlobProto(name="q", type="QTensor", qtensor=made.to_proto("q"))
    assert workspace.SerializeBlob("q") == blob.SerializeToString()
    assert qtensor._write_blob("q", made) == blob.SerializeToString()

    path = str(tmp_path / "q.minidb")
    qtensor.save(path, {"q": made})
    assert qtensor.load(path) == {"q": made}


@pytest.mark.parametrize("signed", SIGNED)
@pytest.mark.parametrize("precision", range(1, 17))
def test_floats_are_within_half_a_step(precision, signed):
    values = np.random.RandomState(precision).randn(5, 13).astype(np.float32)
    made = qtensor.from_numpy(values, precision, signed)
    assert (made.dims, made.precision, made.signed) == ((5, 13), precision, signed)
    error = np.abs(made.dequantize().astype(np.float64) - values).max()
    # Beside half a step, the rounding to float of the largest value.
    assert error <= made.scale / 2 + np.spacing(np.abs(values).max())
    integers = made.integers()
    assert np.abs(integers).max() == 2 ** precision - 1
    assert integers.min() < 0 if signed else integers.min() == 0


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("signed", SIGNED)
def test_each_channel_is_as_if_it_were_alone(axis, signed, tmp_path):
    rng = np.random.RandomState(axis + 1)
    values = (rng.randn(3, 4, 5) * np.exp(rng.randn(3, 4, 5))).astype(np.float32)
    made = qtensor.from_numpy(values, 5, signed, axis=axis)
    assert made.axis == axis % 3 and len(made.scales) == len(made.biases) == values.shape[axis]
    for channel in range(values.shape[axis]):
        alone = qtensor.from_numpy(values.take(channel, axis), 5, signed)
        assert (made.scales[channel], made.biases[channel]) == (alone.scale, alone.bias)
        np.testing.assert_array_equal(made.integers().take(channel, axis), alone.integers())
    qtensor.feed("q", made)
    assert qtensor.fetch("q") == made
    assert_same_bits(made.dequantize(), by_the_operator("q"))
    assert qtensor.from_proto(made.to_proto()) == made
    qtensor.save(str(tmp_path / "q"), {"q": made})
    assert qtensor.load(str(tmp_path / "q")) == {"q": made}


def test_given_scales_and_biases():
    values = np.float32([[-1, 0, 1], [2, 3, 4]])
    made = qtensor.from_numpy(values, 2, signed=False, scale=1.5, bias=-1)
    assert (made.scale, made.bias) == (1.5, -1)
    assert made.integers().tolist() == [[0, 1, 2], [2, 3, 3]]  # half to even, saturated
    made = qtensor.from_numpy(values, 3, axis=0, scale=[0.5, 1], bias=[0, -1])
    assert made.integers().tolist() == [[-2, 0, 2], [3, 4, 5]]
    assert made.dequantize().tolist() == values.tolist()
    assert qtensor.from_numpy(values, 3, axis=0, scale=[0.5, 1]).biases == (0, 0)
    again = qtensor.from_integers(made.integers(), 3, True, axis=-2, scale=[0.5, 1],
                                  bias=[0, -1])
    assert again == made


@pytest.mark.parametrize("precision", [17, 31, 32, 33, 53, 63, 64])
@pytest.mark.parametrize("signed", SIGNED)
def test_many_bits(precision, signed):
    largest = 2 ** precision - 1
    made = qtensor.QTensor([2], precision, signed, b"\xc0" * precision + b"\x40" * signed,
                           scale=1e-3)
    qtensor.feed("q", made)
    assert qtensor.fetch("q") == made
    assert_same_bits(made.dequantize(), by_the_operator("q"))
    if precision == 64 and signed:
        with pytest.raises(OverflowError, match="64 bits and a sign"):
            made.integers()
    else:
        integers = made.integers()
        assert integers.tolist() == [largest, -largest if signed else largest]
        assert qtensor.from_integers(integers, scale=1e-3) == made


@pytest.mark.parametrize("bias", [0.0, -0.0, 1e300])
@pytest.mark.parametrize("scale", [1.0, -1e-300, 1e300])
def test_the_values_that_are_at_the_edge_of_a_type(scale, bias):
    # Two elements: a negative zero and the largest integer.
    made = qtensor.QTensor([2], 2, True, b"\x40\x40\x80", scale, bias)
    assert made.integers().tolist() == [0, 3]
    qtensor.feed("q", made)
    assert_same_bits(made.dequantize(), by_the_operator("q"))


@pytest.mark.parametrize("dims, planes, shape", [
    ([0], b"", (0,)), ([3, 0], b"", (3, 0)), ([], b"", (0,)), ([], b"\x80\x00", ())])
def test_empty_tensors_and_single_elements(dims, planes, shape):
    made = qtensor.QTensor(dims, 1, True, planes)
    assert made.integers().shape == made.dequantize().shape == shape
    assert made.size == np.ones(shape).size
    qtensor.feed("q", made)
    assert qtensor.fetch("q") == made
    assert_same_bits(made.dequantize(), by_the_operator("q"))


def test_arrays_of_any_kind():
    rows = np.arange(12).reshape(3, 4)
    for array in (rows.T, rows[::-1, ::2], rows.astype(np.uint8), rows > 4, rows.tolist()):
        np.testing.assert_array_equal(qtensor.from_integers(array).integers(), array)
        np.testing.assert_allclose(qtensor.from_numpy(array, 16).dequantize(), array,
                                   atol=1e-3)
    assert qtensor.from_integers([]).integers().shape == (0,)
    assert qtensor.from_integers(-5).integers() == -5
    made = qtensor.from_integers([-2 ** 63])
    assert made.precision == 64 and made.dequantize().tolist() == [-2.0 ** 63]
    assert qtensor.from_integers(np.uint64([2 ** 64 - 1])).integers() == 2 ** 64 - 1


def test_it_is_a_value():
    made = qtensor.from_numpy([1, -2, 3], 4)
    assert made == qtensor.from_numpy([1, -2, 3], 4) != qtensor.from_numpy([1, -2, 3], 5)
    assert hash(made) == hash(qtensor.from_numpy([1, -2, 3], 4)) and made != "something"
    assert copy.deepcopy(made) == pickle.loads(pickle.dumps(made)) == made
    assert repr(made) == "<QTensor [3], 4 bits and sign, scale=0.2, bias=0.0, 5 bytes>"
    assert "axis=0, 3 channels" in repr(qtensor.from_numpy([1, -2, 3], 4, axis=0))
    with pytest.raises(AttributeError):
        made.scale = 2


# --- Blobs, files, nets -------------------------------------------------------


def test_the_users_workspace_is_left_alone(tmp_path):
    made = qtensor.from_numpy([1, 2], 4)
    qtensor.save(str(tmp_path / "f"), {"w": made})
    qtensor.load(str(tmp_path / "f"))
    assert workspace.Blobs() == []


@pytest.mark.parametrize("signed", SIGNED)
def test_random_planes_of_some_size(signed):
    planes = np.random.RandomState(0).bytes((7 + signed) * 12345)
    made = qtensor.QTensor([8, 12345], 7, signed, planes)
    qtensor.feed("q", made)
    assert qtensor.fetch("q") == made


UNUSUAL = {
    "not packed": lambda head, data: head + b"".join(b"\x30" + each for each in data),
    "in two pieces": lambda head, data: head + b"".join(
        b"\x32" + bytes([len(part)]) + part for part in (data[0], b"".join(data[1:]))),
    "data first": lambda head, data: b"\x32" + bytes([len(b"".join(data))])
                                     + b"".join(data) + head,
    "long varints": lambda head, data: head + b"\x32\x06\x80\x81\x00\x81\x80\x00",
    "unknown fields": lambda head, data: head + b"\xa0\x06\x07" + b"\x32"
                                         + bytes([len(b"".join(data))]) + b"".join(data),
}


@pytest.mark.parametrize("name", sorted(UNUSUAL))
def test_messages_in_a_form_that_nobody_writes(name):
    planes = {"long varints": b"\x80\x01"}.get(name, b"\xac\x7f")
    made = qtensor.QTensor([5], 1, True, planes, scale=0.5)
    data = [bytes([each | 128, 1]) if each > 127 else bytes([each]) for each in planes]
    head, _ = made._proto_parts("")
    inner = UNUSUAL[name](head.SerializeToString(), data)
    message = b"\x0a\x01q\x12\x07QTensor\x2a" + bytes([len(inner)]) + inner
    assert qtensor._read_blob("q", message) == made


def test_the_hosts_load_reads_what_is_saved_and_the_other_way_round(tmp_path):
    tensors = {"a": qtensor.from_numpy(np.linspace(-1, 1, 100), 3),
               "b": qtensor.from_numpy(np.linspace(-1, 1, 9), 16, signed=False)}
    path = str(tmp_path / "ours")
    qtensor.save(path, tensors)
    workspace.RunOperatorOnce(core.CreateOperator(
        "Load", [], ["a", "b"], db=path, db_type="minidb", absolute_path=1))
    assert {name: qtensor.fetch(name) for name in tensors} == tensors
    workspace.FeedBlob("floats", np.float32([1]))
    path = str(tmp_path / "hosts")
    workspace.RunOperatorOnce(core.CreateOperator(
        "Save", ["a", "b", "floats"], [], db=path, db_type="minidb", absolute_path=1))
    assert qtensor.load(path) == tensors


def test_fill_ops():
    made = qtensor.from_numpy(np.random.RandomState(0).randn(4, 9), 6, axis=0)
    workspace.RunOperatorsOnce(qtensor.fill_ops("w", made))
    assert_same_bits(workspace.FetchBlob("w"), made.dequantize())
    assert qtensor.fetch("w_q") == made


# --- Refusals -----------------------------------------------------------------


def test_what_is_no_qtensor_blob_is_not_fetched():
    with pytest.raises(KeyError, match="no blob 'nowhere' in the workspace"):
        qtensor.fetch("nowhere")
    workspace.FeedBlob("floats", np.float32([1]))
    with pytest.raises(TypeError, match="'floats' is of type 'Tensor', expected a QTensor"):
        qtensor.fetch("floats")
    workspace.C.Workspace.current.create_blob("nothing")
    with pytest.raises(TypeError, match="'nothing' is of a type that cannot be serialized"):
        qtensor.fetch("nothing")


def test_what_is_no_qtensor_is_not_written(tmp_path):
    floats = np.float32([1])
    for use in (lambda: qtensor.feed("q", floats), lambda: qtensor.fill_ops("q", floats),
                lambda: qtensor.save(str(tmp_path / "q"), {"q": floats})):
        with pytest.raises(TypeError, match="expected a QTensor, found a ndarray"):
            use()
    assert not workspace.HasBlob("q") and os.listdir(str(tmp_path)) == []


def test_a_file_that_is_none(tmp_path):
    path = str(tmp_path / "file")
    with pytest.raises(RuntimeError, match="QTensorLoad: .*file"):
        qtensor.load(path)
    with open(path, "wb") as stream:
        stream.write(b"neither minidb nor BlobProto")
    with pytest.raises(RuntimeError, match="QTensorLoad: .*file"):
        qtensor.load(path)


def test_a_save_that_fails_leaves_the_file_alone(tmp_path):
    path = str(tmp_path / "file")
    made = qtensor.from_numpy([1, 2], 4)
    qtensor.save(path, {"q": made})
    with pytest.raises(TypeError):
        qtensor.save(path, {"q": made, "r": None})
    assert qtensor.load(path) == {"q": made}
    assert os.listdir(str(tmp_path)) == ["file"]


@pytest.mark.parametrize("arguments, error, message", [
    ({"precision": 0}, RuntimeError, "precision is 0, expected 1 to 16"),
    ({"precision": 17}, RuntimeError, "precision is 17, expected 1 to 16"),
    ({"scale": 0}, RuntimeError, "scale is 0, expected a finite number above 0"),
    ({"scale": np.nan}, RuntimeError, "scale is nan"),
    ({"scale": 1, "bias": np.inf}, RuntimeError, "bias is inf"),
    ({"bias": 1}, RuntimeError, "bias is given without scale"),
    ({"axis": 2}, RuntimeError, "axis is 2"),
    ({"axis": 0, "scale": 1}, ValueError, "scale is 1, expected with axis a number a ch"),
    ({"axis": 0, "scale": [1]}, RuntimeError, "scales has 1 numbers, expected 2"),
    ({"axis": 0, "scale": [1, -1]}, RuntimeError, r"scales\[1\] is -1"),
    ({"axis": 0, "scale": [1, 1], "bias": [0]}, RuntimeError, "scales has 2 and biases 1"),
])
def test_arguments_that_are_wrong(arguments, error, message):
    with pytest.raises(error, match=message):
        qtensor.from_numpy(np.float32([[1, 2, 3], [4, 5, 6]]), **arguments)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_floats_that_are_not_finite(value):
    with pytest.raises(RuntimeError, match="QTensorQuantize: .*expected finite numbers"):
        qtensor.from_numpy([1, value])


@pytest.mark.parametrize("integers, arguments, error, message", [
    ([1.5], {}, TypeError, "array of float64, expected an integer type"),
    (["1"], {}, TypeError, "expected an integer type"),
    ([8], {"precision": 3}, ValueError, "from 8 to 8, expected -?[07] to 7"),
    ([-1, 2], {"signed": False}, ValueError, "from -1 to 2, expected 0 to 3"),
    ([1], {"precision": 65}, ValueError, "precision is 65, expected 1 to 64"),
    ([1], {"precision": 0}, ValueError, "precision is 0"),
    ([1], {"precision": 1.5}, ValueError, "precision is 1.5"),
    ([1], {"scale": np.nan}, ValueError, "scale is nan, expected a finite number"),
    ([1], {"axis": 1}, ValueError, "axis is 1, expected -1 to 0"),
    ([1], {"axis": 0}, ValueError, "scales is 1.0, expected with axis"),
    ([1], {"axis": 0, "scale": [0]}, ValueError, r"scales\[0\] is 0.0, .* above 0"),
    ([1], {"axis": 0, "scale": [1, 1]}, ValueError, "scales has 2 elements, expected 1"),
])
def test_integers_that_are_refused(integers, arguments, error, message):
    with pytest.raises(error, match=message):
        qtensor.from_integers(integers, **arguments)


def per_channel(proto, axis=0, scales=(1, 1), biases=(0, 0)):
    proto.is_multiparam = True
    proto.axis = axis
    proto.scales.extend(scales)
    proto.biases.extend(biases)


def set_dims(proto, *dims):
    del proto.dims[:]
    proto.dims.extend(dims)


HOSTILE = {
    "precision of 0": (lambda p: setattr(p, "precision", 0), "precision is 0"),
    "precision above 64": (lambda p: setattr(p, "precision", 65), "precision is 65"),
    "precision missing": (lambda p: p.ClearField("precision"), "precision is missing"),
    "sign missing": (lambda p: p.ClearField("is_signed"), "is_signed is missing"),
    "scale NaN": (lambda p: setattr(p, "scale", np.nan), "scale is nan"),
    "bias infinite": (lambda p: setattr(p, "bias", np.inf), "bias is inf"),
    "dim below 0": (lambda p: set_dims(p, 2, -5), r"dims\[1\] is -5"),
    "dim beyond int": (lambda p: set_dims(p, 1 << 40), r"dims\[0\] is 1099511627776"),
    "dims beyond the data": (lambda p: set_dims(p, 1 << 30, 1 << 30, 1 << 30),
                             "planes has 6 bytes, expected"),
    "data too short": (lambda p: p.data.pop(), "planes has 5 bytes, expected 6"),
    "data too long": (lambda p: p.data.append(0), "planes has 7 bytes, expected 6"),
    "data above 255": (lambda p: p.data.__setitem__(3, 256), r"data\[3\] is 256"),
    "data below 0": (lambda p: p.data.__setitem__(3, -1), r"data\[3\] is -1"),
    "axis beyond": (lambda p: per_channel(p, axis=2), "axis is 2"),
    "axis below 0": (lambda p: per_channel(p, axis=-1), "axis is -1, expected 0 to 1"),
    "scales too few": (lambda p: per_channel(p, scales=[1]), "scales has 1 elements"),
    "biases too many": (lambda p: per_channel(p, biases=[0] * 3), "biases has 3 elements"),
    "a scale of 0": (lambda p: per_channel(p, scales=[1, 0]), r"scales\[1\] is 0"),
    "a bias NaN": (lambda p: per_channel(p, biases=[np.nan, 0]), r"biases\[0\] is nan"),
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_a_hostile_message_is_refused(name):
    corrupt, message = HOSTILE[name]
    proto = qtensor.from_integers(np.arange(6).reshape(2, 3) - 2, 5).to_proto()
    assert qtensor.from_proto(proto).dims == (2, 3)
    corrupt(proto)
    with pytest.raises(ValueError, match=message):
        qtensor.from_proto(proto)


def test_parts_that_do_not_fit():
    with pytest.raises(ValueError, match="planes has 3 bytes, expected 2: 2 planes of 1"):
        qtensor.QTensor([8], 1, True, b"abc")
    with pytest.raises(ValueError, match="scales and biases are given without axis"):
        qtensor.QTensor([8], 1, True, b"ab", scales=[1])


# --- The example --------------------------------------------------------------


@pytest.fixture(scope="module")
def bits():
    """Returns what examples/digits/bits.py --json says."""
    checkout = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    script = os.path.join(checkout, "examples", "digits", "bits.py")

    def run(*arguments):
        from caffe2_quantization import load
        done = subprocess.run(
            [sys.executable, script] + list(arguments), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(os.environ, CAFFE2_QUANTIZATION_PLUGIN=load().path))
        assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
        return done.stdout

    found = run("--json", "-")
    assert run("--json", "-") == found  # deterministic
    return json.loads(found.decode("ascii"))


def rows_by(bits, **fields):
    return [row for row in bits["rows"]
            if all(row[name] == value for name, value in fields.items())]


def test_bits_accuracy(bits):
    assert bits["float"]["accuracy"] >= 0.97
    for row in rows_by(bits, precision=8):
        assert row["accuracy"] >= 0.97
    assert {row["precision"] for row in bits["rows"]} == {8, 4, 2, 1}
    assert {row["planes"] for row in rows_by(bits, precision=1)} == {1, 2}


@pytest.mark.parametrize("scales", ["tensor", "channel"])
@pytest.mark.parametrize("chosen", ["max", "search"])
def test_bits_sqnr_and_bytes_fall_with_the_bits(bits, scales, chosen):
    rows = rows_by(bits, scales=scales, chosen=chosen)
    assert len(rows) == (4 if chosen == "max" else 3)
    for more, fewer in zip(rows, rows[1:]):
        assert more["precision"] > fewer["precision"]
        assert more["sqnr"] > fewer["sqnr"]
        assert more["plane_bytes"] > fewer["plane_bytes"]
        assert more["message_bytes"] > fewer["message_bytes"]
        for name, each in more["sqnr_of"].items():
            assert each > fewer["sqnr_of"][name]


def test_bits_a_search_and_scales_a_channel_never_lose(bits):
    for row in rows_by(bits, chosen="search"):
        by_max, = rows_by(bits, chosen="max", scales=row["scales"],
                          precision=row["precision"])
        assert row["sqnr"] >= by_max["sqnr"]
    for row in rows_by(bits, scales="channel"):
        whole, = rows_by(bits, scales="tensor", chosen=row["chosen"],
                         precision=row["precision"])
        assert row["sqnr"] >= whole["sqnr"]


def test_bits_qtensor_fc(bits):
    for row in bits["qtensor_fc"]:
        assert abs(row["correct"] - row["fc_correct"]) <= 8
        assert 0 < row["logit_difference"] < 0.02 * row["largest_logit"]
    assert bits["qtensor_fc"][0]["accuracy"] >= 0.97
