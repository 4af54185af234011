"""The code blocks of the documents: found, run, and compared with what the documents show.

A document's blocks run in order in one folder that looks like a checkout, Python blocks in one
process. CONTRIBUTING.md ("Documents") says what a block's language and the comment before it mean.
"""

import json
import os
import re
import shutil
import subprocess
import sys

TEST_COMMENT = "<!-- test:"
# What an indented block begins with when it is commands.
COMMAND = re.compile(r"(build/bin/|script/|\.deps/|examples/|caffe2-quantize |cmake |ctest |PYTHONPATH=)")
DIRECTIVES = ("not run", "file", "part of", "output", "before", "check", "json", "with")


class Wrong(AssertionError):
    """A block that does not do what its document says; `what` alone if it names places itself."""

    def __init__(self, block, what):
        super(Wrong, self).__init__("%s: %s" % (block.place(), what) if block else what)


class Block(object):
    """A code block.

    Attributes:
        document: the document's path in the checkout.
        line: where its first line of code stands, from 1.
        language: of the fence; None for an indented block.
        lines: its lines, without the block's indentation.
        directives: a dict of what the comments before it say.
        is_next: nothing but empty lines stands between the block before and this one.
        kind: see ``_kind``.
    """

    def __init__(self, document, line, language, lines, directives, is_next):
        self.document = document
        self.line = line
        self.language = language
        self.lines = lines
        self.directives = directives
        self.is_next = is_next
        self.kind = None

    @property
    def text(self):
        return "\n".join(self.lines) + "\n"

    def place(self, offset=0):
        return "%s:%d" % (self.document, self.line + offset)


def read_blocks(document, text):
    """Returns a document's blocks, each with its kind."""
    blocks = []
    directives, is_next, is_blank = {}, False, True
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        line = lines[at]
        fence = re.match(r"( *)(```+)(\w*)\s*$", line)
        found = None
        if line.lstrip().startswith(TEST_COMMENT):
            begin = at
            while "-->" not in lines[at]:
                at += 1
                if at == len(lines):
                    raise AssertionError("%s:%d: the comment does not end" % (document, begin + 1))
            comment = "\n".join(lines[begin:at + 1]).lstrip()
            _read_directive(comment[len(TEST_COMMENT):comment.index("-->")].strip(), directives,
                            "%s:%d" % (document, begin + 1))
            is_blank = True
        elif fence:
            begin = at + 1
            at = begin
            while at < len(lines) and lines[at].strip() != fence.group(2):
                at += 1
            if at == len(lines):
                raise AssertionError("%s:%d: the block does not end" % (document, begin))
            indent = len(fence.group(1))
            found = Block(document, begin + 1, fence.group(3),
                          [each[indent:] for each in lines[begin:at]], directives, is_next)
        elif line.startswith("    ") and line.strip() and is_blank:
            begin = at
            while at < len(lines) and (lines[at].startswith("    ") or not lines[at].strip()):
                at += 1
            while not lines[at - 1].strip():
                at -= 1
            at -= 1
            found = Block(document, begin + 1, None, [each[4:] for each in lines[begin:at + 1]],
                          directives, is_next)
        elif line.strip():
            if directives:
                raise AssertionError("%s:%d: no block follows the comment '%s'" % (
                    document, at + 1, ", ".join(directives)))
            is_next = is_blank = False
        else:
            is_blank = True
        if found:
            found.kind = _kind(found, blocks[-1] if blocks else None)
            blocks.append(found)
            directives, is_next, is_blank = {}, True, True
        at += 1
    return blocks


def _read_directive(comment, directives, place):
    for name in DIRECTIVES:
        if re.match(re.escape(name) + r"(\W|$)", comment):
            directives[name] = comment[len(name):].lstrip(":").strip()
            return
    raise AssertionError("%s: '%s' is no comment for tests, expected one of: %s" % (
        place, comment, ", ".join(DIRECTIVES)))


def _kind(block, before):
    """Returns "not run", "file", "part of", "output", "console", "commands", "json", "check", "python" or "cpp"."""
    for name in ("not run", "file", "part of", "output", "json", "check"):
        if name in block.directives:
            return name
    if block.language in ("python", "cpp", "json"):
        return block.language
    if block.language in ("", "console", "sh", "bash") and block.lines and block.lines[0].startswith("$ "):
        return "console"
    if block.language in ("sh", "bash"):
        return "commands"
    if block.language == "" and block.is_next and before and before.kind in ("python", "cpp"):
        return "output"
    if block.language is None and COMMAND.match(block.lines[0]):
        return "commands"
    raise Wrong(block, "nothing says whether this block is run: give it a language, or a comment before "
                       "it, such as '<!-- test: not run: an error message -->'; CONTRIBUTING.md lists them")


# --- Comparing -------------------------------------------------------------------------------------------------------

# Columns of tables, and other text, that differ from machine to machine.
VARYING_COLUMNS = {"ms/batch", "images/s", "load ms", "peak KiB"}
VARYING = [
    (re.compile(r"\bISA \w+"), "ISA #"),
    (re.compile(r"\bisa='\w+'"), "isa='#'"),
    (re.compile(r"\boneDNN [\d.]+"), "oneDNN #"),
    (re.compile(r"\b\d+(\.\d+)? (s|ms|us|min)\b"), "# s"),
    (re.compile(r"^\[[A-Z] (init|init_intrinsics_check)\.\w+:.*$"), ""),
]
NUMBER = re.compile(r"(?<![\w.])[-−]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?(?![\w])")


def _masked(lines):
    """Returns the lines without what differs from machine to machine, and with single blanks."""
    result, spans = [], []
    for number, line in enumerate(lines):
        if re.match(r"\s*-+(\s+-+)+\s*$", line) and number:
            header = lines[number - 1]
            spans = [each.span() for each in re.finditer(r"-+", line)
                     if header[each.start():each.end()].strip() in VARYING_COLUMNS]
        elif not line.strip() or line.startswith("* "):
            spans = []
        elif spans and not line.strip() == "…":
            for begin, end in reversed(spans):
                line = line[:begin] + " # " + line[end:]
        for pattern, replacement in VARYING:
            line = pattern.sub(replacement, line)
        line = re.sub(r"-{3,}", "---", " ".join(line.split()))
        if line:
            result.append(line)
    return result


def _number(text):
    return float(text.replace(",", "").replace("−", "-"))


def same_line(expected, found):
    """Whether a line is what a document shows: "…" stands for any text, and numbers with a point or an
    exponent may differ by one in a thousand, as processors round sums in another order."""
    if expected == found:
        return True
    pattern, numbers, end = "", [], 0
    for each in list(NUMBER.finditer(expected)) + [None]:
        plain = expected[end:each.start() if each else len(expected)]
        pattern += ".*?".join(re.escape(part) for part in plain.split("…"))
        if each and re.search(r"[.e]", each.group()):
            pattern += "(" + NUMBER.pattern + ")"
            numbers.append(_number(each.group()))
        elif each:
            pattern += re.escape(each.group())
        end = each.end() if each else end
    match = re.match(pattern + "$", found)
    return bool(match) and all(
        abs(_number(text) - number) <= 1e-3 * abs(number)
        for text, number in zip(match.groups(), numbers))


def same_value(shown, found):
    """Whether a value is what a comment shows: numbers and words count, but no brackets and commas."""
    tokens = [re.findall(r"[-+]?\d+\.?\d*(?:e[-+]?\d+)?|\w+", text) for text in (shown, found)]
    if len(tokens[0]) != len(tokens[1]):
        return False
    for one, other in zip(*tokens):
        if one != other and not (one[-1].isdigit() and re.match(r"[-+]?\d", other)
                                 and abs(float(one) - float(other)) <= 1e-3 * abs(float(one))):
            return False
    return True


def difference(expected, found):
    """Returns how an output differs from the one shown, or None. A line "…" stands for any lines."""
    expected, found = _masked(expected), _masked(found)
    at, anywhere = 0, False
    for number, line in enumerate(expected):
        if line == "…":
            anywhere = True
            continue
        places = range(at, len(found)) if anywhere else range(at, min(at + 1, len(found)))
        place = next((each for each in places if same_line(line, found[each])), None)
        if place is None:
            return "line %d of the output is shown as\n    %s\n%s\n    %s" % (
                number + 1, line, "and is in none of" if anywhere else "and is",
                "\n    ".join(found[at:at + (40 if anywhere else 1)]) or "(nothing)")
        at, anywhere = place + 1, False
    if at < len(found) and not anywhere:
        return "the output goes on, after what is shown, with\n    " + "\n    ".join(found[at:at + 20])
    return None


# --- Running ---------------------------------------------------------------------------------------------------------


class Runner(object):
    """Runs a document's blocks in a folder that looks like the checkout, with a built plugin.

    Args:
        checkout: the checkout.
        build: its build folder.
        folder: an empty folder to work in.
        install: a function that installs the build once and returns the prefix.
    """

    def __init__(self, checkout, build, folder, install):
        self.checkout = checkout
        self.folder = folder
        self.install = install
        for name in os.listdir(checkout):
            if name not in ("build", ".git"):
                os.symlink(os.path.join(checkout, name), os.path.join(folder, name))
        os.mkdir(os.path.join(folder, "build"))
        for name in ("bin", "lib", "cmake_install.cmake", "CMakeCache.txt"):
            os.symlink(os.path.join(build, name), os.path.join(folder, "build", name))
        self._python = None
        self._programs = None
        self._environment = dict(os.environ, PYTHONDONTWRITEBYTECODE="1",
                                 PATH=os.path.join(folder, "build", "bin") + os.pathsep + os.environ["PATH"])
        if shutil.which("ccache"):
            self._environment["CMAKE_CXX_COMPILER_LAUNCHER"] = "ccache"
        for name in ("CAFFE2_QUANTIZATION_PLUGIN", "PYTHONPATH"):
            self._environment.pop(name, None)

    def close(self):
        if self._python:
            self._python.close()

    def run(self, blocks):
        """Runs the blocks; returns those that say that they are not run. Raises Wrong with all that is."""
        wrong, output = [], None
        for block in blocks:
            try:
                output = self._run(block, output, blocks)
            except Wrong as error:
                wrong.append(str(error))
        if wrong:
            raise AssertionError("\n".join(wrong))
        return [each for each in blocks if each.kind == "not run"]

    def _run(self, block, output, blocks):
        """Runs a block after one that had an output; returns the output that the next one may show."""
        if block.kind == "not run":
            if not block.directives["not run"]:
                raise Wrong(block, "'not run' gives no reason")
            return output
        if "before" in block.directives:
            self._command(block, 0, "export PYTHONPATH=python\n" + block.directives["before"])
        if block.kind == "output":
            if output is None:
                raise Wrong(block, "nothing before it has an output")
            self._compare(block, 0, block.lines, output)
        elif block.kind == "python":
            return self._run_python(block, block.text)
        elif block.kind == "check":
            self._run_python(block, block.directives["check"])
        elif block.kind == "cpp":
            if self._programs is None:
                self._compile([each for each in blocks if each.kind == "cpp"])
            return self._command(block, 0, self._programs[block])
        elif block.kind == "file":
            self._write(block)
        elif block.kind == "part of":
            self._look_up(block)
        elif block.kind == "json":
            self._parse(block)
        else:
            return self._commands(block)
        return None

    def _run_python(self, block, code):
        if not self._python:
            self._python = _Python(self.folder, dict(self._environment, PYTHONPATH="python"))
        return self._python.run(block, code)

    def _write(self, block):
        path = os.path.join(self.folder, block.directives["file"])
        if not os.path.isdir(os.path.dirname(path)):
            os.makedirs(os.path.dirname(path))
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(block.text)

    def _look_up(self, block):
        """Every line of the block stands in the file, in that order and whatever its line breaks; "…"
        stands for what is left out."""
        name = block.directives["part of"]
        with open(os.path.join(self.checkout, name), encoding="utf-8") as stream:
            text = "".join(stream.read().split())
        at = 0
        for offset, line in enumerate(block.lines):
            part = "".join(line.split())
            if part == "…":
                continue
            at = text.find(part, at)
            if at < 0:
                raise Wrong(_At(block, offset), "'%s' is not in %s, or not in this order" % (line.strip(), name))
            at += len(part)

    def _parse(self, block):
        try:
            shown = json.loads(block.text)
        except ValueError as error:
            raise Wrong(block, "no JSON: %s" % error)
        name = block.directives.get("json")
        if name:
            with open(os.path.join(self.folder, name), encoding="utf-8") as stream:
                found = json.load(stream)
            problem = _other_members(shown, found, "")
            if problem:
                raise Wrong(block, "%s: %s" % (name, problem))

    def _commands(self, block):
        """Runs a block of commands, "$ command" each with its output or one a line; returns their output."""
        commands, shown = [], {}
        for offset, line in enumerate(block.lines):
            if commands and commands[-1][1].endswith("\\"):
                commands[-1][1] = commands[-1][1][:-1] + line
            elif block.kind == "console" and line.startswith("$ "):
                commands.append([offset, line[2:]])
            elif block.kind == "console":
                shown.setdefault(commands[-1][0], []).append(line)
            elif line.strip():
                commands.append([offset, line])
        output, wrong = [], []
        for offset, command in commands:
            lines = shown.get(offset, [])
            fails = any(line.startswith("caffe2-quantize: ") for line in lines)
            try:
                output = self._command(block, offset, command, fails)
                if lines:
                    self._compare(block, offset, lines, output)
            except Wrong as error:
                wrong.append(error)
        if wrong:
            raise Wrong(None, "\n".join(str(each) for each in wrong))
        return output

    def _command(self, block, offset, command, fails=False):
        for pair in block.directives.get("with", "").splitlines():
            if pair:
                name, value = pair.split(" = ", 1)
                command = command.replace(name, value)
        done = subprocess.run(["bash", "-e", "-c", command], cwd=self.folder, env=self._environment,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output = done.stdout.decode("utf-8", "replace").splitlines()
        if (done.returncode != 0) != fails:
            raise Wrong(_At(block, offset), "exit status %d of\n    %s\nwhich said\n    %s" % (
                done.returncode, command, "\n    ".join(output[-20:])))
        return output

    @staticmethod
    def _compare(block, offset, shown, output):
        problem = difference(shown, output)
        if problem:
            raise Wrong(_At(block, offset), problem)

    def _compile(self, blocks):
        """Builds a program of each C++ block with the installed package; `self._programs` has them."""
        self._programs = {}
        folder = os.path.join(self.folder, "build", "programs")
        os.makedirs(folder)
        prefix = self.install()
        project = ["cmake_minimum_required(VERSION 3.25)", "project(documents LANGUAGES CXX)",
                   "find_package(caffe2_quantization REQUIRED)"]
        for number, block in enumerate(blocks):
            name = "block_%d" % number
            with open(os.path.join(folder, name + ".cc"), "w", encoding="utf-8") as stream:
                stream.write(_program(block))
            # The host comes through the plugin, and alone where a block loads the plugin itself.
            ours = "" if "LoadModule(" in block.text else (
                "caffe2_quantization::caffe2_quantization caffe2_quantization::quantization ")
            project += ["add_executable(%s %s.cc)" % (name, name),
                        "target_link_libraries(%s PRIVATE %sCaffe2Host::Caffe2 Caffe2Host::Protobuf)"
                        % (name, ours)]
            self._programs[block] = os.path.join(folder, "out", name)
        with open(os.path.join(folder, "CMakeLists.txt"), "w") as stream:
            stream.write("\n".join(project) + "\n")
        self._command(blocks[0], 0, "cmake -G Ninja -S {0} -B {0}/out -DCMAKE_PREFIX_PATH={1} "
                      "-DCAFFE2_HOST_ROOT=$PWD/.deps/host".format(folder, prefix))
        self._command(blocks[0], 0, "cmake --build %s/out" % folder)


class _At(object):
    """A line of a block, for messages."""

    def __init__(self, block, offset):
        self._block = block
        self._offset = offset

    def place(self):
        return self._block.place(self._offset)


def _program(block):
    """Returns a C++ block as a file; a block without main() becomes the body of one."""
    if re.search(r"\bmain\(", block.text):
        return "#line %d \"%s\"\n%s" % (block.line, block.document, block.text)
    before, body = [], []
    for offset, line in enumerate(block.lines):
        part = before if re.match(r"#include|using ", line) else body
        part += ["#line %d \"%s\"" % (block.line + offset, block.document), line]
    return "\n".join(before + ["int main(int argc, char** argv) {"] + body + ["}", ""])


def _other_members(shown, found, where):
    """Returns where two JSON values differ in their members or types, or None. Of a list the first
    element counts."""
    if isinstance(shown, dict):
        if not isinstance(found, dict) or set(shown) != set(found):
            return "%s has %s, but is shown with %s" % (
                where or "it", sorted(found) if isinstance(found, dict) else repr(found), sorted(shown))
        for name in sorted(shown):
            problem = _other_members(shown[name], found[name], "%s.%s" % (where, name))
            if problem:
                return problem
    elif isinstance(shown, list):
        if not isinstance(found, list):
            return "%s is %r, but is shown as a list" % (where, found)
        if shown and found:
            return _other_members(shown[0], found[0], where + "[0]")
    return None


class _Python(object):
    """A Python process that runs blocks one after the other."""

    def __init__(self, folder, environment):
        read, self._commands = os.pipe()
        self._results, write = os.pipe()
        self._log = os.path.join(folder, "build", "python.log")
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "docs_python.py"),
                 str(read), str(write), self._log], cwd=folder, env=environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, pass_fds=(read, write))
        os.close(read)
        os.close(write)
        self._results = os.fdopen(self._results)

    def run(self, block, code):
        """Runs code for a block; returns what it printed. Raises Wrong."""
        os.write(self._commands, (json.dumps(
            {"code": code, "file": block.document, "line": block.line, "block": block.text}) + "\n").encode())
        answer = self._results.readline()
        with open(self._log, encoding="utf-8", errors="replace") as log:
            output = log.read().splitlines()
        if not answer:
            raise Wrong(block, "Python ended:\n    " + "\n    ".join(output[-20:]))
        answer = json.loads(answer)
        if answer["error"]:
            raise Wrong(block, answer["error"].rstrip())
        for line, shown, found in answer["checks"]:
            if not same_value(shown, found):
                raise Wrong(_At(block, line - block.line), "the value is shown as\n    %s\nand is\n    %s"
                            % (shown, found.rstrip()))
        return answer["output"].splitlines()

    def close(self):
        os.close(self._commands)
        self._process.wait()
        self._results.close()
