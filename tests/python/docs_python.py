"""Runs the Python blocks of a document in this process, as docs_blocks.py asks for them.

    docs_python.py COMMANDS RESULTS LOG     two pipes' numbers, and the file that is our output

A command is a line of JSON with code, its file and line, and the block's text, which is ``block`` to
code that checks it. The answer has the traceback (""
when all went well), what the block printed, and the values that it says it has: [line, shown, found]
for each statement that ends in a comment "# → VALUE". The value is that of the expression, or what the
statement printed.
"""

import ast
import contextlib
import json
import os
import re
import sys
import traceback

SHOWN = re.compile(r"#\s*→\s*(.*)$")


@contextlib.contextmanager
def raises(message):
    """Whether the statements raise an error with the message that a block shows, "…" for any text."""
    pattern = ".*".join(re.escape(" ".join(each.split())) for each in message.split("…"))
    try:
        yield
    except Exception as error:
        found = " ".join(str(error).split())
        assert re.search(pattern, found), "expected\n    %s\nfound\n    %s" % (message, found)
    else:
        raise AssertionError("no error, expected\n    %s" % message)


class Output(object):
    """What was printed since the last look, by Python and by the host."""

    def __init__(self, path):
        self._path = path
        self._at = 0

    def take(self):
        sys.stdout.flush()
        sys.stderr.flush()
        with open(self._path, "rb") as stream:
            stream.seek(self._at)
            text = stream.read()
        self._at += len(text)
        return text.decode("utf-8", "replace")


def run(code, file, line, names, output):
    lines = code.splitlines()
    tree = ast.parse(code, file)
    begins = [each.lineno for each in tree.body[1:]] + [len(lines) + 1]
    ast.increment_lineno(tree, line - 1)
    printed, checks = "", []
    for statement, end in zip(tree.body, begins):
        shown = None
        begin = statement.lineno - (line - 1)
        # The last line of the statement, or of its body.
        for number in range(begin, end):
            found = SHOWN.search(lines[number - 1])
            if found:
                shown = (line + number - 1, found.group(1))
        if isinstance(statement, ast.Expr):
            value = eval(compile(ast.Expression(statement.value), file, "eval"), names)
        else:
            exec(compile(ast.Module([statement], []) if sys.version_info >= (3, 8)
                         else ast.Module([statement]), file, "exec"), names)
            value = None
        text = output.take()
        printed += text
        if shown:
            checks.append([shown[0], shown[1], text if value is None else str(value)])
    return printed, checks


def _error(file):
    """Returns the traceback from the document on, without the host's own stack."""
    kind, error, trace = sys.exc_info()
    while trace.tb_next and trace.tb_frame.f_code.co_filename != file:
        trace = trace.tb_next
    text = "".join(traceback.format_exception(kind, error, trace, chain=False))
    return text.split("\nframe #", 1)[0]


def main():
    commands = os.fdopen(int(sys.argv[1]))
    results = os.fdopen(int(sys.argv[2]), "w")
    output = Output(sys.argv[3])
    names = {"__name__": "__main__", "raises": raises}
    sys.path.pop(0)  # this file's folder
    for command in commands:
        command = json.loads(command)
        answer = {"error": "", "output": "", "checks": []}
        names["block"] = command["block"]
        try:
            answer["output"], answer["checks"] = run(
                command["code"], command["file"], command["line"], names, output)
        except BaseException:  # a SystemExit too is the block's failure
            answer["error"] = output.take() + _error(command["file"])
        results.write(json.dumps(answer) + "\n")
        results.flush()


if __name__ == "__main__":
    main()
