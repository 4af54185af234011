"""Tensors of small values keep the quality that their bits allow, in every operator.

The reference is the same product in doubles, of the float weights and inputs. Run as a
program this prints the table of signal-to-noise ratios.
"""

import os
import subprocess
import sys

import numpy as np
import pytest

import conftest

DEVIATIONS = [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6]
# Bits, and a ratio that they allow where no scale is in the way.
ENGINES = {"ONEDNN": (8, 38.5), "ONEDNN_ROWWISE": (8, 38.5), "ONEDNN_16": (16, 86.5),
           "ONEDNN_ROWWISE_16": (16, 86.5)}
OUTPUTS = ["floats", "codes"]
BIASES = ["none", "like the sums", "1"]


def sqnr(reference, values):
    error = np.float64(values) - reference
    return 10 * np.log10(np.sum(reference ** 2) / np.sum(error ** 2))


def run(op_type, inputs, engine, **arguments):
    """Runs one operator. Returns its output as doubles, and its scale if it has one."""
    from caffe2.python import core, workspace

    names = []
    for i, value in enumerate(inputs):
        names.append("input%d" % i)
        workspace.FeedBlob(names[-1], np.float32(value))
    workspace.RunOperatorOnce(
        core.CreateOperator(op_type, names, ["y"], engine=engine, **arguments))
    if arguments.get("dequantize_output"):
        return np.float64(workspace.FetchBlob("y")), None
    if engine.endswith("_16"):  # of which the host fetches no codes
        workspace.RunOperatorOnce(
            core.CreateOperator("Dequantize", ["y"], ["z"], engine=engine))
        return np.float64(workspace.FetchBlob("z")), None
    y = workspace.FetchInt8Blob("y")
    return (np.float64(y.data) - y.zero_point) * y.scale, y.scale


def fc(engine, deviation, output, bias):
    """Returns the ratio of FC under an engine, in dB."""
    bits = ENGINES[engine][0]
    random = np.random.RandomState(5)
    x = np.float32(random.uniform(0, 1, (64, 256)))
    w = np.float32(random.normal(0, deviation, (48, 256)))
    b = np.float32({"none": np.zeros(48), "1": random.uniform(-1, 1, 48),
                    "like the sums": random.normal(0, 8 * deviation, 48)}[bias])
    y, _ = run("FC", [x, w, b], engine, activation_precision=bits, weight_precision=bits,
               dequantize_output=int(output == "floats"))
    return sqnr(np.float64(x).dot(np.float64(w).T) + np.float64(b), y)


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_fc(engine, output, bias):
    for deviation in DEVIATIONS:
        assert fc(engine, deviation, output, bias) > ENGINES[engine][1], deviation


@pytest.mark.parametrize("engine", ["ONEDNN", "ONEDNN_16"])
@pytest.mark.parametrize("unit", [1, 1e-3, 1e-6, 1e-9, 1e-12, 1e-14])
def test_quantize(engine, unit):
    bits, least = ENGINES[engine]
    x = np.float32(np.random.RandomState(1).uniform(-unit, unit, 4000))
    y, scale = run("Quantize", [x], engine, activation_precision=bits)
    assert sqnr(np.float64(x), y) > least + 8
    if scale is not None:
        np.testing.assert_allclose(scale, (x.max() - np.float64(x.min())) / 255,
                                   rtol=1e-6)


def test_the_smallest_scale():
    x = np.float32([0, 1e-25, 1e-18, -1e-18])
    _, scale = run("Quantize", [x], "ONEDNN")
    assert scale == 2.0 ** -63
    # Nothing to go by.
    _, scale = run("Quantize", [0 * x], "ONEDNN")
    assert scale == np.float32(0.1)


@pytest.mark.parametrize("unit", [1, 1e-2, 1e-4, 1e-6, 1e-7])
@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_inputs_weights_and_outputs_at_once(engine, unit):
    bits, least = ENGINES[engine]
    random = np.random.RandomState(2)
    x = np.float32(random.uniform(-unit, unit, (64, 256)))
    w = np.float32(random.normal(0, unit, (48, 256)))
    b = np.float32(random.normal(0, 8 * unit * unit, 48))
    y, _ = run("FC", [x, w, b], engine, activation_precision=bits, weight_precision=bits)
    assert sqnr(np.float64(x).dot(np.float64(w).T) + b, y) > least - 1


@pytest.mark.parametrize("deviation", DEVIATIONS)
@pytest.mark.parametrize("engine", ["ONEDNN", "ONEDNN_16"])
def test_batch_matmul(engine, deviation):
    bits, least = ENGINES[engine]
    random = np.random.RandomState(3)
    a = np.float32(random.uniform(0, 1, (3, 32, 128)))
    b = np.float32(random.normal(0, deviation, (3, 128, 40)))
    for arguments in ({}, dict(dequantize_output=1), dict(constant_B=int(bits == 8))):
        y, _ = run("BatchMatMul", [a, b], engine, activation_precision=bits,
                   weight_precision=bits, **arguments)
        assert sqnr(np.float64(a) @ np.float64(b), y) > least - 1, arguments


@pytest.mark.parametrize("bias", ["none", "1"])
@pytest.mark.parametrize("channelwise", [0, 1])
@pytest.mark.parametrize("group", [1, 8])
@pytest.mark.parametrize("engine", ["ONEDNN", "ONEDNN_16"])
def test_conv(engine, group, channelwise, bias):
    bits, least = ENGINES[engine]
    random = np.random.RandomState(4)
    x = np.float32(random.uniform(0, 1, (2, 7, 7, 8)))
    for deviation in DEVIATIONS:
        w = np.float32(random.normal(0, deviation, (16, 3, 3, 8 // group)))
        b = np.float32(random.uniform(-1, 1, 16)) if bias == "1" else np.zeros(16)
        y, _ = run("Conv", [x, w, b], engine, kernel=3, order="NHWC", group=group,
                   quantize_channelwise=channelwise, activation_precision=bits,
                   weight_precision=bits)
        expected = np.zeros((2, 5, 5, 16))
        for m in range(16):
            first = m // (16 // group) * (8 // group)
            part = x[..., first:first + 8 // group].astype(np.float64)
            for i in range(3):
                for j in range(3):
                    expected[..., m] += part[:, i:i + 5, j:j + 5] @ w[m, i, j].astype(np.float64)
        assert sqnr(expected + np.float64(b), y) > least - 1, deviation


def test_a_dead_channel_keeps_its_bias():
    # What folding a batch norm leaves of a channel that never varies.
    x = np.float32(np.random.RandomState(6).uniform(0, 1, (5, 64)))
    w = np.float32(np.random.RandomState(7).normal(0, 0.1, (4, 64)))
    b = np.float32([0.25, -0.5, 0.75, 1])
    for value in (1e-9, 1e-15, 1e-30, 1e-38, 1e-42):
        w[1] = value
        y, scale = run("FC", [x, w, b], "ONEDNN_ROWWISE")
        reference = np.float64(x).dot(np.float64(w).T) + b
        np.testing.assert_allclose(y, reference, atol=1.5 * scale)
        np.testing.assert_allclose(y[:, 1], -0.5, atol=0.501 * scale)
        y, _ = run("FC", [x, w, b], "ONEDNN_ROWWISE", dequantize_output=1)
        np.testing.assert_allclose(y[:, 1], -0.5, atol=1e-6)


def table():
    """Returns the lines of ratios, each with the FC it is of before it."""
    return ["%-14s %-7s %-18s" % (bias, output, engine) + "".join(
                " %7.1f" % fc(engine, deviation, output, bias)
                for deviation in DEVIATIONS)
            for bias in BIASES for output in OUTPUTS for engine in sorted(ENGINES)]


@pytest.fixture(scope="module")
def own_table():
    return table()


@pytest.mark.parametrize("cap", ["scalar", "avx2", "avx512"])
def test_instruction_sets(own_table, cap):
    printed = subprocess.check_output(
        [sys.executable, __file__], universal_newlines=True, stderr=subprocess.DEVNULL,
        env=dict(os.environ, CAFFE2_QUANTIZATION_MAX_ISA=cap,
                 CAFFE2_QUANTIZATION_PLUGIN=conftest.PLUGIN))
    assert printed.splitlines() == own_table


if __name__ == "__main__":
    import caffe2_quantization
    from caffe2.python import workspace

    workspace.GlobalInit(["small_scales", "--caffe2_log_level=3"])
    caffe2_quantization.load(conftest.PLUGIN)
    print("\n".join(table()))
