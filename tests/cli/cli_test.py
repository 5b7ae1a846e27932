"""Drives the chainrule program as a person would: what works, and one clear line for what does not.

    cli_test.py PROGRAM
"""

import csv
import gzip
import io
import os
import re
import resource
import stat
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAM = ""

FLOWERS = "length,width,colour,kind\n" + "".join(
    f"{i % 7 + (10 if i % 2 else 0)}.5,{i % 5},{'red' if i % 3 else 'blue'},{'b' if i % 2 else 'a'}\n"
    for i in range(40))
HOUSES = "rooms,area,price\n" + "".join(
    f"{i % 6 + 1},{i * 13 % 100},{1000 * (i % 6 + 1) + 10.5 * (i * 13 % 100)}\n" for i in range(60))


def write_images(folder, train, test, width=5):
    """IDX files of bars that stand (0) or lie (1); the test files are gzipped."""
    folder.mkdir()
    for part, count, opener, end in (("train", train, open, ""), ("t10k", test, gzip.open, ".gz")):
        pixels = bytearray()
        for i in range(count):
            for row in range(4):
                for column in range(width):
                    lit = row == i // 2 % 4 if i % 2 else column == i // 2 % width
                    pixels.append(255 if lit else i * 7 % 30)
        with opener(folder / f"{part}-images-idx3-ubyte{end}", "wb") as file:
            file.write(struct.pack(">4B3I", 0, 0, 8, 3, count, 4, width) + pixels)
        with opener(folder / f"{part}-labels-idx1-ubyte{end}", "wb") as file:
            file.write(struct.pack(">4BI", 0, 0, 8, 1, count) + bytes(i % 2 for i in range(count)))


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = Path(self.folder.name)

    def write(self, name, text):
        (self.root / name).write_text(text)
        return name

    def run_program(self, *arguments, stdin=""):
        return subprocess.run([PROGRAM, *map(str, arguments)], cwd=self.root, input=stdin,
                              capture_output=True, text=True, timeout=60)

    def succeed(self, *arguments, stdin=""):
        result = self.run_program(*arguments, stdin=stdin)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stderr, "")
        return result.stdout

    def fail_with(self, code, *words, run, stdin="", leaves=()):
        """The command exits with `code`, says one line that holds `words`, and leaves no new file."""
        before = {path.name: path.read_bytes() for path in self.root.iterdir() if path.is_file()}
        result = self.run_program(*run, stdin=stdin)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        self.assertTrue(result.stderr.startswith("chainrule: "), result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)
        after = {path.name: path.read_bytes() for path in self.root.iterdir() if path.is_file()}
        for name in leaves:
            self.assertIn(name, after)
            after.pop(name)
            before.pop(name, None)
        self.assertEqual(before, after)
        return result


class Machine(Case):
    def run_on(self, environment, *arguments, address_space=None):
        def limit():
            if address_space is not None:
                resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
        return subprocess.run([PROGRAM, *arguments], cwd=self.root, env={**os.environ, **environment},
                              preexec_fn=limit, capture_output=True, text=True, timeout=60)

    def test_chainrule_simd_chooses_the_instruction_set(self):
        # Sums of rows as long as these come out differently: the choice can be seen.
        train = ["train", "digits", "--model", "linear 300, tanh, layer_norm, linear 10", "--epochs", "3",
                 "--quiet", "-o", "a.safetensors"]
        self.assertEqual(self.run_on({"CHAINRULE_SIMD": ""}, *train).returncode, 0)
        wrong = self.run_on({"CHAINRULE_SIMD": "mmx"}, *train)
        self.assertEqual(wrong.returncode, 2, wrong.stderr)
        self.assertRegex(wrong.stderr,
                         r'\Achainrule: CHAINRULE_SIMD: expected one of .*, got "mmx"\n\Z')
        names = re.search("one of (.*), got", wrong.stderr)[1].split(", ")
        for name in names:
            for threads in "13":
                result = self.run_on({"CHAINRULE_SIMD": name}, *train[:-1], f"{name}{threads}",
                                     "--threads", threads)
                self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertEqual((self.root / f"{name}1").read_bytes(),
                             (self.root / f"{name}3").read_bytes())
        self.assertEqual(len({(self.root / f"{name}1").read_bytes() for name in names}), len(names))
        lacking = self.run_on({"CHAINRULE_SIMD": "neon" if "sse4" in wrong.stderr else "sse4"}, *train)
        self.assertEqual(lacking.returncode, 2, lacking.stderr)
        self.assertRegex(lacking.stderr, r"\Achainrule: CHAINRULE_SIMD: this machine has no .*\n\Z")

    def test_threads_that_the_system_refuses_are_done_without(self):
        space = 500_000 * 1024
        if self.run_on({}, "datasets", address_space=space).returncode != 0:
            self.skipTest("the program itself needs more address space, as with a sanitizer")
        train = ["train", "iris", "--epochs", "2", "--threads"]
        self.assertEqual(self.run_on({}, *train, "1", "-o", "one").returncode, 0)
        few = self.run_on({}, *train, "64", "-o", "few", address_space=space)
        self.assertEqual(few.returncode, 0, few.stderr)
        self.assertRegex(
            few.stderr, r"\Achainrule: the system refused some of 64 threads; working with \d+\n\Z")
        self.assertEqual((self.root / "one").read_bytes(), (self.root / "few").read_bytes())


class Works(Case):
    def test_datasets_lists_what_is_built_in(self):
        out = self.succeed("datasets")
        self.assertRegex(out, r"digits +1,797 rows +64 features +10 classes of digit")
        self.assertRegex(out, r"iris +150 rows +4 features +3 classes of species")

    def test_digits_reach_97_percent_with_nothing_said(self):
        out = self.succeed("train", "digits", "-o", "d.safetensors")
        self.assertIn("network   linear ", out)
        accuracy = float(out.split("accuracy ")[-1].split(" %")[0])
        self.assertGreaterEqual(accuracy, 97.0)
        self.assertIn("model     d.safetensors", out)
        self.assertNotIn("\r", out)
        self.assertIn("accuracy 99.", self.succeed("evaluate", "d.safetensors", "digits"))

    def test_a_table_is_trained_on_evaluated_and_predicted(self):
        self.write("flowers.csv", FLOWERS)
        out = self.succeed("train", "flowers.csv", "--target", "kind", "--epochs", "200", "--model",
                           "linear 16, relu, linear 2")
        self.assertIn("target    kind (2 classes), from 4 features", out)
        self.assertIn("accuracy 100.00 % (40 of 40)",
                      self.succeed("evaluate", "model.safetensors", "flowers.csv"))
        # Raw rows, without the target and in another order of columns.
        rows = self.succeed("predict", "model.safetensors", "-",
                            stdin="colour,width,length\nred,2,1.5\nblue,3,14.5\n")
        table = list(csv.reader(io.StringIO(rows)))
        self.assertEqual(table[0], ["kind", "p(a)", "p(b)"])
        self.assertEqual([row[0] for row in table[1:]], ["a", "b"])
        for row in table[1:]:
            self.assertAlmostEqual(float(row[1]) + float(row[2]), 1, places=4)
        self.assertEqual(self.succeed("predict", "model.safetensors", "flowers.csv", "-o", "p.csv"), "")
        self.assertEqual((self.root / "p.csv").read_text().count("\n"), 41)

    def test_a_number_is_predicted_in_its_own_units(self):
        self.write("houses.csv", HOUSES)
        out = self.succeed("train", "houses.csv", "--target", "price", "--epochs", "100", "--seed",
                           "1", "-o", "m")
        self.assertIn("target    price (a number)", out)
        self.assertGreater(float(out.split("R² ")[-1].split(")")[0]), 0.9)
        predicted = self.succeed("predict", "m", "-", stdin="rooms,area\n3,50\n").split("\n")
        self.assertEqual(predicted[0], "price")
        self.assertLess(abs(float(predicted[1]) - 3525), 700)

    def test_quiet_prints_nothing_and_the_seed_fixes_every_byte(self):
        for name, threads in (("a", 1), ("b", 2)):
            self.assertEqual(
                self.succeed("train", "iris", "--quiet", "--seed", "5", "--epochs", "3", "--threads",
                             threads, "-o", name), "")
        self.assertEqual((self.root / "a").read_bytes(), (self.root / "b").read_bytes())
        self.succeed("train", "iris", "--quiet", "--seed", "6", "--epochs", "3", "-o", "b")
        self.assertNotEqual((self.root / "a").read_bytes(), (self.root / "b").read_bytes())

    def test_every_option_is_taken(self):
        self.write("t.csv", FLOWERS.replace("red", "?"))
        out = self.succeed(
            "train", "t.csv", "--target", "4", "--drop", "width", "--missing", "?", "--model",
            "linear 8, tanh, dropout 0.1, linear 2", "--epochs", "2", "--batch", "7", "--optimizer",
            "sgd momentum=0.9 nesterov", "--lr", "0.05", "--schedule", "one-cycle", "--clip-norm", "1",
            "--clip-value", "0.5", "--weight-decay", "0.001", "--init", "normal:0.1", "--validation",
            "0.25", "--threads", "1", "--seed", "3", "-o", "x")
        self.assertIn("sgd momentum=0.9 nesterov weight_decay=0.001, lr 0.05, one_cycle, batch 7", out)
        out = self.succeed("train", "t.csv", "--target", "kind", "--validation", "0", "-o", "x")
        self.assertIn("40 rows to train, 0 to test", out)

    def test_images_are_trained_on_evaluated_and_predicted(self):
        write_images(self.root / "shapes", 40, 12)
        out = self.succeed("train", "shapes", "--model", "linear 8, relu, linear 2", "--epochs", "40",
                           "-o", "m")
        self.assertIn("shapes: 40 rows to train, 12 to test, from a file of their own", out)
        self.assertIn("target    label (2 classes), from images of 4×5×1", out)
        self.assertIn("network   flatten, linear 8, relu, linear 2", out)
        self.assertIn("accuracy 100.00 % (12 of 12)", out)
        self.assertIn("accuracy 100.00 % (12 of 12)", self.succeed("evaluate", "m", "shapes"))
        rows = self.succeed("predict", "m", "shapes/t10k-images-idx3-ubyte.gz").split("\n")
        self.assertEqual(rows[0], "label,p(0),p(1)")
        self.assertEqual([row[0] for row in rows[1:5]], ["0", "1", "0", "1"])
        # With --validation the test files stay unseen.
        out = self.succeed("train", "shapes/train-images-idx3-ubyte", "--epochs", "2", "-o", "m",
                           "--validation", "0.25")
        self.assertIn("30 rows to train, 10 to test\n", out)
        self.assertIn("network   flatten, linear 32", out)

    def test_images_are_varied_mixed_and_averaged(self):
        write_images(self.root / "shapes", 40, 12)
        command = ["train", "shapes", "--quiet", "--epochs", "3", "--augment", "flip, crop 1", "--mixup",
                   "0.2", "--label-smoothing", "0.1", "--optimizer", "lion ema=0.9"]
        for name, threads in (("a", 1), ("b", 2)):
            self.succeed(*command, "--threads", threads, "-o", name)
        self.assertEqual((self.root / "a").read_bytes(), (self.root / "b").read_bytes())
        self.succeed("evaluate", "a", "shapes")
        self.fail_with(2, "--augment: column 1", '"flip"', run=["train", "shapes", "--augment", "flp"])
        self.fail_with(2, "is for images", run=["train", "iris", "--augment", "flip"])

    def test_lbfgs_trains_on_all_rows(self):
        out = self.succeed("train", "iris", "--optimizer", "lbfgs weight_decay=0.01", "--model",
                           "linear 3")
        self.assertIn("training  lbfgs weight_decay=0.01, all rows at once, at most 100 steps", out)
        self.assertRegex(out, r"accuracy (9|100)")
        self.assertIn("network   linear 256, relu, linear 128, relu, linear 10",
                      self.succeed("train", "digits", "--optimizer", "lbfgs", "--epochs", "2"))
        self.fail_with(2, "dropout", "lbfgs", run=["train", "iris", "--optimizer", "lbfgs", "--model",
                                                   "dropout 0.1, linear 3"])
        self.fail_with(2, "schedule", run=["train", "iris", "--optimizer", "lbfgs", "--schedule",
                                           "cosine"])

    def test_a_text_is_learned_measured_and_written(self):
        self.write("t.txt", "abcd\n" * 200)
        out = self.succeed("train", "t.txt", "--context", "10", "--epochs", "30", "-o", "m")
        self.assertIn("t.txt: 89 windows to train, 9 to test", out)
        self.assertIn("target    character (5 classes), from up to 10 characters before each", out)
        self.assertIn("network   embedding 64 vocabulary=5, lstm 128 sequence, linear 5", out)
        self.assertIn("a character, accuracy", self.succeed("evaluate", "m", "t.txt"))
        text = self.succeed("generate", "m", "--prompt", "cd", "--length", "30", "--temperature", "0")
        self.assertEqual(text[:19], "cd\nabcd\nabcd\nabcd\na")
        self.assertEqual(len(text), 33)
        self.fail_with(2, "generate", run=["predict", "m", "t.txt"])
        self.fail_with(1, "--prompt:1:2", '"x"', run=["generate", "m", "--prompt", "ax"])
        self.write("short.txt", "abc")
        self.fail_with(1, "3 characters", run=["train", "short.txt", "--context", "10"])

    def test_words_are_learned_and_written(self):
        self.write("w.txt", "anna\nbob\neve\notto\n" * 30)
        out = self.succeed("train", "w.txt", "--words", "3", "--epochs", "40", "-o", "m")
        self.assertIn("from the 3 characters before", out)
        self.assertIn("network   embedding 10 vocabulary=8, flatten, linear 200, tanh, linear 8", out)
        words = self.succeed("generate", "m", "--words", "30").split()
        self.assertEqual(len(words), 30)
        self.assertGreater(len([w for w in words if w in ("anna", "bob", "eve", "otto")]), 25)
        self.assertEqual(self.succeed("generate", "m", "--words", "1", "--prompt", "ot"), "otto\n")
        self.assertIn("characters", self.succeed("evaluate", "m", "w.txt"))
        self.fail_with(2, "--context", "--words", run=["train", "w.txt", "--words", "3", "--context", "3"])
        self.write("bad.txt", "j.r.\n")
        self.fail_with(1, "bad.txt:1", run=["train", "bad.txt", "--words", "3"])
        self.succeed("train", "iris", "--quiet", "--epochs", "1", "-o", "rows")
        self.fail_with(2, "answers rows", run=["generate", "rows"])

    def test_bad_images_are_named(self):
        write_images(self.root / "shapes", 40, 12)
        self.fail_with(2, "--target", run=["train", "shapes", "--target", "kind"])
        self.write("flowers.csv", FLOWERS)
        self.succeed("train", "shapes", "--quiet", "--epochs", "1", "-o", "m")
        self.fail_with(2, "flowers.csv", "trained on images", run=["evaluate", "m", "flowers.csv"])
        self.fail_with(1, "expected an IDX file", "6c 65 6e 67", run=["predict", "m", "flowers.csv"])
        write_images(self.root / "wide", 4, 2, width=6)
        self.fail_with(1, "images of [4, 6, 1]", "[4, 5, 1]", run=["evaluate", "m", "wide"])
        (self.root / "wide/t10k-labels-idx1-ubyte.gz").unlink()
        self.fail_with(2, "no file of labels", run=["evaluate", "m", "wide"])
        (self.root / "shapes/train-labels-idx1-ubyte").unlink()
        self.fail_with(2, "labels beside the images", run=["train", "shapes"])
        self.write("nothing", "")
        (self.root / "empty").mkdir()
        self.fail_with(2, "empty", "a folder without images", run=["train", "empty"])

    def test_help_is_no_failure(self):
        for command in ([], ["train"], ["evaluate"], ["predict"], ["generate"], ["datasets"]):
            self.assertIn("chainrule", self.succeed(*command, "--help"))


class Usage(Case):
    def test_the_version_is_told(self):
        self.assertRegex(self.succeed("--version"), r"^chainrule \d+\.\d+\.\d+\n$")

    def test_slips_on_the_command_line_are_answered_with_the_nearest_name(self):
        for words, run in ((("a subcommand is needed: train, evaluate",), []),
                           (('unknown subcommand "trian"; did you mean "train"?',), ["trian", "iris"]),
                           (('unknown subcommand "iris"', "train"), ["iris"]),
                           (('train has no option --taget; did you mean "--target"?', "see chainrule train --help"),
                            ["train", "iris", "--taget", "x"]),
                           (("train has no option --epoch; did you mean",), ["train", "iris", "--epoch=3"]),
                           (('predict does not take "three"',), ["predict", "m", "two", "three"])):
            with self.subTest(run=run):
                self.fail_with(2, *words, run=run)

    def test_unknown_names_are_answered_with_what_there_is(self):
        self.write("t.csv", FLOWERS)
        train = ["train", "t.csv", "--target", "kind"]
        self.fail_with(2, "subcommand", run=[])
        self.fail_with(2, "--frobnicate", run=[*train, "--frobnicate"])
        self.fail_with(2, "--target", "length, width, colour, kind", run=["train", "t.csv"])
        self.fail_with(2, "kinds", 'did you mean "kind"?', run=["train", "t.csv", "--target", "kinds"])
        self.fail_with(2, "lenght", '"length"', run=[*train, "--drop", "lenght"])
        self.fail_with(2, "--model: column 11", 'unknown layer "rellu"', '"relu"',
                       run=[*train, "--model", "linear 4, rellu, linear 2"])
        self.fail_with(2, "--model: column 8", "units", run=[*train, "--model", "linear four"])
        self.fail_with(2, "--optimizer", 'unknown optimizer "adm"', '"adam"',
                       run=[*train, "--optimizer", "adm"])
        self.fail_with(2, "--optimizer", "momentun", run=[*train, "--optimizer", "sgd momentun=1"])
        self.fail_with(2, "--schedule", "cosin", '"cosine"', run=[*train, "--schedule", "cosin"])
        self.fail_with(2, "--init", "he_norml", run=[*train, "--init", "he_norml"])
        self.fail_with(2, "digitz", '"digits"', run=["train", "digitz"])

    def test_a_written_program_trains_all_parameters(self):
        self.write("f.py", "import numpy as np\nX = np.ones((2, 3))\nW = np.random.randn(3, 1)\n"
                           "Z = X @ W\nloss = np.mean(Z**2)\n")
        self.succeed("derive", "f.py", "--wrt", "Z")
        self.fail_with(2, "--wrt", "--emit", run=["derive", "f.py", "--wrt", "W", "--emit", "numpy"])

    def test_numbers_out_of_range(self):
        for option, value in (("--epochs", "0"), ("--batch", "-1"), ("--lr", "-0.1"), ("--lr", "x"),
                              ("--validation", "1"), ("--validation", "-0.5"), ("--threads", "-1"),
                              ("--clip-norm", "-1"), ("--weight-decay", "-1"), ("--lr", "nan"), ("--lr", "inf"),
                              ("--validation", "nan"), ("--clip-norm", "nan")):
            with self.subTest(option=option, value=value):
                self.fail_with(2, run=["train", "iris", f"{option}={value}"])


class BadData(Case):
    def refuse(self, text, *words, target="kind", options=()):
        self.write("bad.csv", text)
        self.fail_with(1, *words, run=["train", "bad.csv", "--target", target, *options])

    def test_files_that_are_no_tables(self):
        self.fail_with(1, "none.csv", run=["train", "none.csv", "--target", "x"])
        self.refuse("", "bad.csv")
        self.refuse("length,kind\n", "bad.csv")

    def test_rows_that_do_not_fit(self):
        self.refuse(FLOWERS + "1,2\n", "bad.csv:42")
        self.refuse(FLOWERS.replace("\n", "\n\n", 5), "bad.csv:2")
        self.refuse(FLOWERS + "many,2,red,a\n", "bad.csv:42:1", "length", "many", "--missing")
        self.refuse(FLOWERS + "nan,2,red,a\n", "bad.csv:42:1", "length")
        self.refuse(FLOWERS + "inf,2,red,a\n", "bad.csv:42:1", "length")
        self.refuse(FLOWERS + "1.5,2,red,\n", "bad.csv:42", "kind")

    def test_columns_that_teach_nothing(self):
        self.refuse("x,kind\n" + "".join(f"{i},a\n" for i in range(20)), "kind")
        self.refuse("x,y,kind\n" + "".join(f"{i},1,{'ab'[i % 2]}\n" for i in range(20)), "y",
                    "constant")

    def test_networks_of_the_wrong_shape(self):
        self.refuse(FLOWERS, "5 numbers a row", "2 classes", 'end it with "linear 2"',
                    options=["--model", "linear 5"])
        self.refuse(FLOWERS, "layer 1 (linear 2 in=9): expected input [B, 9], got [B, 4]",
                    options=["--model", "linear 2 in=9"])

    def test_rows_that_the_model_does_not_know(self):
        self.write("t.csv", FLOWERS)
        self.succeed("train", "t.csv", "--target", "kind", "--quiet", "-o", "m")
        self.write("label.csv", "length,width,colour,kind\n1,2,red,a\n1,2,red,c\n")
        self.fail_with(1, "label.csv:3", '"c"', run=["evaluate", "m", "label.csv"])
        self.write("lacking.csv", "length,colour\n1,red\n")
        self.fail_with(1, "width", run=["predict", "m", "lacking.csv"])
        self.fail_with(1, "width", "wide",
                       run=["predict", "m", "-"], stdin="length,width,colour\n1,wide,red\n")


class Files(Case):
    def test_a_place_that_cannot_be_written_is_said_before_training(self):
        result = self.fail_with(1, "no/such/place", run=["train", "digits", "-o", "no/such/place/m"])
        self.assertEqual(result.stdout, "")
        self.succeed("train", "iris", "--quiet", "--epochs", "1", "-o", "m")
        self.fail_with(1, "no/such/place", run=["predict", "m", "iris", "-o", "no/such/place/p.csv"])
        if os.geteuid() != 0:
            self.root.chmod(stat.S_IRUSR | stat.S_IXUSR)
            self.fail_with(1, "m2", run=["train", "iris", "-o", "m2"])
            self.root.chmod(stat.S_IRWXU)

    def test_a_full_disk_is_noticed(self):
        self.succeed("train", "iris", "--quiet", "--epochs", "1", "-o", "m")
        for command in (["predict", "m", "iris"], ["datasets"]):
            with open("/dev/full", "w") as full:
                result = subprocess.run([PROGRAM, *command], cwd=self.root, stdout=full,
                                        stderr=subprocess.PIPE, text=True, timeout=60)
            self.assertEqual(result.returncode, 1)
            self.assertEqual(result.stderr, "chainrule: standard output cannot be written\n")

    def test_model_files_that_are_none(self):
        self.fail_with(1, "none", run=["evaluate", "none", "iris"])
        self.write("text", "this is not a model")
        self.fail_with(1, "text", run=["predict", "text", "iris"])
        self.succeed("train", "iris", "--quiet", "--epochs", "1", "-o", "m")
        whole = (self.root / "m").read_bytes()
        for length in (0, 7, 100, len(whole) - 1):
            (self.root / "cut").write_bytes(whole[:length])
            self.fail_with(1, "cut", run=["evaluate", "cut", "iris"])
        foreign = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
        foreign = len(foreign).to_bytes(8, "little") + foreign + bytes(4)
        (self.root / "foreign").write_bytes(foreign)
        self.fail_with(1, "foreign", "not one that chainrule train wrote",
                       run=["evaluate", "foreign", "iris"])

    def test_a_failed_training_leaves_the_old_model(self):
        self.succeed("train", "iris", "--quiet", "--epochs", "1", "-o", "m")
        self.write("bad.csv", "x,kind\n1,a\n2\n")
        self.fail_with(1, "bad.csv:3", run=["train", "bad.csv", "--target", "kind", "-o", "m"])

    def test_a_loss_that_is_not_finite_keeps_the_last_good_weights(self):
        self.fail_with(1, "step 2: the loss is not finite: ", " NaN and ", " Inf", "of layer ",
                       "the weights of step 1 are kept", "--clip-norm", "saved in m.failed.safetensors",
                       run=["train", "iris", "--quiet", "--optimizer", "sgd", "--lr", "1e30", "-o",
                            "m.safetensors"],
                       leaves=["m.failed.safetensors"])
        self.fail_with(1, "iris: row 1: the network's output is not finite",
                       run=["evaluate", "m.failed.safetensors", "iris"])


if __name__ == "__main__":
    PROGRAM = str(Path(sys.argv.pop(1)).resolve())
    unittest.main()
