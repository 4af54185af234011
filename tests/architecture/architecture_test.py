"""Holds the checkout to docs/architecture.md, and the checker to what it must find.

    architecture_test.py CHECKOUT

Trees of a few small files are made in a temporary folder, with one fault planted in each.
"""
import os
import sys
import tempfile
import unittest

from architecture import check

CHECKOUT = sys.argv.pop(1) if len(sys.argv) > 1 else "."

TABLE = """# Architecture

## Rooms and arrows

| room | holds | may include |
|---|---|---|
| `base/` | text | nothing |
| `quantization/kernels/` | loops | Highway, intrinsics |
| `quantization/` | the mathematics | JSON, `base/`, `quantization/kernels/` |
| `quantization/onednn/` | products | oneDNN, `base/`, `quantization/` |
| `observers/` | recording | host, `base/`, `quantization/` |
| `workflow/` | files | host, `base/`, `observers/` as installed |

## Loading
"""
HEADER = "// A header that is in order.\n"
# A tree without a fault.
GOOD = {
    "docs/architecture.md": TABLE,
    "CMakeLists.txt": "add_subdirectory(base)\nadd_subdirectory(quantization)\n"
                      "add_subdirectory(observers)\nadd_subdirectory(workflow)\n",
    "cmake/Caffe2QuantizationInstall.cmake": "foreach(header IN ITEMS\n    base/status.h\n"
                                             "    observers/attachment.h)\nendforeach()\n",
    "base/status.h": HEADER + "#include <string>\n#include <sys/stat.h>\n",
    "base/CMakeLists.txt": "caffe2_quantization_add_library(base)\n",
    "quantization/kernels/sum.h": HEADER + "#include <cstdint>\n",
    "quantization/kernels/sum.cc": '#include "quantization/kernels/sum.h"\n#include "hwy/highway.h"\n'
                                   "#include <immintrin.h>\n__m256i Zero() { return _mm256_setzero_si256(); }\n",
    "quantization/choose.cc": '#include "quantization/kernels/sum.h"\n#include "base/status.h"\n'
                              "#include <nlohmann/json.hpp>\n// _mm_pause() is told of, not used.\n",
    "quantization/onednn/matmul.cc": '#include "oneapi/dnnl/dnnl.h"\n#include "quantization/choose.h"\n',
    "observers/attachment.h": HEADER + '#include "caffe2/core/net.h"\n#include "base/status.h"\n',
    "observers/record.h": HEADER,
    "observers/CMakeLists.txt": "caffe2_quantization_add_library(observers\n  LINK caffe2_quantization_quantization)\n",
    "workflow/run.cc": '#include "observers/attachment.h"\n',
    "workflow/run.h": "/* A header for C. */\n#include <stdint.h>\n",
    "tests/support/random.h": HEADER,
    "tests/base/status_test.cc": '#include "base/status.h"\n#include "tests/support/random.h"\n',
}


class Planted(unittest.TestCase):
    def faults(self, files=None):
        """The faults of the good tree with these files in place of its own."""
        tree = dict(GOOD, **(files or {}))
        with tempfile.TemporaryDirectory() as folder:
            for path, text in tree.items():
                path = os.path.join(folder, path)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
            return check(folder)

    def expect(self, files, *words):
        faults = self.faults(files)
        self.assertEqual(len(faults), 1, faults)
        for word in words:
            self.assertIn(word, faults[0])

    def test_the_good_tree(self):
        self.assertEqual(self.faults(), [])

    def test_an_arrow_up(self):
        self.expect({"quantization/choose.cc": '#include <string>\n#include "observers/record.h"\n'},
                    "quantization/choose.cc:2", "quantization/ includes observers/record.h")

    def test_an_arrow_past_a_room(self):
        self.expect({"workflow/run.cc": '#include "quantization/choose.h"\n'}, "workflow/ includes quantization/")

    def test_a_room_within_a_room_is_another(self):
        self.expect({"observers/a.cc": '#include "quantization/kernels/sum.h"\n'}, "quantization/kernels/sum.h")
        self.expect({"quantization/kernels/a.cc": '#include "quantization/choose.h"\n'}, "quantization/choose.h")

    def test_angle_brackets_and_blanks_hide_nothing(self):
        self.expect({"base/a.cc": "  #  include <observers/record.h>\n"}, "base/a.cc:1", "observers/record.h")

    def test_other_words_for_an_include_hide_nothing(self):
        self.expect({"base/a.cc": "/* c */ #include <observers/record.h>\n"}, "base/a.cc:1", "observers/record.h")
        self.expect({"base/a.cc": "%: include <observers/record.h>\n"}, "base/a.cc:1", "observers/record.h")
        for word in ("include_next", "import"):
            self.expect({"base/a.cc": "#%s <vector>\n" % word}, "base/a.cc:1", word)

    def test_a_folder_that_is_no_room(self):
        self.expect({"engines/a.cc": "#include <vector>\n"}, "engines/a.cc", "in no room")

    def test_another_ending(self):
        self.expect({"base/a.cpp": "#include <vector>\n"}, "base/a.cpp", "by another ending")

    def test_highway_outside_of_the_kernels(self):
        self.expect({"quantization/choose.cc": '#include "hwy/highway.h"\n'}, "nothing of Highway")

    def test_intrinsics_outside_of_the_kernels(self):
        self.expect({"quantization/choose.cc": "#include <immintrin.h>\n"}, "nothing of intrinsics")
        self.expect({"quantization/choose.cc": "\nint x = _mm_popcnt_u32(1);\n"}, "choose.cc:2", "_mm_popcnt_u32")
        self.expect({"observers/record.cc": "int x = __builtin_ia32_rdtsc();\n"}, "__builtin_ia32_rdtsc")

    def test_onednn_outside_of_its_room(self):
        self.expect({"quantization/choose.cc": '#include "oneapi/dnnl/dnnl.hpp"\n'}, "nothing of oneDNN")

    def test_a_table_that_lets_others_at_highway_or_onednn(self):
        for name in ("Highway", "intrinsics", "oneDNN"):
            self.expect({"docs/architecture.md": TABLE.replace("| JSON, `base/`", "| JSON, %s, `base/`" % name)},
                        "quantization/ may include " + name, "alone")

    def test_the_host_and_protobuf_below(self):
        self.expect({"quantization/choose.cc": '#include "caffe2/core/net.h"\n'}, "nothing of host")
        self.expect({"observers/record.cc": "#include <google/protobuf/message.h>\n"}, "nothing of protobuf")

    def test_tests_and_benchmarks_in_a_library(self):
        self.expect({"base/a.cc": '#include "tests/support/random.h"\n'}, "a library includes tests/support/random.h")
        self.expect({"base/a.cc": '#include "benchmarks/registry.h"\n'}, "a library includes benchmarks/registry.h")

    def test_a_header_that_is_not_installed(self):
        self.expect({"workflow/run.cc": '#include "observers/record.h"\n'}, "not among the installed headers")

    def test_an_installed_header_that_needs_another(self):
        self.expect({"observers/attachment.h": HEADER + '#include "observers/record.h"\n'},
                    "observers/attachment.h:2", "an installed header includes observers/record.h")

    def test_what_nobody_knows(self):
        self.expect({"base/a.cc": '#include "status.h"\n'}, "expected its path from the checkout")
        self.expect({"base/a.cc": "#include <boost/any.hpp>\n"}, "of no known library")
        self.expect({"base/a.cc": "#include HEADER\n"}, "what a macro says")
        self.expect({"base/a.cc": '#include "elsewhere/a.h"\n'}, "in no room")

    def test_a_table_with_a_circle(self):
        self.expect({"docs/architecture.md": TABLE.replace("| text | nothing |", "| text | `observers/` |")},
                    "base/ may include observers/, which does not stand above it")

    def test_a_table_with_a_name_that_nothing_has(self):
        self.expect({"docs/architecture.md": TABLE.replace("| text | nothing |", "| text | Bost |")}, "'Bost'")

    def test_another_order_in_cmake(self):
        self.expect({"CMakeLists.txt": "add_subdirectory(quantization)\nadd_subdirectory(base)\n"},
                    "expected the table's order, base, quantization")

    def test_a_room_that_links_what_it_may_not_include(self):
        self.expect({"base/CMakeLists.txt": "caffe2_quantization_add_library(base\n"
                                            "  LINK caffe2_quantization_observers)\n"},
                    "base/CMakeLists.txt", "links observers")

    def test_a_long_source(self):
        self.expect({"base/a.cc": "\n" * 601}, "base/a.cc", "601 lines")
        self.assertEqual(self.faults({"base/a.cc": "\n" * 600, "tests/base/status_test.cc": "\n" * 601}), [])

    def test_a_header_without_a_sentence(self):
        for text in ("#include <string>\n", "//\n// Too late.\n", "// One.\n", "// no full stop at its end\n",
                     "// Copyright of somebody. All of it.\n"):
            self.expect({"base/status.h": text}, "base/status.h", "does not begin with a sentence")
        self.expect({"tests/support/random.h": "#pragma once\n"}, "tests/support/random.h")

    def test_a_document_without_the_table(self):
        with self.assertRaises(ValueError):
            self.faults({"docs/architecture.md": "# Architecture\n"})


class TheCheckout(unittest.TestCase):
    def test_it_keeps_to_its_table(self):
        self.assertEqual(check(CHECKOUT), [])


if __name__ == "__main__":
    unittest.main()
