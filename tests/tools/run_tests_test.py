"""Lets tools/run_tests count small tests of every outcome: a skip is neither a pass nor a failure."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

RUN_TESTS = Path(__file__).resolve().parents[2] / "tools" / "run_tests"

SKIPS = 'echo "skipped: there is no browser"; exit 77'
CASES = 'echo "[doctest] test cases: {} | {} passed | {} failed | 0 skipped"; exit {}'
SKIPPED_CASE = 'echo "a_test.cpp:7: MESSAGE: skipped: there is no data"; '


class RunTests(unittest.TestCase):
    def run_tests(self, **scripts):
        """(exit code, lines printed) for one ctest entry a script, run by sh."""
        with tempfile.TemporaryDirectory() as folder:
            lines = []
            for name, script in scripts.items():
                program = Path(folder) / name
                if script is not None:
                    program.write_text("#!/bin/sh\n" + script + "\n")
                    program.chmod(0o755)
                lines += [f'add_test({name} "{program}")',
                          f"set_tests_properties({name} PROPERTIES SKIP_RETURN_CODE 77)"]
            (Path(folder) / "CTestTestfile.cmake").write_text("\n".join(lines) + "\n")
            result = subprocess.run([sys.executable, RUN_TESTS, folder], capture_output=True, text=True)
        return result.returncode, result.stdout.splitlines()

    def assert_counted(self, code, last, **scripts):
        got, lines = self.run_tests(**scripts)
        self.assertEqual((got, lines[-1]), (code, last), "\n".join(lines))
        return lines

    def test_passes(self):
        self.assert_counted(0, "2 passed, 0 failed, 0 skipped", one="exit 0", two="exit 0")

    def test_a_skip_is_no_failure_and_its_reason_is_named(self):
        lines = self.assert_counted(0, "1 passed, 0 failed, 1 skipped", one="exit 0", page=SKIPS)
        self.assertIn("skipped: there is no browser", lines)

    def test_a_skip_beside_a_failure(self):
        self.assert_counted(1, "0 passed, 1 failed, 1 skipped", one="exit 1", page=SKIPS)

    def test_only_skips(self):
        self.assert_counted(0, "0 passed, 0 failed, 1 skipped", page=SKIPS)

    def test_a_missing_program_is_a_failure(self):
        self.assert_counted(1, "1 passed, 1 failed, 0 skipped", one="exit 0", missing=None)

    def test_the_cases_of_a_doctest_program(self):
        self.assert_counted(0, "8 passed, 0 failed, 0 skipped", cases=CASES.format(7, 7, 0, 0), one="exit 0")
        self.assert_counted(1, "5 passed, 2 failed, 0 skipped", cases=CASES.format(7, 5, 2, 1))

    def test_a_case_that_says_it_was_skipped(self):
        lines = self.assert_counted(0, "5 passed, 0 failed, 2 skipped",
                                    cases=SKIPPED_CASE * 2 + CASES.format(7, 7, 0, 0))
        self.assertIn("skipped 2 times: there is no data", lines)

    def test_a_program_that_crashes_behind_its_summary_or_before(self):
        self.assert_counted(1, "7 passed, 1 failed, 0 skipped",
                            cases=CASES.format(7, 7, 0, 0).replace("exit 0", "kill -SEGV $$"))
        self.assert_counted(1, "0 passed, 1 failed, 0 skipped", cases="kill -SEGV $$")

    def test_no_test_is_a_failure(self):
        self.assertEqual(self.run_tests()[0], 1)


if __name__ == "__main__":
    unittest.main()
