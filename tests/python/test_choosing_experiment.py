"""benchmarks/choosing/experiment.py on a small net of its own, without its data sets."""

import os
import sys

import numpy as np
import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "benchmarks", "choosing"))

import experiment  # noqa: E402
import nets  # noqa: E402


@pytest.fixture
def small():
    random = np.random.RandomState(7)
    net = nets.Net("small")
    blob = net.fc("fc1", net.input, random.randn(12, 6), random.randn(12))
    blob = net.add("Relu", [blob], "relu")
    blob = net.add("Reshape", [blob], ["reshaped", "old_shape"], shape=[-1, 12])[0]
    net.output = net.fc("fc2", blob, random.randn(3, 12), random.randn(3))
    net.calibration = random.randn(200, 6).astype(np.float32)
    net.test = random.randn(100, 6).astype(np.float32)
    net.labels = np.zeros(100, int)
    small = experiment.Experiment(net)
    net.labels[:] = np.argmax(small.exact, axis=1)
    return small


def test_activations_are_those_that_an_int8_net_keeps(small):
    # Not fc1, which is only rectified; not what a reshape passes on; not the output.
    assert small.blobs == ["data", "relu"]


def test_nothing_quantized_is_the_float_net(small):
    assert small.result() == experiment.Result(float("inf"), 1.0)


def test_quantized_activations_are_those_of_numpy(small):
    parameters = small.net.parameters

    def quantize(values, calibration):
        low, high = min(calibration.min(), 0), max(calibration.max(), 0)
        scale = np.float32((high - low) / 255.0)
        zero_point = np.rint(-low / scale)
        return (np.clip(np.rint(values / scale) + zero_point, 0, 255) - zero_point) * scale

    def first(x):
        return np.maximum(x.dot(parameters["fc1_w"].T) + parameters["fc1_b"], 0)

    hidden = quantize(first(quantize(small.net.test, small.net.calibration)),
                      first(small.net.calibration))
    expected = hidden.dot(parameters["fc2_w"].T) + parameters["fc2_b"]
    found = small.outputs(activations=small.activations("MIN_MAX", 8))
    # Where rounding is a tie, another order of the sums gives the neighbouring code.
    np.testing.assert_allclose(found, expected, atol=0.05)
    assert experiment.sqnr(expected, found) > 50


@pytest.mark.parametrize("by_channel", [False, True])
@pytest.mark.parametrize("method", ["MIN_MAX", "MSE"])
def test_more_bits_of_weights_are_better(small, method, by_channel):
    figures = [small.result(weights=small.weights(method, bits, by_channel, True)).sqnr
               for bits in (3, 6, 9, 12)]
    assert figures == sorted(figures)
    assert figures[-1] > 50


def test_centred_weights_have_no_mean_error(small):
    values = small.weights("MIN_MAX", 4, True, True, centred=True)
    for name, value in values.items():
        assert np.abs(small.mean_error(name, value)).max() < 1e-6
    plain = small.weights("MIN_MAX", 4, True, True)
    assert small.weights_sqnr(values) >= small.weights_sqnr(plain)


def test_counts_choose_as_the_values_do(small):
    by_values = small.activations("MIN_MAX", 8)
    by_counts = small.activations("MIN_MAX", 8, bins=64)
    for name in small.blobs:
        assert by_counts[name][0].scale == pytest.approx(by_values[name][0].scale)
    few = small.activations("MIN_MAX", 8, images=2)
    assert few["data"][0].scale < by_values["data"][0].scale


def test_tables_are_markdown(small, capsys):
    report = experiment.Report([small])
    experiment.compare_both(report, 8)
    experiment.compare_images(report, 8)
    lines = [each for each in capsys.readouterr().out.splitlines() if each.startswith("|")]
    assert "|  | small | mean | worst |" in lines
    assert len(report.figures) == 12 + len(experiment.IMAGE_METHODS) * len(experiment.IMAGES)
    assert all("sqnr" in each["nets"]["small"] for each in report.figures)
