"""Drives the chainrule program with data that lie: read errors, sizes beyond memory, numbers beyond float32,
first lines that may be names or rows, bytes that control a terminal.

    data_test.py PROGRAM
"""

import gzip
import json
import os
import pty
import resource
import struct
import subprocess
import sys
import unittest
from pathlib import Path

import cli_test
from cli_test import FLOWERS, HOUSES, Case


def idx(shape, numbers, kind=8):
    return struct.pack(f">4B{len(shape)}I", 0, 0, kind, len(shape), *shape) + bytes(numbers)


def with_metadata(model, **entries):
    """The model file with other metadata, as an older chainrule wrote it: without a digest."""
    length = int.from_bytes(model[:8], "little")
    header = json.loads(model[8:8 + length])
    header["__metadata__"].pop("chainrule.digest", None)
    header["__metadata__"].update(entries)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + model[8 + length:]


class Reading(Case):
    def test_an_error_in_the_middle_of_a_file_is_no_end(self):
        self.write("t.csv", FLOWERS)
        self.succeed("train", "t.csv", "--target", "kind", "--quiet", "-o", "m")
        error = "/proc/self/mem: cannot be read: Input/output error"
        for run in (["train", "/proc/self/mem", "--target", "kind"], ["predict", "m", "/proc/self/mem"],
                    ["evaluate", "m", "/proc/self/mem"], ["evaluate", "/proc/self/mem", "t.csv"],
                    ["train", "/proc/self/mem", "--context", "8"], ["derive", "/proc/self/mem"]):
            self.fail_with(1, error, run=run)

    def test_memory_that_runs_out_is_no_end(self):
        self.write("t.csv", FLOWERS)
        self.succeed("train", "t.csv", "--target", "kind", "--quiet", "-o", "m")

        def limit():
            resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))

        if subprocess.run([cli_test.PROGRAM, "datasets"], capture_output=True, preexec_fn=limit).returncode != 0:
            self.skipTest("the program itself needs more address space, as with a sanitizer")
        for run in (["predict", "m", "-"], ["train", "-", "--target", "1", "-o", "n"]):
            endless = subprocess.Popen(["yes", "1.5,2,red,a"], stdout=subprocess.PIPE)
            result = subprocess.run([cli_test.PROGRAM, *run], cwd=self.root, stdin=endless.stdout,
                                    capture_output=True, text=True, timeout=60, preexec_fn=limit)
            endless.stdout.close()
            endless.wait()
            self.assertEqual(result.returncode, 1, result.stderr)
            self.assertRegex(result.stderr, r"^chainrule: standard input: out of memory after \d+ MB\n$")
            self.assertEqual(result.stdout, "")
        self.assertFalse((self.root / "n").exists())

    def test_what_is_no_file_or_no_text(self):
        self.fail_with(1, "/dev/zero: is a device", run=["train", "/dev/zero", "--target", "1"])
        # In a folder of its own, since what stands beside is compared byte by byte.
        (self.root / "large").mkdir()
        with open(self.root / "large/sparse", "wb") as file:
            file.truncate(8 << 30)
        self.fail_with(1, "large/sparse: expected a CSV text file, got binary data",
                       run=["train", "large/sparse", "--target", "1"])
        self.fail_with(1, "large/sparse: not a safetensors file", run=["evaluate", "large/sparse", "iris"])
        self.fail_with(1, "large/sparse: expected a text file, got binary data",
                       run=["train", "large/sparse", "--context", "8"])
        (self.root / "d.toml").mkdir()
        self.fail_with(1, "d.toml: is a folder", run=["train", "d.toml"])


class Sizes(Case):
    def test_extents_that_multiply_to_nothing(self):
        shape = "4x5x5581x8681x49477x384773"  # 4 elements, modulo 2⁶⁴
        self.write("t.csv", HOUSES)
        self.fail_with(1, f"reshape {shape}", "1.84e+19 elements",
                       run=["train", "digits", "--model", f"reshape {shape}, flatten, linear 10", "-o", "m"])
        self.fail_with(1, "2.5e+23 elements",
                       run=["explain", "flatten, linear 2", "--input", "1000000x1000000x500000x500000"])
        self.succeed("train", "iris", "--quiet", "--epochs", "1", "-o", "m")
        model = (self.root / "m").read_bytes()
        (self.root / "bad").write_bytes(
            with_metadata(model, network=f"reshape {shape}, flatten, linear 3"))
        for command in ("predict", "evaluate"):
            self.fail_with(1, "bad", "1.84e+19 elements", run=[command, "bad", "iris"])

    def test_images_without_pixels(self):
        for name, shape in (("none", (0, 5, 5)), ("flat", (3, 0, 5)), ("many", (8, 2**31, 2**30))):
            folder = self.root / name
            folder.mkdir()
            (folder / "train-images-idx3-ubyte").write_bytes(idx(shape, []))
            (folder / "train-labels-idx1-ubyte").write_bytes(idx([shape[0]], range(shape[0])))
            words = ["1.84e+19 elements"] if name == "many" else ["holds no pixel"]
            self.fail_with(1, f"{name}/train-images-idx3-ubyte", *words, run=["train", name, "-o", "m"])

    def test_classes_are_the_labels_that_occur(self):
        folder = self.root / "shapes"
        folder.mkdir()
        pixels = [255 if i % 2 else 0 for i in range(40) for _ in range(4)]
        (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx((40, 2, 2), pixels)))
        labels = [5 if i % 2 else 3 for i in range(40)]
        (folder / "train-labels-idx1-ubyte").write_bytes(idx([40], labels))
        out = self.succeed("train", "shapes", "-o", "m", "--epochs", "60")
        self.assertIn("label (2 classes)", out)
        rows = self.succeed("predict", "m", "shapes").splitlines()
        self.assertEqual(rows[0], "label,p(3),p(5)")
        self.assertEqual([int(row.split(",")[0]) for row in rows[1:]], labels)
        self.assertIn("accuracy 100.00 % (40 of 40)", self.succeed("evaluate", "m", "shapes"))
        (folder / "train-labels-idx1-ubyte").write_bytes(idx([40], [7] * 40))
        self.fail_with(1, 'label 1: 7 is no class; the classes are "3" and "5"', run=["evaluate", "m", "shapes"])
        good = (folder / "train-images-idx3-ubyte.gz").read_bytes()
        for name, bytes_, word in (("junk", good + b"junk", "goes on behind its end"),
                                   ("cut", good[:-3], "is cut short")):
            (folder / "train-images-idx3-ubyte.gz").write_bytes(bytes_)
            self.fail_with(1, word, run=["train", "shapes", "-o", "n"])


class Numbers(Case):
    def test_beyond_float32_nothing_is_trained_or_answered(self):
        self.write("huge.csv", HOUSES + "1e155,2,3.5\n")
        self.fail_with(1, "huge.csv:62:1", '"rooms"', "1e+155",
                       run=["train", "huge.csv", "--target", "price", "-o", "m"])
        self.write("target.csv", HOUSES + "1,2,-1e300\n")
        self.fail_with(1, "target.csv:62:3", '"price"', "-1e+300",
                       run=["train", "target.csv", "--target", "price", "-o", "m"])
        self.write("good.csv", HOUSES)
        self.succeed("train", "good.csv", "--target", "price", "--quiet", "-o", "m")
        for command in ("predict", "evaluate"):
            self.write("far.csv", "rooms,area,price\n1,2,3\n1e39,2,3\n")
            self.fail_with(1, "far.csv:3:1", "1e+39", run=[command, "m", "far.csv"])
            # In range as a number, and beyond it inside the network.
            self.write("wide.csv", "rooms,area,price\n1,2,3\n3e38,3e38,3\n")
            self.fail_with(1, "wide.csv", "row 2", run=[command, "m", "wide.csv"])


class Tables(Case):
    def test_what_was_decided_of_the_first_line_is_said(self):
        rows = "".join(f"town{i},{i * 1.5},{i * 2.5},{'yes' if i % 2 else 'no'}\n" for i in range(20))
        self.write("towns.csv", "town,2019,2020,rich\n" + rows)
        result = self.run_program("train", "towns.csv", "--target", "rich", "--drop", "town", "-o", "m")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("(2 classes), from 2 features", result.stdout)
        self.assertEqual(result.stderr.count("\n"), 1)
        self.assertIn("towns.csv: line 1 is read as names", result.stderr)
        self.assertIn("--header no", result.stderr)
        self.succeed("train", "towns.csv", "--target", "rich", "--drop", "town", "--header", "yes", "-o", "m")
        self.succeed("predict", "m", "towns.csv")
        colours = "".join(f"{'red' if i % 2 else 'blue'},{'yes' if i % 2 else 'no'}\n" for i in range(20))
        self.write("colours.csv", colours)
        result = self.run_program("train", "colours.csv", "--target", "2", "-o", "m")
        self.assertIn("16 rows to train, 4 to test", result.stdout)
        self.assertIn("is read as a row", result.stderr)

    def test_all_unusable_columns_at_once(self):
        lines = "".join(f"p{i},{i % 7},7,,{'x' if i % 2 else 'y'}\n" for i in range(100))
        self.write("people.csv", "name,age,planet,gone,kind\n" + lines)
        result = self.run_program("train", "people.csv", "--target", "kind", "-o", "m")
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stderr,
                         "chainrule: people.csv: 3 columns cannot be learned from; remove them or pass "
                         "--drop name,planet,gone\n"
                         "  name    is text with 80 different values in 80 training rows\n"
                         "  planet  is constant (\"7\" in all 80 training rows)\n"
                         "  gone    has no value in 80 training rows\n")
        self.succeed("train", "people.csv", "--target", "kind", "--quiet", "--drop", "name,planet,gone", "-o", "m")

    def test_cells_do_not_reach_the_terminal_as_they_are(self):
        self.write("esc.csv", "n,kind\n" + "1,a\n2,b\n" * 10 + "\x1b]0;gotcha\x07,a\n")
        result = self.fail_with(1, "esc.csv:22:1", r"\x1B]0;gotcha\x07", run=["train", "esc.csv", "--target", "kind"])
        self.assertNotIn("\x1b", result.stderr)
        self.write("long.csv", "n,kind\n" + "1,a\n2,b\n" * 10 + "z" * 1000000 + ",a\n")
        result = self.fail_with(1, "long.csv:22:1", "(1 MB)", run=["train", "long.csv", "--target", "kind"])
        self.assertLess(len(result.stderr), 300)
        self.fail_with(2, r"\x1B", run=["train", "no\x1bsuch"])
        # A pipe gets the bytes of the labels.
        self.write("labels.csv", "n,kind\n" + "1,a\x1b[1m\n2,b\n" * 20)
        self.succeed("train", "labels.csv", "--target", "kind", "--quiet", "-o", "m")
        self.assertTrue(self.succeed("predict", "m", "labels.csv").startswith("kind,p(a\x1b[1m),p(b)\n"))
        terminal, program = pty.openpty()
        self.addCleanup(os.close, terminal)
        self.write("one.csv", "n\n1\n")
        subprocess.run([cli_test.PROGRAM, "predict", "m", "one.csv"], cwd=self.root, stdout=program, timeout=60,
                       check=True)
        os.close(program)
        self.assertTrue(os.read(terminal, 1000).startswith(rb"kind,p(a\x1B[1m),p(b)"))

    def test_the_part_of_a_text_that_is_too_short_is_named(self):
        self.write("poem.txt", "0123456789" * 4 + "abcde")
        self.fail_with(1, "poem.txt, the validation part of the 45 characters (--validation 0.1): 4 characters; "
                          "expected more than 8", run=["train", "poem.txt", "--context", "8", "-o", "m"])
        self.fail_with(1, "poem.txt, the training part of the 45 characters: 41 characters; expected more than 64",
                       run=["train", "poem.txt", "--context", "64", "-o", "m"])


if __name__ == "__main__":
    cli_test.PROGRAM = str(Path(sys.argv.pop(1)).resolve())
    unittest.main()
