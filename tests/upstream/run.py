"""Runs a file of the installed caffe2/quantization/server with our modules in place.

    run.py observer_test.py
    run.py --engine ONEDNN quantize_dnnlowp_op_test.py
    run.py --engine ONEDNN --examples 100 conv_dnnlowp_op_test.py

The wheel has the file, but not the module dnnlowp_pybind11 that it imports. A file
that only defines test cases has them run; the process fails if one does.

With --engine, engine names in the file and in the modules of its folder become ours:
each string that is DNNLOWP, with or without a suffix, gets the other name before the
suffix. An operator of that engine that does not exist is an error, where the host
would take its own without a word, and so is one that is still of DNNLOWP. At the end
the operators of the engine are counted by name; if there was none, the process fails.

Caffe2 sets hypothesis to 10 examples a test, and some tests set a number of their own.
With --examples all make so many, and none has a time limit. With --examples-in-ci
likewise, but under script/test --long (CAFFE2_QUANTIZATION_LONG_TESTS=1) they make as
many as hypothesis does by itself, 100.
"""

import argparse
import ast
import collections
import importlib.abc
import importlib.machinery
import os
import re
import sys
import types
import unittest

import caffe2_quantization
from caffe2.python import core, workspace

UPSTREAM_ENGINE = re.compile(r"DNNLOWP(?=_|$)")


class RenameEngines(ast.NodeTransformer):
    """Renames engines in a syntax tree, and counts them."""

    def __init__(self, engine):
        self.engine = engine
        self.count = 0

    def visit_Constant(self, node):
        if isinstance(node.value, str) and UPSTREAM_ENGINE.match(node.value):
            self.count += 1
            value = UPSTREAM_ENGINE.sub(self.engine, node.value, 1)
            return ast.copy_location(ast.Constant(value=value, kind=None), node)
        return node


class Loader(importlib.machinery.SourceFileLoader):
    """Compiles a module's source with its engines renamed."""

    engine = None

    def get_code(self, fullname):
        # Never from the cache of compiled files, which has the names as they were.
        path = self.get_filename(fullname)
        tree, _ = renamed(self.get_data(path), path, self.engine)
        return compile(tree, path, "exec")


class Finder(importlib.abc.MetaPathFinder):
    """Finds the modules in one folder of one package for Loader."""

    def __init__(self, package):
        self.prefix = package.__name__ + "."
        self.path = list(package.__path__)

    def find_spec(self, fullname, path=None, target=None):
        if not fullname.startswith(self.prefix):
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, self.path)
        if spec is None or not isinstance(spec.loader,
                                          importlib.machinery.SourceFileLoader):
            return spec
        spec.loader = Loader(fullname, spec.origin)
        return spec


class KeepNoSettings(ast.NodeTransformer):
    """Takes from hypothesis's settings() what --examples decides."""

    NAMES = ("max_examples", "deadline")

    def visit_Call(self, node):
        self.generic_visit(node)
        name = getattr(node.func, "id", getattr(node.func, "attr", None))
        if name == "settings":
            node.keywords = [each for each in node.keywords if each.arg not in self.NAMES]
        return node


def set_examples(examples):
    """Sets how many examples hypothesis makes of a test that does not say so."""
    import hypothesis
    import caffe2.python.hypothesis_test_util  # noqa: F401 (loads a profile of its own)

    hypothesis.settings.register_profile(
        "run", hypothesis.settings.default, max_examples=examples, deadline=None)
    hypothesis.settings.load_profile("run")


def examples_of(arguments):
    """Returns how many examples the arguments ask for, or None."""
    if arguments.examples_in_ci is None:
        return arguments.examples
    if os.environ.get("CAFFE2_QUANTIZATION_LONG_TESTS") != "1":
        return arguments.examples_in_ci
    import hypothesis

    return hypothesis.settings.get_profile("default").max_examples


def renamed(source, path, engine):
    """Returns the tree of a source, and how many engine names changed in it."""
    tree = ast.parse(source, path)
    rename = RenameEngines(engine)
    return ast.fix_missing_locations(rename.visit(tree)), rename.count


def watch_operators(engine):
    """Makes core.CreateOperator fail where the host would choose another engine.

    Returns a counter of what it makes of the engine: (type, engine).
    """
    registered = set(workspace.RegisteredOperators())
    create = core.CreateOperator
    made = collections.Counter()

    def checked(operator_type, *args, **kwargs):
        op = create(operator_type, *args, **kwargs)
        if UPSTREAM_ENGINE.match(op.engine):
            raise NotImplementedError("%s is still of %s" % (op.type, op.engine))
        if op.engine.startswith(engine):
            key = "%s_ENGINE_%s" % (op.type, op.engine)
            if key not in registered:
                raise NotImplementedError("there is no operator " + key)
            made[op.type, op.engine] += 1
        return op

    core.CreateOperator = checked
    return made


def run_file(path, engine, examples):
    """Runs a file as a program does; returns its names."""
    with open(path, "rb") as stream:
        source = stream.read()
    tree = ast.parse(source, path)
    if engine is not None:
        tree, count = renamed(source, path, engine)
        if count == 0:
            sys.exit("%s names no DNNLOWP engine" % path)
    if examples is not None:
        set_examples(examples)
        tree = KeepNoSettings().visit(tree)
    module = types.ModuleType("__main__")
    module.__file__ = path
    sys.modules["__main__"] = module
    exec(compile(tree, path, "exec"), module.__dict__)
    return module


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--engine", help="for DNNLOWP in engine names, such as ONEDNN")
    parser.add_argument("--examples", type=int, help="of each test of hypothesis's")
    parser.add_argument("--examples-in-ci", type=int,
                        help="the same, but 100 under script/test --long")
    arguments, rest = parser.parse_known_args()
    workspace.GlobalInit(["upstream", "--caffe2_log_level=3"])
    caffe2_quantization.load()

    from caffe2.quantization import server
    from caffe2_quantization import dnnlowp_pybind11

    dnnlowp_pybind11.install()
    made = None
    if arguments.engine is not None:
        Loader.engine = arguments.engine
        sys.meta_path.insert(0, Finder(server))
        made = watch_operators(arguments.engine)
    path = os.path.join(os.path.dirname(server.__file__), arguments.file)
    sys.argv[:] = [path] + rest
    module = run_file(path, arguments.engine, examples_of(arguments))
    cases = [each for each in vars(module).values()
             if isinstance(each, type) and issubclass(each, unittest.TestCase)]
    if cases:
        load = unittest.defaultTestLoader.loadTestsFromTestCase
        suite = unittest.TestSuite(load(case) for case in cases)
        if not unittest.TextTestRunner().run(suite).wasSuccessful():
            sys.exit(1)
    if made is not None:
        for (op_type, engine), count in sorted(made.items()):
            print("%d operators %s of %s" % (count, op_type, engine))
        if not made:
            sys.exit("no operator of %s was made" % arguments.engine)


if __name__ == "__main__":
    main()
