"""Runs what ./demo.sh proposes to do next, in a folder of its own.

    demo_test.py PROGRAM
"""

import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
PROGRAM = ""


class Proposals(unittest.TestCase):
    def test_each_works_as_it_stands(self):
        text = (SOURCE / "demo.sh").read_text()
        proposals = re.findall(r"^  (build/release/chainrule .+)$", text, re.MULTILINE)
        self.assertEqual(len(proposals), 3)
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            (root / "build" / "release").mkdir(parents=True)
            (root / "build" / "release" / "chainrule").symlink_to(Path(PROGRAM).resolve())
            (root / "examples").symlink_to(SOURCE / "examples")
            explain, check, train = (
                subprocess.run(["sh", "-c", line], cwd=root, capture_output=True, encoding="utf-8")
                for line in proposals)
            self.assertEqual(explain.returncode, 0, explain.stderr)
            self.assertIn("<html", (root / "build" / "step.html").read_text(encoding="utf-8"))
            # check finds the one planted mistake, and says so by its exit code.
            self.assertEqual(check.returncode, 1, check.stderr)
            self.assertEqual(check.stdout.count("WRONG"), 1, check.stdout)
            self.assertIn("dZ1 = dA1 * (1 - A1 ** 2)", check.stdout)
            self.assertEqual(train.returncode, 0, train.stderr)
            self.assertIn("accuracy", train.stdout)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop()
    unittest.main()
