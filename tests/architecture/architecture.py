"""Holds the code to the table of rooms in docs/architecture.md.

    architecture.py [CHECKOUT]     prints what is wrong, a line each; exits with 1 if anything is

The table says which room may include what; this file only knows how an include names an outside library.
Beside the includes it checks what the rooms' CMakeLists.txt link, their order, that no source of a library is
longer than 600 lines, that every header begins with a sentence that says what it is, and that what is installed
includes only what is installed.
"""
import os
import re
import sys

MOST_LINES = 600

# What an include of an outside library begins with, and its name in the table.
OUTSIDE = [
    ("caffe2/", "host"), ("c10/", "host"), ("ATen/", "host"), ("torch/", "host"),
    ("google/protobuf/", "protobuf"),
    ("hwy/", "Highway"),
    ("oneapi/", "oneDNN"), ("dnnl", "oneDNN"),
    ("omp.h", "OpenMP"),
    ("nlohmann/", "JSON"),
    ("xxhash.h", "xxHash"),
    ("zip.h", "libzip"),
    ("stb/", "stb"),
    ("CLI/", "CLI11"),
]
INTRINSIC_HEADERS = re.compile(r"(\w*intrin|arm_\w+)\.h$")
INTRINSICS = re.compile(r"\b(_mm\d*_\w+|__m(128|256|512)\w*|__builtin_ia32_\w+|_tile_\w+)\b")
# Folders of C++ that are no library.
NO_LIBRARY = ("tests", "benchmarks")
# Folders that hold no room: what is built, and programs that users start from.
NO_ROOMS = NO_LIBRARY + ("build", "examples", "cmake", "docs")
SOURCES = (".h", ".cc", ".inc")
# Sources that a check of the others would miss.
OTHER_SOURCES = (".c", ".cpp", ".cxx", ".hh", ".hpp", ".hxx", ".ipp", ".tcc")


def read(checkout, path):
    with open(os.path.join(checkout, path), encoding="utf-8") as file:
        return file.read()


class Row:
    """A room as the table has it."""

    def __init__(self, room, cell):
        self.room = room
        self.rooms = set()      # that it may include
        self.installed = set()  # of which it may include the installed headers alone
        self.outside = set()    # the names of outside libraries
        for item in re.sub(r"\s+", " ", cell).strip().split(","):
            item = item.strip()
            if item in ("", "nothing"):
                continue
            match = re.fullmatch(r"`([\w/]+)/`( as installed)?", item)
            if not match:
                self.outside.add(item)
            elif match.group(2):
                self.installed.add(match.group(1))
            else:
                self.rooms.add(match.group(1))


def rows_of(document):
    """The rows of the table under "Rooms and arrows", in order."""
    section = re.search(r"^## Rooms and arrows\n(.*?)(?=^## |\Z)", document, re.M | re.S)
    if not section:
        raise ValueError("docs/architecture.md has no section 'Rooms and arrows'")
    rows = []
    for line in section.group(1).splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        match = re.fullmatch(r"`([\w/]+)/`", cells[0])
        if line.startswith("|") and match and len(cells) == 3:
            rows.append(Row(match.group(1), cells[2]))
    if not rows:
        raise ValueError("docs/architecture.md has no table of rooms")
    return rows


def without_comments(text):
    """The text with comments and strings blanked out; lines stay."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', blank, text, flags=re.S)


def installed_headers(checkout):
    path = "cmake/Caffe2QuantizationInstall.cmake"
    if not os.path.exists(os.path.join(checkout, path)):
        return set()
    return set(re.findall(r"^\s+([\w/]+\.h)\)?$", read(checkout, path), re.M))


def sources_of(checkout, folder, endings=SOURCES):
    for parent, folders, files in os.walk(os.path.join(checkout, folder)):
        folders.sort()
        for name in sorted(files):
            if name.endswith(endings):
                yield os.path.relpath(os.path.join(parent, name), checkout)


class Checker:
    def __init__(self, checkout):
        self.checkout = checkout
        self.faults = []
        self.rows = {row.room: row for row in rows_of(read(checkout, "docs/architecture.md"))}
        self.installed = installed_headers(checkout)

    def fault(self, place, what):
        self.faults.append("{}: {}".format(place, what))

    def room_of(self, path):
        """The innermost room that holds the path; None: none does."""
        folder = os.path.dirname(path)
        while folder:
            if folder in self.rows:
                return folder
            folder = os.path.dirname(folder)
        return None

    def check_table(self):
        above = set()
        outside = {name for _, name in OUTSIDE} | {"intrinsics"}
        for row in self.rows.values():
            for room in sorted((row.rooms | row.installed) - above):
                self.fault("docs/architecture.md",
                           "{}/ may include {}/, which does not stand above it".format(row.room, room))
            if row.room != "python":
                for name in sorted(row.outside - outside):
                    self.fault("docs/architecture.md",
                               "{}/ may include '{}', which is neither a room nor a known library".format(
                                   row.room, name))
            above.add(row.room)
        for name, only in (("Highway", "quantization/kernels"), ("intrinsics", "quantization/kernels"),
                           ("oneDNN", "quantization/onednn")):
            for row in self.rows.values():
                if name in row.outside and row.room != only:
                    self.fault("docs/architecture.md",
                               "{}/ may include {}, expected {}/ alone".format(row.room, name, only))

    def check_include(self, place, row, name):
        target = self.room_of(name)
        if target is not None and place.split(":")[0] in self.installed and name not in self.installed:
            self.fault(place, "an installed header includes {}, which is not installed".format(name))
            return
        if target is not None:
            if target == row.room or target in row.rooms:
                return
            if target in row.installed:
                if name not in self.installed:
                    self.fault(place, "includes {}, which is not among the installed headers of {}/".format(
                        name, target))
                return
            self.fault(place, "{}/ includes {}, expected nothing of {}/".format(row.room, name, target))
            return
        if name.split("/")[0] in NO_LIBRARY:
            self.fault(place, "a library includes {}".format(name))
            return
        library = None
        if INTRINSIC_HEADERS.search(name):
            library = "intrinsics"
        for prefix, known in OUTSIDE:
            if name.startswith(prefix):
                library = known
                break
        if library is not None:
            if library not in row.outside:
                self.fault(place, "{}/ includes {}, expected nothing of {}".format(row.room, name, library))
        elif "/" in name and not name.startswith("sys/"):
            self.fault(place, "includes {}, which is in no room and of no known library".format(name))

    def check_source(self, path):
        row = self.rows[self.room_of(path)]
        text = read(self.checkout, path)
        lines = text.splitlines()
        for number, line in enumerate(lines, 1):
            place = "{}:{}".format(path, number)
            match = re.match(r"(?:/\*.*?\*/|\s)*(?:#|%:)\s*(include_next|include|import)\b\s*(.*)", line)
            if not match:
                continue
            if match.group(1) != "include":
                self.fault(place, "has #{}, expected #include".format(match.group(1)))
                continue
            name = re.match(r'<([^>]+)>|"([^"]+)"', match.group(2))
            if not name:
                self.fault(place, "includes what a macro says")
            elif name.group(2) and "/" not in name.group(2):
                self.fault(place, 'includes "{}", expected its path from the checkout'.format(name.group(2)))
            else:
                self.check_include(place, row, name.group(1) or name.group(2))
        if "intrinsics" not in row.outside:
            for number, line in enumerate(without_comments(text).splitlines(), 1):
                for found in INTRINSICS.finditer(line):
                    self.fault("{}:{}".format(path, number),
                               "{}/ uses {}, expected no intrinsic".format(row.room, found.group(0)))
        if path.endswith(".cc") and len(lines) > MOST_LINES:
            self.fault(path, "has {} lines, expected {} at most".format(len(lines), MOST_LINES))

    def check_header(self, path):
        text = read(self.checkout, path)
        if text.startswith("/*"):  # a header for C
            lines = [line.strip().lstrip("*") for line in text[2:text.find("*/")].splitlines()]
        else:
            lines = [line[2:] for line in re.match(r"(//[^\n]*\n)*", text).group(0).splitlines()]
        paragraph = []
        for line in lines:
            if not line.strip():
                break
            paragraph.append(line.strip())
        sentence = " ".join(paragraph)
        # "A sentence.", or one that a list or a drawing goes on with: "The fields:".
        if (len(sentence.split()) < 3 or not re.search(r"[.:](\s|$)", sentence)
                or re.match(r"copyright|license|spdx", sentence, re.I)):
            self.fault(path, "does not begin with a sentence that says what it is")

    def check_cmake(self):
        path = "CMakeLists.txt"
        if not os.path.exists(os.path.join(self.checkout, path)):
            return
        order = [room for room in re.findall(r"^\s*add_subdirectory\((\w+)\)", read(self.checkout, path), re.M)
                 if room in self.rows]
        table = [room for room in self.rows if room in order]
        if order != table:
            self.fault(path, "adds {}, expected the table's order, {}".format(", ".join(order), ", ".join(table)))
        targets = {os.path.basename(room): room for room in self.rows}
        for room, row in self.rows.items():
            path = room + "/CMakeLists.txt"
            if not os.path.exists(os.path.join(self.checkout, path)):
                continue
            text = re.sub(r"#[^\n]*", "", read(self.checkout, path))
            for target in re.findall(r"\bcaffe2_quantization_(\w+)\b(?!\()", text):
                linked = targets.get(target)
                if linked and linked != room and linked not in row.rooms:
                    self.fault(path, "links {}, expected nothing of {}/".format(target, linked))

    def check(self):
        self.check_table()
        self.check_cmake()
        tops = sorted({room.split("/")[0] for room in self.rows})
        for top in sorted(os.listdir(self.checkout)):
            if top.startswith(".") or top in NO_ROOMS or not os.path.isdir(os.path.join(self.checkout, top)):
                continue
            for path in sources_of(self.checkout, top, OTHER_SOURCES):
                self.fault(path, "is C or C++ by another ending, expected {}".format(", ".join(SOURCES)))
            if top not in tops:
                for path in sources_of(self.checkout, top):
                    self.fault(path, "is in no room of the table")
        for top in tops:
            for path in sources_of(self.checkout, top):
                if self.room_of(path) is None:
                    self.fault(path, "is in no room of the table")
                else:
                    self.check_source(path)
        for top in tops + list(NO_LIBRARY):
            for path in sources_of(self.checkout, top):
                if path.endswith(".h"):
                    self.check_header(path)
        return self.faults


def check(checkout):
    """What is wrong with the checkout, a line each."""
    return Checker(checkout).check()


if __name__ == "__main__":
    root = sys.argv[1] if len(sys.argv) > 1 else "."
    if not os.path.exists(os.path.join(root, "docs/architecture.md")):
        sys.exit("{}: has no docs/architecture.md, expected a checkout".format(root))
    found = check(root)
    for line in found:
        print(line)
    sys.exit(1 if found else 0)
