"""choose: the operators' choices for arrays, counts and ranges."""

import numpy as np
import pytest

from caffe2.python import core, workspace
from caffe2_quantization import choose

METHODS = ["MIN_MAX", "L2", "L2_APPROX", "L1", "KL", "P99", "MSE"]


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
