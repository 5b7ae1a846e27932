"""Lets tools/build.sh build with a stand-in for cmake: progress is short, what compilers say is whole."""

import os
import pty
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

BUILD = Path(__file__).resolve().parents[2] / "tools" / "build.sh"
STEPS = "\n".join(f"echo '[{i}/205] Building CXX object x{i}.o'" for i in range(1, 206))
FAILURE = "echo '[206/205] Building y.o'; echo 'FAILED: y.o'; echo \"y.cpp:1: error: no 'x'\"; exit 3"


class Build(unittest.TestCase):
    def build(self, script, configure="exit 0", terminal=False):
        """(exit code, everything printed), with `script` as what the build does."""
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            (root / "tools").mkdir()
            (root / "tools" / "build.sh").symlink_to(BUILD)
            (root / "bin").mkdir()
            cmake = root / "bin" / "cmake"
            cmake.write_text(f'#!/bin/sh\nif [ "$1" = --preset ]; then\n{configure}\nfi\n{script}\n')
            cmake.chmod(0o755)
            environment = {**os.environ, "PATH": f"{root / 'bin'}:{os.environ['PATH']}"}
            command = ["bash", str(root / "tools" / "build.sh"), "release"]
            if not terminal:
                result = subprocess.run(command, env=environment, capture_output=True, text=True)
                return result.returncode, result.stdout + result.stderr
            ours, theirs = pty.openpty()
            with subprocess.Popen(command, env=environment, stdout=theirs, stderr=theirs) as process:
                os.close(theirs)
                printed = b""
                try:
                    while piece := os.read(ours, 65536):
                        printed += piece
                except OSError:  # the other end is closed
                    pass
            os.close(ours)
            return process.returncode, printed.decode()

    def test_a_few_lines_where_there_is_no_terminal(self):
        code, printed = self.build(STEPS)
        self.assertEqual(code, 0)
        self.assertLess(len(printed.splitlines()), 10)
        self.assertIn("Building: 205 of 205 steps", printed.splitlines()[-1])

    def test_one_line_on_a_terminal(self):
        code, printed = self.build(STEPS, terminal=True)
        self.assertEqual(code, 0)
        self.assertEqual(printed.count("\n"), 1, printed)
        self.assertEqual(printed.count("\r\x1b[K"), 205)

    def test_a_failure_is_whole_and_fails(self):
        for terminal in (False, True):
            code, printed = self.build(STEPS + "\n" + FAILURE, terminal=terminal)
            self.assertEqual(code, 3)
            lines = [line.strip("\r") for line in printed.splitlines()]
            self.assertEqual([line for line in lines if line][-2:], ["FAILED: y.o", "y.cpp:1: error: no 'x'"])

    def test_a_failing_configuration_is_whole_and_fails(self):
        code, printed = self.build(STEPS, configure="echo 'CMake Error: no fmt'; exit 1")
        self.assertEqual((code, printed), (1, "CMake Error: no fmt\n"))

    def test_nothing_to_do_says_nothing(self):
        self.assertEqual(self.build("echo 'ninja: no work to do.'"), (0, ""))


if __name__ == "__main__":
    unittest.main()
