"""What chainrule does to files: what it reads stays, what it writes is whole, and a place that cannot be
written is said before the work begins.

    files_test.py PROGRAM
"""

import os
import re
import resource
import stat
import subprocess
import sys
import unittest
from pathlib import Path

import cli_test
from cli_test import FLOWERS, HOUSES, Case, write_images

FORWARD = "import numpy as np\nX = np.ones((2, 3))\nW = np.ones((3, 1))\nloss = np.mean((X @ W)**2)\n"


class Outputs(Case):
    def setUp(self):
        super().setUp()
        self.write("t.csv", FLOWERS)
        self.write("f.py", FORWARD)
        self.succeed("train", "t.csv", "--target", "kind", "--quiet", "--epochs", "1", "-o", "m.safetensors")

    def writers(self, path):
        """Each command that writes a file, told to write `path`."""
        return (["train", "t.csv", "--target", "kind", "-o", path],
                ["predict", "m.safetensors", "t.csv", "-o", path],
                ["explain", "m.safetensors", "--data", "t.csv", "--html", path],
                ["derive", "f.py", "-o", path],
                ["derive", "f.py", "--emit", "c", "-o", path])

    def test_what_is_read_is_not_replaced(self):
        os.symlink("t.csv", self.root / "symbolic")
        os.link(self.root / "t.csv", self.root / "hard")
        for path in ("t.csv", "./t.csv", "symbolic", "hard"):
            for command in self.writers(path)[:3]:
                with self.subTest(command=command):
                    self.fail_with(2, "t.csv, which the command reads", "-o" if "-o" in command else "--html",
                                   run=command)
        for command in (["predict", "m.safetensors", "iris", "-o", "m.safetensors"],
                        ["explain", "m.safetensors", "--html", "m.safetensors"],
                        ["derive", "f.py", "-o", "f.py"]):
            with self.subTest(command=command):
                self.fail_with(2, "which the command reads", run=command)
        self.write("t.toml", 'data = "t.csv"\ntarget = "kind"\nmodel = "linear 2"\n')
        self.fail_with(2, "t.toml, which", run=["train", "t.toml", "-o", "t.toml"])
        self.fail_with(2, "t.csv, which", run=["train", "t.toml", "-o", "t.csv"])
        self.fail_with(2, "t.toml, which", run=["explain", "t.toml", "--html", "t.toml"])
        self.fail_with(2, "t.csv, which", run=["explain", "t.toml", "--html", "t.csv"])
        write_images(self.root / "images", 8, 4)
        for name in ("train-images-idx3-ubyte", "t10k-labels-idx1-ubyte.gz"):
            before = (self.root / "images" / name).read_bytes()
            self.fail_with(2, name, run=["train", "images", "-o", f"images/{name}"])
            self.assertEqual((self.root / "images" / name).read_bytes(), before)
        # A built-in data set is no file, whatever lies about.
        self.write("iris", "mine")
        self.succeed("train", "iris", "--quiet", "--epochs", "1", "-o", "iris")

    def test_standard_input_is_not_replaced(self):
        with open(self.root / "t.csv", encoding="utf-8") as file:
            result = subprocess.run([cli_test.PROGRAM, "predict", "m.safetensors", "-", "-o", "t.csv"], cwd=self.root,
                                    stdin=file, capture_output=True, text=True, timeout=60)
        self.assertEqual(result.returncode, 2)
        self.assertIn("standard input, which the command reads", result.stderr)
        self.assertEqual((self.root / "t.csv").read_text(), FLOWERS)

    def test_places_that_cannot_be_written(self):
        (self.root / "folder").mkdir()
        for path, reason in (("folder", "it is a directory"), ("none/x", "there is no folder none"),
                             ("t.csv/x", "Not a directory"), ("/dev/full", "it is no regular file"),
                             ("x" * 300, "File name too long")):
            for command in self.writers(path):
                with self.subTest(command=command):
                    result = self.fail_with(1, path, reason, run=command)
                    self.assertEqual(result.stdout, "")

    def test_a_model_is_no_text_for_standard_output(self):
        for path in ("-", ""):
            result = self.fail_with(2, "-o", "standard output", run=["train", "t.csv", "--target", "kind", "-o", path])
            self.assertEqual(result.stdout, "")
        for command in self.writers("-")[1:]:
            with self.subTest(command=command):
                text = self.succeed(*command)
                self.succeed(*command[:-1], "file")
                self.assertEqual((self.root / "file").read_text(), text)

    def test_a_disk_that_is_full_is_noticed_before_training(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

        for command in (["train", "digits", "-o", "d"], ["predict", "m.safetensors", "digits.csv", "-o", "p"]):
            self.write("digits.csv", "length,width,colour\n" + "1,2,red\n" * 400)
            result = subprocess.run([cli_test.PROGRAM, *command], cwd=self.root, capture_output=True, text=True,
                                    timeout=60, preexec_fn=limit, restore_signals=False)
            self.assertEqual(result.returncode, 1)
            self.assertEqual(result.stdout, "")
            self.assertEqual(result.stderr, f"chainrule: {command[-1]}: cannot be written: File too large\n")
            self.assertFalse((self.root / command[-1]).exists())
            self.assertEqual(list(self.root.glob("*partial*")), [])

    def test_modes_and_links_stay(self):
        path = self.root / "private"
        for command in self.writers("private"):
            with self.subTest(command=command):
                path.unlink(missing_ok=True)
                path.touch()
                path.chmod(0o600)
                link = self.root / "link"
                link.unlink(missing_ok=True)
                os.symlink("private", link)
                self.succeed(*command[:-1], "link")
                self.assertTrue(link.is_symlink())
                self.assertGreater(path.stat().st_size, 0)
                self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)

    def test_names_of_any_bytes(self):
        name = os.fsdecode(b"caf\xe9")
        for folder in ("", "folder"):
            (self.root / folder).mkdir(exist_ok=True)
            data = os.path.join(folder, name + ".csv")
            model = os.path.join(folder, name + ".safetensors")
            (self.root / data).write_text(FLOWERS)
            self.assertEqual(self.run_program("train", data, "--target", "kind", "--epochs", "2", "--quiet", "-o",
                                              model).stderr, "")
            self.assertIn("these rows include those", self.succeed("evaluate", model, data))
            self.assertEqual(self.run_program("predict", model, data, "-o", name).returncode, 0)
        # A cell that no model file can hold is told before training.
        result = self.fail_with(2, "UTF-8", run=["train", "t.csv", "--target", "kind", "--missing",
                                                 os.fsdecode(b"\xe9"), "-o", "x"])
        self.assertEqual(result.stdout, "")


class Failures(Case):
    def test_a_failed_training_leaves_the_model_and_says_what_failed(self):
        self.succeed("train", "iris", "--quiet", "--epochs", "1", "-o", "m.safetensors")
        command = ["train", "iris", "--quiet", "-o", "m.safetensors", "--optimizer", "sgd", "--lr", "1e30"]
        self.fail_with(1, "lower the learning rate", "saved in m.failed.safetensors", run=command,
                       leaves=["m.failed.safetensors"])

    def test_numbers_that_are_too_large_are_not_blamed_on_the_learning_rate(self):
        result = self.fail_with(1, "step 1", "the first weights reach", "--init",
                                run=["train", "iris", "--init", "normal:1e30", "--quiet", "-o", "m"],
                                leaves=["m.failed.safetensors"])
        self.assertNotIn("learning rate", result.stderr)

    def test_no_answer_is_not_a_number(self):
        self.write("h.csv", HOUSES)
        self.succeed("train", "h.csv", "--target", "price", "--quiet", "--epochs", "1", "-o", "m", "--model",
                     "linear 3, relu, linear 1")
        self.write("big.csv", "rooms,area,price\n1,2,3\n1e38,1e38,3\n")
        for command in (["predict", "m", "big.csv"], ["predict", "m", "big.csv", "-o", "p"],
                        ["evaluate", "m", "big.csv"]):
            with self.subTest(command=command):
                result = self.run_program(*command)
                self.assertNotRegex(result.stdout, r"\b(nan|inf)\b")
                if result.returncode != 0:
                    self.assertEqual(result.stdout, "")
                    self.assertIn("big.csv", result.stderr)

    def test_a_closed_or_broken_output_is_a_failure(self):
        self.succeed("train", "iris", "--quiet", "--epochs", "1", "-o", "m")
        before = (self.root / "m").read_bytes()
        for command in (["predict", "m", "iris"], ["datasets"], ["--help"], ["train", "--help"],
                        ["derive", "-"], ["explain", "linear 2"]):
            for close in ((lambda: os.close(1)), None):
                with self.subTest(command=command, closed=close is not None), open("/dev/full", "w") as full:
                    result = subprocess.run([cli_test.PROGRAM, *command], cwd=self.root, stdout=full,
                                            input=FORWARD, stderr=subprocess.PIPE, text=True, timeout=60,
                                            preexec_fn=close)
                    self.assertEqual(result.returncode, 1)
                    self.assertEqual(result.stderr, "chainrule: standard output cannot be written\n")
        # With nothing at descriptor 1 the model file must not become the standard output.
        result = subprocess.run([cli_test.PROGRAM, "train", "iris", "--epochs", "1", "-o", "m"], cwd=self.root,
                                stderr=subprocess.PIPE, timeout=60, preexec_fn=lambda: os.close(1))
        self.assertEqual((self.root / "m").read_bytes()[:8], before[:8])
        self.assertIn("accuracy", self.succeed("evaluate", "m", "iris"))

    def test_a_file_without_digest_is_noted_once(self):
        self.succeed("train", "iris", "--quiet", "--epochs", "1", "-o", "m")
        whole = (self.root / "m").read_bytes()
        (self.root / "old").write_bytes(whole.replace(b"chainrule.digest", b"chainrule.before"))
        (self.root / "bad").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        result = self.run_program("evaluate", "old", "iris")
        self.assertEqual(result.stdout, self.succeed("evaluate", "m", "iris"))
        self.assertEqual(result.stderr.count("\n"), 1)
        self.assertRegex(result.stderr, "^chainrule: note: old: .*digest")
        for command in (["evaluate", "bad", "iris"], ["predict", "bad", "iris"]):
            self.fail_with(1, "bad: damaged", "digest", run=command)


if __name__ == "__main__":
    cli_test.PROGRAM = str(Path(sys.argv.pop(1)).resolve())
    unittest.main()
