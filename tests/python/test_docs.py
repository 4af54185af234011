"""Every code block of the documents is run, or says why it is not."""

import glob
import os
import re
import shutil
import subprocess

import conftest
import docs_blocks
import pytest

DOCUMENTS = sorted(os.path.relpath(path, conftest.CHECKOUT) for pattern in (
    "*.md", "docs/*.md", "serialization/*.md", "examples/*/*.md", "findings/*.md")
    for path in glob.glob(os.path.join(conftest.CHECKOUT, pattern)))
BUILD = os.path.dirname(os.path.dirname(conftest.PLUGIN))

# Lines for the end of pytest's report.
summary = []


@pytest.fixture(scope="session")
def install(tmp_path_factory):
    """Returns a function that installs the build at its first call and returns the prefix."""
    prefix = tmp_path_factory.mktemp("installed")

    def run():
        if not os.listdir(str(prefix)):
            subprocess.run(["cmake", "--install", BUILD, "--prefix", str(prefix)], check=True,
                           stdout=subprocess.DEVNULL)
        return str(prefix)

    yield run
    shutil.rmtree(str(prefix))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_document(document, tmp_path, install):
    with open(os.path.join(conftest.CHECKOUT, document), encoding="utf-8") as stream:
        blocks = docs_blocks.read_blocks(document, stream.read())
    runner = docs_blocks.Runner(conftest.CHECKOUT, BUILD, str(tmp_path), install)
    try:
        left_out = runner.run(blocks)
    finally:
        runner.close()
    if blocks:
        summary.append("%s: %d blocks, %d not run" % (document, len(blocks), len(left_out)))
        summary.extend("  %s: %s" % (each.place(), each.directives["not run"]) for each in left_out)


def run(text, tmp_path):
    """Runs the blocks of a document with that text."""
    runner = docs_blocks.Runner(conftest.CHECKOUT, BUILD, str(tmp_path), None)
    try:
        return runner.run(docs_blocks.read_blocks("a.md", text))
    finally:
        runner.close()


@pytest.mark.parametrize("text, problem", [
    ("```python\nx = 1\nx + 1   # → 3\n```", "a.md:3: the value is shown as\n    3\nand is\n    2"),
    ("```python\n\nnobody\n```", "a.md:2: .*line 3.*NameError: name 'nobody' is not defined"),
    ("```python\nprint('a b')\n```\n\n```\na c\n```", "a.md:6: line 1 of the output is shown as\n    a c\nand is\n"
                                                         "    a b"),
    ("```\n$ echo 1; echo 2\n1\n$ echo 3\n4\n```", "a.md:2: the output goes on.*2\na.md:4: line 1"),
    ("```sh\ntrue\nfalse\n```", "a.md:3: exit status 1"),
    ("```\n$ true\ncaffe2-quantize: no\n```", "a.md:2: exit status 0"),
    ("<!-- test: part of: LICENSE -->\n```cpp\nint x;\n```", "a.md:3: 'int x;' is not in LICENSE"),
    ("```json\n{\n```", "a.md:2: no JSON"),
    ("<!-- test: not run -->\n```cpp\nint x;\n```", "a.md:3: 'not run' gives no reason"),
    ("<!-- test: output -->\n```\n1\n```", "a.md:3: nothing before it has an output"),
])
def test_what_is_wrong_is_named(text, problem, tmp_path):
    with pytest.raises(AssertionError) as error:
        run(text, tmp_path)
    assert re.search(problem, str(error.value), re.DOTALL), str(error.value)


@pytest.mark.parametrize("text", ["```\nx\n```", "    x", "```text\nx\n```", "<!-- test: bogus -->\n```\nx\n```",
                                  "<!-- test: output -->\nx", "```python"])
def test_a_block_that_nothing_is_said_of_is_an_error(text):
    with pytest.raises(AssertionError, match="a.md:[12]"):
        docs_blocks.read_blocks("a.md", text)


def test_comparing():
    same, other = [], ["of the output is shown as", "the output goes on"]
    for shown, found, expected in [
            (["a", "…", "c"], ["a", "b", "b", "c"], same), (["a", "…"], ["a"], same), (["…"], [], same),
            (["a"], ["a", "b"], other), (["b"], ["a", "b"], other), (["a", "b"], ["b", "a"], other),
            (["x  1.0000"], ["x 1.0009"], same), (["x 1.0000"], ["x 1.0021"], other), (["540"], ["541"], other),
            (["-1.5e-14"], ["1.5e-14"], other), (["a … c"], ["a b c"], same), (["a…1"], ["abc1"], same),
            (["took 1.5 s"], ["took 20 s"], same), (["ISA AVX2"], ["ISA AVX3_DL"], same),
            (["n  ms/batch", "-  --------", "7     1.25"], ["n  ms/batch", "-  --------", "7    11.25"], same),
            (["n  ms/batch", "-  --------", "7     1.25"], ["n  ms/batch", "-  --------", "8    11.25"], other)]:
        problem = docs_blocks.difference(shown, found)
        assert problem is None if expected is same else any(each in problem for each in expected), (shown, found)
