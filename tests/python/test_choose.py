"""choose: the operators' choices for arrays, counts and ranges."""

import numpy as np
import pytest

from caffe2.python import core, workspace
from caffe2_quantization import choose

METHODS = ["MIN_MAX", "L2", "L2_APPROX", "L1", "KL", "P99", "P99_DNNLOWP", "MSE"]


def error_of(x, choice, qmax=255):
    q = np.clip(np.rint(x / choice.scale) + choice.zero_point, 0, qmax)
    return np.square(choice.scale * (q - choice.zero_point) - x).sum()


def test_a_range():
    choice = choose.from_range(-10, 15.5)
    assert choice == (np.float32(0.1), 100, -10, 15.5, 0, 0, "")


def test_an_array_and_its_counts_agree():
    x = np.random.RandomState(1).standard_normal(1000).astype(np.float32)
    counts, edges = np.histogram(x, 2048)
    assert choose.from_array(x)[:4] == choose.from_counts(counts, x.min(), x.max())[:4]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_usable_parameters(method):
    x = np.random.RandomState(2).laplace(size=5000).astype(np.float32)
    choice = choose.from_array(x, method, preserve_sparsity=method == "MSE")
    assert 0 < choice.scale <= np.ptp(x) / 127
    assert 0 <= choice.zero_point <= 255
    assert 0 <= choice.clipped_share <= 0.02


def test_the_exact_search_is_no_worse_than_min_and_max():
    x = np.random.RandomState(3).standard_normal(20000).astype(np.float32)
    x[0] = 40
    assert error_of(x, choose.from_array(x, "L2")) <= error_of(x, choose.from_array(x))


def test_options():
    x = np.array([-12.8, 0, 12.7], np.float32)
    assert choose.from_array(x, preserve_sparsity=True)[:2] == (np.float32(0.1), 128)
    assert choose.from_array(x, is_signed=True, preserve_sparsity=True).zero_point == 0
    assert choose.from_array(x, precision=4).scale == np.float32(25.5 / 15)
    assert choose.from_array(x, force_scale_power_of_two=True).scale == 0.125
    assert choose.from_array(x, reduced_range=True).scale == pytest.approx(25.5 / 127)
    assert choose.from_array(x, None, flags="activation") == choose.from_array(x)


def test_nothing_is_left_in_the_workspace():
    choose.from_array([[1, 2], [3, 4]])
    choose.from_counts(np.array([1, 2], np.uint64), 0, 1)
    assert workspace.Blobs() == []


def test_errors_name_what_is_wrong():
    with pytest.raises(RuntimeError, match="1 NaN and 0 infinite of 2 values"):
        choose.from_array([np.nan, 1])
    with pytest.raises(RuntimeError, match="method 'best' is unknown"):
        choose.from_array([1], "best")
    with pytest.raises(RuntimeError, match=r"the range is \[2, 1\]"):
        choose.from_range(2, 1)
    with pytest.raises(RuntimeError, match="count 1 of tensor 'values' is -1"):
        choose.from_counts([1, -1], 0, 1)
    with pytest.raises(TypeError, match="float64, expected integers"):
        choose.from_counts([0.5], 0, 1)
    with pytest.raises(ValueError, match="a count is 18446744073709551615"):
        choose.from_counts(np.array([2 ** 64 - 1], np.uint64), 0, 1)


@pytest.mark.parametrize("call, message", [
    (lambda: choose.from_array([1, 2], bits=4),
     r"from_array\(\) has no option 'bits'; there are: values, method, precision, is_signed"),
    (lambda: choose.from_array([1, 2], precison=4),
     r"from_array\(\) has no option 'precison' \(did you mean 'precision'\?\); there are"),
    (lambda: choose.from_array([1, 2], symmetric=True), "has no option 'symmetric'"),
    (lambda: choose.from_array([1, 2], nonsense=None), "has no option 'nonsense'"),
    (lambda: choose.from_array([[1, 2]], axis=0),
     r"'axis'; it chooses one scale for all values; .*for each in numpy.moveaxis"),
    (lambda: choose.from_counts([1, 2], 0, 1, metod="L2"),
     r"from_counts\(\) has no option 'metod' \(did you mean 'method'\?\)"),
    (lambda: choose.from_range(0, 1, percentil=0.9),
     r"from_range\(\) has no option 'percentil' \(did you mean 'percentile'\?\)"),
])
def test_options_that_there_are_not(call, message):
    with pytest.raises(TypeError, match=message):
        call()


def test_what_the_error_for_axis_says_to_do():
    values = np.array([[-1, 1], [-100, 100]], np.float32)
    scales = [choose.from_array(each).scale for each in np.moveaxis(values, 0, 0)]
    assert scales == [np.float32(2 / 255), np.float32(200 / 255)]


def test_an_operator_refuses_an_argument_that_nobody_reads():
    op = core.CreateOperator("ChooseQuantizationParams", ["x"], ["s", "z"], bits=4)
    workspace.FeedBlob("x", np.ones(2, np.float32))
    with pytest.raises(RuntimeError, match="ChooseQuantizationParams: it has no argument "
                                           "'bits'; there are: method, precision"):
        workspace.RunOperatorOnce(op)


@pytest.mark.parametrize("percent", ["50", "90", "99", "99.9", "99.99", "99.999"])
def test_percentiles_are_numpys(percent):
    random = np.random.RandomState(int(float(percent) * 1000))
    for count in (1, 2, 99, 1001, 20001, 30000):
        for values in (random.normal(0, 1, count), random.uniform(0, 1, count),
                       random.randint(-3, 4, count),
                       np.append(random.uniform(0, 1, count), [1e6] * (count // 50000))):
            values = np.float32(values)
            # In whole numbers, so that no rounding moves what is between two values.
            left_out = (100000 - int(round(float(percent) * 1000))) / 2000.0
            choice = choose.from_array(values, "P" + percent)
            assert choice.min == np.percentile(values, left_out, interpolation="lower")
            assert choice.max == np.percentile(values, 100 - left_out,
                                               interpolation="higher")
            code = choice.scale
            low, high = -choice.zero_point * code, (255 - choice.zero_point) * code
            outside = np.mean((values < low - code / 2) | (values > high + code / 2))
            np.testing.assert_allclose(choice.clipped_share, outside, atol=1e-4)


def test_percentile_with_values_far_out():
    x = np.random.RandomState(0).uniform(0, 1, 1000000).astype(np.float32)
    x = np.append(x, np.float32([1e6] * 20))
    choice = choose.from_array(x, "P99.99")
    np.testing.assert_allclose(choice.max, np.percentile(x, 99.995), rtol=1e-6)
    assert choice.scale == np.float32(choice.max / 255)
    # DNNLOWP's, in bins of 488.
    assert choose.from_array(x, "P99.99_DNNLOWP").max > 400
    assert choose.from_array(x, "P99.99", dnnlowp=True).max > 400
    counts, edges = np.histogram(x, 2048)
    choice = choose.from_counts(counts, edges[0], edges[-1], "P99.99")
    assert "P99.99 cannot be told from bins 488." in choice.warning


def test_small_scales_and_dnnlowps():
    x = np.float32([-1e-6, 1.55e-6])
    np.testing.assert_allclose(choose.from_array(x).scale, 1e-8, rtol=1e-6)
    np.testing.assert_allclose(choose.from_range(0, 1, precision=16).scale, 1.0 / 65535)
    np.testing.assert_allclose(choose.from_array(x, dnnlowp=True).scale, 6.1e-5)
    np.testing.assert_allclose(choose.from_array(x, smallest_scale=1e-3).scale, 1e-3)
    assert choose.from_range(0, 1e-25).scale == 2.0 ** -63
    assert choose.from_range(0, 1e-25, smallest_scale=0.0).scale < 1e-27


def test_numbers_of_either_type():
    x = np.float32([-1, 1])
    assert choose.from_array(x, smallest_scale=1).scale == 1
    assert choose.from_range(0, 1e-25, smallest_scale=0).scale < 1e-27
    assert choose.from_array(x, "P99", percentile=1) == choose.from_array(x, "P100")
    assert choose.from_array(x, precision=4.0).scale == np.float32(2 / 15)


@pytest.mark.parametrize("options, error, message", [
    ({"precision": 8.5}, ValueError, "precision is 8.5, expected a whole number"),
    ({"precision": "8"}, TypeError, "precision is '8', expected a number"),
    ({"is_signed": "no"}, TypeError, "is_signed is 'no', expected a number"),
    ({"smallest_scale": "a"}, TypeError, "smallest_scale is 'a', expected a number"),
])
def test_values_that_no_option_takes(options, error, message):
    with pytest.raises(error, match=message):
        choose.from_array([1, 2], **options)
