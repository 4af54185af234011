"""caffe2-quantize plot: what it draws with is the project's and Python's, nothing of the working folder."""

import os
import subprocess

import conftest
import numpy as np
import pytest

from caffe2.python import core, workspace
import caffe2_quantization

PROGRAM = os.path.join(os.path.dirname(os.path.dirname(conftest.PLUGIN)), "bin", "caffe2-quantize")
# Each writes a file of its name when it is imported. `abc` and `site` are imported before any
# program begins, the others by what `plot` imports.
PLANTED = ("abc", "argparse", "caffe2", "caffe2_quantization", "collections", "json", "matplotlib", "numpy",
           "os", "plots", "profiles", "re", "site", "sitecustomize", "torch", "usercustomize")


@pytest.fixture
def profile(tmp_path):
    net = core.Net("n")
    net.Relu("x", "y")
    workspace.FeedBlob("x", np.linspace(-1, 1, 100).astype(np.float32))
    path = str(tmp_path / "n.profile")
    caffe2_quantization.calibrate(net, [{"x": workspace.FetchBlob("x")}], path)
    return path


def plant(folder, marks):
    folder.mkdir()
    marks.mkdir(exist_ok=True)
    for name in PLANTED:
        text = "open(%r, 'w')\n" % str(marks / name)
        if name.startswith("caffe2"):
            (folder / name).mkdir()
            (folder / name / "__init__.py").write_text(text)
            (folder / name / "plots.py").write_text(text)
        else:
            (folder / (name + ".py")).write_text(text)
    (folder / "matplotlibrc").write_text("savefig.facecolor: red\nlines.linewidth: 20\nfont.size: 40\n"
                                         "axes.linewidth: 10\nxtick.major.size: 40\n")


def plot(profile, folder, cwd, path):
    env = dict(os.environ, CAFFE2_QUANTIZATION_PLUGIN=conftest.PLUGIN)
    env.pop("PYTHONPATH", None)
    if path is not None:
        env["PYTHONPATH"] = path
    return subprocess.run([PROGRAM, "plot", profile, "-o", folder], cwd=str(cwd), env=env,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)


def test_nothing_of_the_working_folder_is_used(tmp_path, profile):
    plant(tmp_path / "planted", tmp_path / "marks")
    (tmp_path / "empty").mkdir()
    # Absolute folders of PYTHONPATH are the user's own choice; others are the working folder.
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "mine.py").write_text("")
    (mine / "sitecustomize.py").write_text("import mine; open(%r, 'w')\n" % str(tmp_path / "mark"))
    pictures = []
    for cwd, path in [("empty", None), ("planted", ":.:../planted:%s:" % mine)]:
        done = plot(profile, "pictures", tmp_path / cwd, path)
        assert done.returncode == 0, done.stdout
        folder = tmp_path / cwd / "pictures"
        assert sorted(os.listdir(str(folder))) == ["histograms.png", "profile.html", "ranges.png"]
        pictures.append([(folder / name).read_bytes() for name in ("histograms.png", "ranges.png")])
    assert os.listdir(str(tmp_path / "marks")) == []
    assert (tmp_path / "mark").exists()
    assert pictures[1] == pictures[0]  # matplotlib has not read the settings there
