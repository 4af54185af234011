#!/usr/bin/env python3
"""Where the loader looks: nothing of the working folder, nothing of another checkout.

    run_paths_test.py SOURCE BUILD HOST_LIBRARIES

Looks at every program and library of the build folder and of an installation into a temporary
folder, and starts the command from a copy of the checkout and from the installation.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SOURCE, BUILD, HOST = (Path(each) for each in sys.argv[1:4])
# As they are named, and as they are: a part may be a link.
FORBIDDEN = {os.path.abspath(path) for path in (SOURCE, BUILD, SOURCE / ".deps", HOST)}
FORBIDDEN |= {os.path.realpath(path) for path in FORBIDDEN}


def output_of(command, **options):
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, universal_newlines=True, **options).stdout


def is_loadable(path):
    """Whether it is an ELF program or shared library."""
    with open(path, "rb") as stream:
        head = stream.read(18)
    return head[:4] == b"\x7fELF" and head[16] in (2, 3)


def files_of(folder):
    """Every file, but for those of other build folders in this one, and of what CMake tries out."""
    for where, folders, names in os.walk(folder):
        folders[:] = [each for each in folders if each != "CMakeFiles"
                      and not os.path.exists(os.path.join(where, each, "CMakeCache.txt"))]
        for name in names:
            path = Path(where, name)
            if path.is_file() and not path.is_symlink():
                yield path


def run_path(path):
    """The elements of a run path, as they are; none without one."""
    found = re.search(r"\((?:RUNPATH|RPATH)\).*\[(.*)\]", output_of(["readelf", "-dW", str(path)]))
    return found.group(1).split(":") if found else []


def needed(path):
    return re.findall(r"\(NEEDED\).*\[(.*)\]", output_of(["readelf", "-dW", str(path)]))


def loaded(path, **environment):
    """The files that the loader takes for a program or library; those that it does not find are "not found"."""
    environment["LD_TRACE_LOADED_OBJECTS"] = "1"
    text = output_of(["/lib64/ld-linux-x86-64.so.2", str(path)], env=environment)
    return [line.split(" => ")[1].split(" (")[0] for line in text.splitlines() if " => " in line]


class RunPaths(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp())
        cls.prefix = cls.folder / "prefix"
        subprocess.run(["cmake", "--install", str(BUILD), "--prefix", str(cls.prefix)], check=True,
                       stdout=subprocess.DEVNULL)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def check_run_paths(self, folder):
        count = 0
        for path in files_of(folder):
            if not is_loadable(path):
                continue
            count += 1
            for element in run_path(path):
                self.assertRegex(element, r"^\$ORIGIN(/|$)", "run path of '%s'" % path)
                place = Path(os.path.normpath(element.replace("$ORIGIN", str(path.parent))))
                self.assertIn(folder, [place, *place.parents], "run path of '%s'" % path)
        return count

    def test_build_folder(self):
        self.assertGreaterEqual(self.check_run_paths(BUILD), 2)
        self.assertEqual(run_path(BUILD / "bin/caffe2-quantize"), ["$ORIGIN/../lib"])

    def test_installation(self):
        self.assertEqual(self.check_run_paths(self.prefix), 2)

    def test_nothing_installed_names_a_path_of_the_build(self):
        for path in files_of(self.prefix):
            content = path.read_bytes()
            for name in FORBIDDEN:
                at = content.find(os.fsencode(name))
                self.assertEqual(at, -1, "%s: %r" % (path, content[max(at - 40, 0):at + 120]))

    def check_that_it_starts(self, command, folders, **environment):
        """Starts it where a file of each needed name lies, and looks where its libraries are."""
        planted = self.folder / "planted"
        planted.mkdir(exist_ok=True)
        for name in needed(command) + needed(BUILD / "lib/libcaffe2_quantization.so"):
            (planted / name).write_text("no library")
        self.assertIn("caffe2-quantize ", output_of([str(command), "--version"], cwd=planted, env=environment))
        for path in loaded(command, **environment):
            if not path.startswith(("/lib/", "/usr/", "/lib64/")):
                self.assertIn(Path(path).parent, folders)

    def test_a_checkout_that_was_moved(self):
        """As a copy: its libraries are its own."""
        checkout = self.folder / "moved"
        build = checkout / os.path.relpath(BUILD, SOURCE)
        if os.path.relpath(BUILD, SOURCE).startswith(".."):
            self.skipTest("the build folder is not in the checkout")
        shutil.copytree(BUILD / "lib", build / "lib", symlinks=True, ignore=shutil.ignore_patterns("*.a"))
        (build / "bin").mkdir()
        shutil.copy2(BUILD / "bin/caffe2-quantize", build / "bin")
        (checkout / ".deps").symlink_to(os.path.realpath(SOURCE / ".deps"))
        self.check_that_it_starts(build / "bin/caffe2-quantize", [build / "bin/../lib"])

    def test_installed_it_finds_the_host_by_the_environment(self):
        self.check_that_it_starts(self.prefix / "bin/caffe2-quantize", [self.prefix / "bin/../lib", HOST],
                                  LD_LIBRARY_PATH=str(HOST))
        self.assertIn("not found", loaded(self.prefix / "bin/caffe2-quantize"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
