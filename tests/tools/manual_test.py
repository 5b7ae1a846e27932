"""Makes the manual page of a stand-in for the program, and of the program itself.

    manual_test.py PROGRAM
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

MAKE_MANUAL = Path(__file__).resolve().parents[2] / "tools" / "make_manual.py"
PROGRAM = ""
STAND_IN = r"""#!/bin/sh
case $1 in
  --help) printf 'chainrule trains networks.\nUsage: chainrule SUBCOMMAND\n\nSubcommands:\n'
          printf '  train                       Train a network on a table\n  run                         Run\n'
          printf "                              what was trained\n" ;;
  train) printf "Train\n.a line that troff would obey\n'so would this\n  --lr FLOAT   a\\\\b\n" ;;
  run) printf 'Run\n  --threads INT\n' ;;
esac
"""


def manual(program):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chainrule.1"
        subprocess.run([sys.executable, MAKE_MANUAL, "1.2.3", path, program], check=True)
        return path.read_text(encoding="utf-8")


class Manual(unittest.TestCase):
    def test_text_that_troff_would_obey_is_printed(self):
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder) / "chainrule"
            program.write_text(STAND_IN)
            program.chmod(0o755)
            page = manual(program)
        self.assertIn('.TH CHAINRULE 1 "" "chainrule 1.2.3"', page)
        self.assertIn("chainrule \\- trains networks\n", page)
        self.assertIn(".TP\n\\fBrun\\fR\nRun what was trained\n", page)
        self.assertIn("Train\n\\&.a line that troff would obey\n\\&'so would this\n  \\-\\-lr FLOAT   a\\eb\n", page)

    def test_every_subcommand_and_option_of_the_program_is_there(self):
        page = manual(PROGRAM)
        for command in ("train", "evaluate", "predict", "generate", "datasets", "derive", "check", "explain"):
            self.assertIn(f"\\fB{command}\\fR\n", page)
            self.assertIn(f".SH CHAINRULE {command.upper()}\n", page)
            text = subprocess.run([PROGRAM, command, "--help"], capture_output=True, encoding="utf-8").stdout
            options = re.findall(r"--[a-z][a-z-]*", text)
            self.assertIn("--help", options)
            for option in options:
                self.assertIn(option.replace("-", "\\-"), page)

    @unittest.skipUnless(shutil.which("groff"), "there is no groff")
    def test_groff_has_no_complaint(self):
        result = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-K", "utf8"], input=manual(PROGRAM),
                                capture_output=True, encoding="utf-8", env={**os.environ, "LC_ALL": "C.UTF-8"})
        complaints = [line for line in result.stderr.splitlines() if "cannot adjust line" not in line]
        self.assertEqual(complaints, [])
        self.assertIn("--model", result.stdout)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop()
    unittest.main()
