"""Plants each mistake that tools/check_layers is there to catch in a small tree, and sees it caught."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]

GOOD = {
    "include/chainrule/tensor.h": "#include <vector>\n",
    "include/chainrule/graph.h": '#include "chainrule/tensor.h"\n',
    "include/chainrule/chainrule.h": '#include "chainrule/graph.h"\n',
    "src/base/tensor.cpp": '#include "chainrule/tensor.h"\n#include "base/philox.h"\n',
    "src/base/philox.h": "#include <cstdint>\n",
    "src/graph/graph.cpp": '#include "chainrule/graph.h"\n#include "base/philox.h"\n',
    "src/ops/math.cpp": 'const Op kTanh{checked({.name = "tanh"})};\n',
    "src/autodiff/gradient.cpp": '// tanh, kTanh and "tanh" may stand in a comment\n'
                                 'throw Error("the tanh of a sentence is no op");\n',
    "src/cli/train.cpp": '#include "chainrule/chainrule.h"\n#include "graph/graph.cpp"\n',
}


class CheckLayers(unittest.TestCase):
    def check(self, changes):
        """(exit code, complaints) for the good tree with `changes` written over it."""
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            floors = (SOURCE / "tools" / "floors.txt").read_text()
            for name, text in {**GOOD, "tools/floors.txt": floors, **changes}.items():
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            result = subprocess.run(
                [sys.executable, SOURCE / "tools" / "check_layers", "--root", root],
                capture_output=True, text=True)
        return result.returncode, result.stderr

    def assert_caught(self, changes, *words):
        code, complaints = self.check(changes)
        self.assertEqual(code, 1, complaints)
        self.assertEqual(len(complaints.splitlines()), 1, complaints)
        for word in words:
            self.assertIn(word, complaints)

    def test_a_tree_that_keeps_to_the_floors_passes(self):
        self.assertEqual(self.check({}), (0, ""))

    def test_a_source_that_includes_a_private_file_above(self):
        self.assert_caught({"src/base/climb.cpp": '#include <vector>\n#include "ops/math.cpp"\n'},
                           "src/base/climb.cpp:2:", "base may not include ops/math.cpp")

    def test_a_source_that_includes_a_public_header_above(self):
        self.assert_caught({"src/base/climb.cpp": "#include <chainrule/graph.h>\n"},
                           "base may not include chainrule/graph.h")

    def test_a_room_that_includes_a_room_above_it(self):
        self.assert_caught({"src/numpy/parse/climb.h": '#include "numpy/eval/tape.h"\n',
                            "src/numpy/eval/tape.h": "\n"},
                           "numpy/parse may not include numpy/eval/tape.h: numpy/eval is a floor above it")
        self.assertEqual(self.check({"src/numpy/parse/token.h": "\n",
                                     "src/numpy/eval/tape.h": '#include "numpy/parse/token.h"\n'}), (0, ""))

    def test_a_file_beside_the_rooms(self):
        self.assert_caught({"src/numpy/lost.h": "\n"}, "src/numpy/lost.h:1", "belongs to no floor")

    def test_a_climb_by_a_relative_path(self):
        self.assert_caught({"src/base/climb.cpp": '#include "../graph/graph.cpp"\n'},
                           "base may not include ../graph/graph.cpp")

    def test_a_climb_to_a_file_that_is_not_there_yet(self):
        self.assert_caught({"src/ops/climb.cpp": '#include "autodiff/later.h"\n'},
                           "ops may not include autodiff/later.h")

    def test_a_source_below_the_umbrella_that_includes_it(self):
        self.assert_caught({"src/train/fit.cpp": '#include "chainrule/chainrule.h"\n'},
                           "train may not include", "the umbrella is a floor above")

    def test_neighbours_on_one_floor(self):
        self.assert_caught({"src/optim/adam.cpp": '#include "nn/layer.h"\n',
                            "src/nn/layer.h": '#include "nn/other.h"\n',
                            "src/nn/other.h": ""},
                           "optim may not include nn/layer.h")

    def test_a_public_header_that_climbs(self):
        self.assert_caught({"include/chainrule/tensor.h": '#include "chainrule/graph.h"\n'},
                           "include/chainrule/tensor.h:1:")

    def test_a_public_header_that_includes_a_private_one(self):
        self.assert_caught({"include/chainrule/graph.h": '#include "base/philox.h"\n'},
                           "private base/philox.h")

    def test_a_public_header_of_no_floor(self):
        self.assert_caught({"include/chainrule/stray.h": ""}, "stray.h", "belongs to no floor")

    def test_a_folder_of_no_floor(self):
        self.assert_caught({"src/stray/file.cpp": ""}, "stray/file.cpp", "belongs to no floor")

    def test_an_op_named_in_autodiff(self):
        self.assert_caught({"src/autodiff/gradient.cpp": '\nif (node.op().name == "tanh") {}\n'},
                           "src/autodiff/gradient.cpp:2:", '"tanh"')

    def test_an_op_constant_in_autodiff(self):
        self.assert_caught({"src/autodiff/gradient.cpp": "if (&node.op() == &kTanh) {}\n"}, "kTanh")

    def test_a_file_of_more_than_500_lines(self):
        self.assertEqual(self.check({"src/base/long.cpp": "\n" * 500}), (0, ""))
        self.assert_caught({"src/base/long.cpp": "\n" * 501}, "501 lines")


unittest.main()
