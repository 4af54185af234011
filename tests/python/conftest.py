"""What the Python tests share: the plugin, a fresh workspace, a fresh process.

The plugin is the one that CAFFE2_QUANTIZATION_PLUGIN names, else the checkout's
build. Without it no test runs, and pytest fails.

Several processes share the tests when CAFFE2_QUANTIZATION_TEST_CLAIMS names a
folder, an empty one at first: each takes the next file that no other has taken.
"""

import hashlib
import os
import re
import subprocess
import sys

import pytest

CHECKOUT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PYTHON_FOLDER = os.path.join(CHECKOUT, "python")
sys.path.insert(0, PYTHON_FOLDER)

PLUGIN = os.path.abspath(
    os.environ.get("CAFFE2_QUANTIZATION_PLUGIN")
    or os.path.join(CHECKOUT, "build", "lib", "libcaffe2_quantization.so"))


def case_count(in_ci, in_long):
    """How many cases a random test runs: in_long under script/test --long, else in_ci."""
    return in_long if os.environ.get("CAFFE2_QUANTIZATION_LONG_TESTS") == "1" else in_ci


def engine_keys():
    """Returns (operator, engine) of all that the engine ONEDNN has.

    Keys of the registry that are refused (operators/int8/refused_list.inc) are not among
    them.
    """
    with open(os.path.join(CHECKOUT, "operators", "int8", "operator_list.inc")) as stream:
        lines = re.findall(r"^OPERATOR\((.*)\)$", stream.read(), re.MULTILINE)
    keys = []
    for line in lines:
        _, name, suffixes = line.split(", ", 2)
        keys += [(name, "ONEDNN" + each) for each in re.findall(r'"(\w*)"', suffixes)]
    return keys


def pytest_configure(config):
    import caffe2_quantization

    # The host's own, on every numpy that it runs with.
    config.addinivalue_line("filterwarnings", "ignore:`np:DeprecationWarning")
    try:
        from caffe2.python import workspace

        # Before any other call, or the host warns. Even its errors are not shown:
        # it calls a processor that is faster than its build one.
        workspace.GlobalInit(["pytest", "--caffe2_log_level=3"])
        caffe2_quantization.load(PLUGIN)
    except ImportError as error:
        raise pytest.UsageError("no test can run: %s" % error)


def pytest_report_header(config):
    import caffe2_quantization

    return "plugin: %s, version %s, kernels for %s" % caffe2_quantization.load()


def claimed(items, folder):
    """Yields the tests whose file, or document, this process is the first to claim."""
    mine = {}
    for item in items:
        file, _, test = item.nodeid.partition("::")
        group = test if test.startswith("test_document[") else file
        if group not in mine:
            try:
                name = hashlib.sha256(group.encode()).hexdigest()
                os.close(os.open(os.path.join(folder, name), os.O_CREAT | os.O_EXCL))
                mine[group] = True
            except FileExistsError:
                mine[group] = False
        if mine[group]:
            yield item


def pytest_runtestloop(session):
    folder = os.environ.get("CAFFE2_QUANTIZATION_TEST_CLAIMS")
    if not folder or session.testsfailed or session.config.option.collectonly:
        return None  # pytest's own loop
    mine = claimed(session.items, folder)
    item = next(mine, None)
    while item is not None:
        # What comes next says which fixtures stay.
        following = next(mine, None)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.shouldfail or session.shouldstop:
            raise session.Failed(session.shouldfail or session.shouldstop)
        item = following
    return True


def pytest_terminal_summary(terminalreporter):
    documents = sys.modules.get("test_docs")
    if documents is not None and documents.summary:
        terminalreporter.section("blocks of the documents")
        terminalreporter.write_line("\n".join(documents.summary))


@pytest.fixture
def plugin_path():
    return PLUGIN


@pytest.fixture
def digits_folder():
    return os.path.join(CHECKOUT, "examples", "digits")


@pytest.fixture(autouse=True)
def fresh_workspace():
    """Each test starts with an empty workspace and nothing observed."""
    from caffe2.python import workspace
    from caffe2_quantization import observers

    workspace.ResetWorkspace()
    yield
    observers.stop_attaching_to_later_nets()
    workspace.ResetWorkspace()
    for name, label in {(each["net"], each["observer"]) for each in observers.info()}:
        observers.detach(name, label)


@pytest.fixture
def run_python(tmp_path):
    """Returns a function that runs a program in a process of its own.

    The plugin is not loaded there, nor does the environment name it. The program
    is run in an empty folder; its arguments are in sys.argv[1:].
    """

    def run(program, *arguments, **environment):
        env = dict(os.environ, PYTHONPATH=PYTHON_FOLDER)
        env.pop("CAFFE2_QUANTIZATION_PLUGIN", None)
        env.update(environment)
        done = subprocess.run(
            [sys.executable, "-c", program] + [str(each) for each in arguments],
            cwd=str(tmp_path), env=env, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, universal_newlines=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    return run
