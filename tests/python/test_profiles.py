"""profiles: read in both forms, merged, refused; the helpers against numpy."""

import json

import numpy as np
import pytest

import reference
from caffe2.python import core, workspace
from caffe2_quantization import observers, profiles

SEED = 20260131


def make_net(name="net", op="Copy"):
    net = core.Net(name)
    net.Proto().name = name
    getattr(net, op)(["X"], ["Y"])
    return net


def write_profile(path, arrays, net=None, **options):
    net = net or make_net()
    workspace.FeedBlob("X", arrays[0])
    workspace.CreateNet(net)
    observers.attach(net, **options)
    for array in arrays:
        workspace.FeedBlob("X", array)
        workspace.RunNet(net)
    observers.dump(net, path, format="profile", samples=len(arrays))
    observers.detach(net)
    workspace.ResetWorkspace()
    return path


def floats(count, seed=SEED):
    rng = np.random.RandomState(seed)
    return [(rng.randn(rng.randint(1, 99)) * 10.0 ** rng.randint(-9, 9))
            .astype(np.float32) for _ in range(count)]


def output_of(profile):
    return profile["operators"][0]["outputs"][0]


def test_every_field_in_both_forms(tmp_path):
    arrays = [np.array([[1, -2], [0, np.nan]], np.float32)]
    net = make_net()
    workspace.FeedBlob("X", arrays[0])
    workspace.CreateNet(net)
    observers.attach(net, observer="mine", histogram_bins=16, column_max_blobs=["Y"],
                     op_types=["C*"], input_names=["X*"], every=3, run_limit=7)
    workspace.RunNet(net)
    for form in ("profile", "profile_json"):
        observers.dump(net, tmp_path / form, format=form, samples=5)
    profile = profiles.read_profile(tmp_path / "profile")
    assert profiles.read_profile(tmp_path / "profile_json") == profile
    assert profiles.profile_of_json(
        json.loads((tmp_path / "profile_json").read_text())) == profile
    assert profile["format_version"] == 2
    assert (profile["net_name"], profile["observer"]) == ("net", "mine")
    assert len(profile["net_hash"]) == 32
    assert profile["options"] == {
        "histogram_bins": 16, "column_max_bins": 16, "column_max_blobs": ["Y"],
        "op_types": ["C*"], "op_names": [], "outputs": [], "inputs": ["X*"], "every": 3,
        "run_limit": 7}
    assert (profile["runs"], profile["recorded_runs"], profile["samples"]) == (1, 1, 5)
    assert profile["forced"] == [] and profile["checkpoint"] is None
    assert profile["provenance"]["first_record_ns"] > 1.7e18
    op, = profile["operators"]
    assert (op["path"], op["op_index"], op["step_index"], op["op_type"]) == (
        "0", 0, -1, "Copy")
    assert profile["inputs"] == [
        reference.output(0, "X", [reference.Observed(arrays[0])], 16)]
    output, = op["outputs"]
    expected = reference.output(0, "Y", [reference.Observed(arrays[0])], 16)
    expected["column_max"] = [reference.histogram(np.float32([1]), 16),
                              reference.histogram(np.float32([-2]), 16)]
    assert output == expected


def test_a_large_integer_is_exact(tmp_path):
    path = write_profile(tmp_path / "p", [np.array([2 ** 63 - 1, -2 ** 63])])
    assert output_of(profiles.read_profile(path))["range"] == {
        "kind": "INTEGER", "min": -2 ** 63, "max": 2 ** 63 - 1}


def test_what_is_no_profile(tmp_path):
    for data in (b"no profile", b"", b"{", b"{}", b"\x00" * 9):
        (tmp_path / "file").write_bytes(data)
        with pytest.raises(RuntimeError, match="^ProfileToJson: '.*file'"):
            profiles.read_profile(tmp_path / "file")
    with pytest.raises(RuntimeError, match="nowhere"):
        profiles.read_profile(tmp_path / "nowhere")


@pytest.mark.parametrize("suffix", ["", ".json"])
def test_merged(tmp_path, suffix):
    arrays = floats(9)
    paths = [write_profile(tmp_path / str(index), arrays[index::3], histogram_bins=256)
             for index in range(3)]
    merged = tmp_path / ("merged" + suffix)
    profiles.merge_profiles(paths, merged)
    assert (merged.read_bytes()[:1] == b"{") == bool(suffix)
    whole = profiles.read_profile(
        write_profile(tmp_path / "whole", arrays, histogram_bins=256))
    found = profiles.read_profile(merged)
    assert found.pop("provenance")["hosts"] == whole.pop("provenance")["hosts"]
    assert found == whole
    assert output_of(found)["histogram"] == reference.histogram(np.concatenate(arrays), 256)


def test_what_does_not_belong_together(tmp_path):
    first = write_profile(tmp_path / "a", floats(1), histogram_bins=256)
    for other, message in (
            (write_profile(tmp_path / "b", floats(1), histogram_bins=128), "256"),
            (write_profile(tmp_path / "c", floats(1), make_net(op="Relu"),
                           histogram_bins=256), "hash")):
        with pytest.raises(RuntimeError, match=message):
            profiles.merge_profiles([first, other], tmp_path / "merged")
        assert not (tmp_path / "merged").exists()
    with pytest.raises(RuntimeError, match="missing"):
        profiles.merge_profiles([first, tmp_path / "missing"], tmp_path / "merged")


def test_merged_by_force(tmp_path):
    first = write_profile(tmp_path / "a", floats(1), every=1)
    second = write_profile(tmp_path / "b", floats(2), every=2)
    profiles.merge_profiles([first, second], tmp_path / "merged", force=True)
    profile = profiles.read_profile(tmp_path / "merged")
    assert profile["runs"] == 3
    assert any("every" in note for note in profile["forced"])


def test_the_histogram_is_numpys(tmp_path):
    for seed in range(20):
        arrays = floats(3, seed)
        path = write_profile(tmp_path / "p", arrays, histogram_bins=2048)
        counts, edges = profiles.histogram(output_of(profiles.read_profile(path))
                                           ["histogram"])
        # numpy counts what lies on the last edge too; nothing does.
        expected, _ = np.histogram(np.concatenate(arrays).astype(np.float64), bins=edges)
        np.testing.assert_array_equal(counts, expected.astype(np.uint64))
        assert len(edges) == len(counts) + 1
    counts, edges = profiles.histogram(None)
    assert counts.size == 0 and edges.size == 1


def test_a_measurement_that_goes_on_from_a_profile(tmp_path):
    arrays = floats(6)
    path = write_profile(tmp_path / "a", arrays[:4], histogram_bins=64)
    write_profile(tmp_path / "b", arrays[4:], histogram_bins=64, resume_from=path)
    found = profiles.read_profile(tmp_path / "b")
    assert found["runs"] == 6
    assert output_of(found)["histogram"] == reference.histogram(np.concatenate(arrays), 64)
    with pytest.raises(RuntimeError, match="histogram_bins is 64, expected 128"):
        write_profile(tmp_path / "c", arrays, histogram_bins=128, resume_from=path)
