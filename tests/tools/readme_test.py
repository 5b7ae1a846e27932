#!/usr/bin/env python3
"""The C++ in the README compiles, and what it shows of examples/iris.cpp is that program.

    readme_test.py COMPILER INCLUDE_FOLDER
"""

import pathlib
import re
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMPILER, INCLUDES = sys.argv[1:3]
BLOCKS = re.findall(r"^```cpp\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"),
                    re.MULTILINE | re.DOTALL)


def compiled(code):
    """What the compiler says of a program, or of lines that could stand in one; "" when all is well."""
    if "int main" not in code:
        code = f"#include <chainrule/chainrule.h>\nusing namespace chainrule;\nvoid shown() {{\n{code}}}\n"
    result = subprocess.run([COMPILER, "-std=c++20", "-fsyntax-only", "-I", INCLUDES, "-x", "c++", "-"],
                            input=code, text=True, capture_output=True)
    return result.stderr if result.returncode != 0 else ""


class Readme(unittest.TestCase):
    def test_every_block_of_code_compiles(self):
        self.assertGreater(len(BLOCKS), 0)
        for block in BLOCKS:
            with self.subTest(block=block):
                self.assertEqual("", compiled(block))

    def test_what_does_not_compile_is_seen(self):
        self.assertIn("modell", compiled("modell.save(1);\n"))

    def test_the_first_block_is_the_example(self):
        example = (ROOT / "examples/iris.cpp").read_text(encoding="utf-8")
        self.assertEqual(BLOCKS[0], example.split("\n", 1)[1])


unittest.main(argv=sys.argv[:1])
