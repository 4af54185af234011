"""Every argument of our operators can be passed to Caffe2's own core.CreateOperator and core.Net."""

import inspect
import os
import re

import conftest
import numpy as np
import pytest

from caffe2.python import core, workspace
import caffe2_quantization
from caffe2_quantization import observers, profiles


# Older names, and the names that can be passed.
RENAMED = {"inputs": "paths", "outputs": "output_names"}


def own_operators():
    with open(os.path.join(conftest.CHECKOUT, "operators", "operator_list.inc")) as stream:
        return re.findall(r"^OPERATOR\((\w+)\)", stream.read(), re.MULTILINE)


def test_no_argument_has_the_name_of_a_parameter():
    taken = set(inspect.signature(core.CreateOperator).parameters)
    assert {"inputs", "outputs", "name", "engine", "arg"} <= taken
    names = own_operators()
    assert "OutputMinMaxObserverMerge" in names
    for name in names:
        schema = workspace.C.OpSchema.get(name)
        assert schema is not None, name
        arguments = {each.name for each in schema.args}
        for older in taken & arguments:
            assert RENAMED.get(older) in arguments, (name, older)


@pytest.fixture
def net(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    net = core.Net("n")
    net.Relu("x", "y")
    net.Negative("y", "z")
    workspace.FeedBlob("x", np.float32([1, 2]))
    workspace.CreateNet(net)
    return net


def test_profiles_are_merged_by_an_operator(net):
    for path in ("a.profile", "b.profile"):
        caffe2_quantization.calibrate(net, [{"x": np.float32([1, 2])}], path)
    workspace.RunOperatorOnce(core.CreateOperator(
        "OutputMinMaxObserverMerge", [], [], paths=["a.profile", "b.profile"], output="all.profile"))
    assert profiles.read_profile("all.profile")["samples"] == 4
    # As NetDefs have it that were made before the argument was called paths.
    older = core.CreateOperator("OutputMinMaxObserverMerge", [], [], output="older.profile")
    older.arg.extend([core.utils.MakeArgument("inputs", ["b.profile", "a.profile"])])
    workspace.RunOperatorOnce(older)
    assert profiles.read_profile("older.profile")["samples"] == 4


@pytest.mark.parametrize("is_older", [False, True])
def test_outputs_are_chosen_by_an_operator(net, is_older):
    if is_older:
        attach = core.CreateOperator("OutputMinMaxObserverAttach", [], [], net=net.Name())
        attach.arg.extend([core.utils.MakeArgument("outputs", ["z"])])
    else:
        attach = core.CreateOperator(
            "OutputMinMaxObserverAttach", [], [], net=net.Name(), output_names=["z"])
    workspace.RunOperatorOnce(attach)
    workspace.RunNet(net)
    assert [op["outputs"][0]["tensor_name"] for op in observers.info(net)["operators"]] == ["z"]
