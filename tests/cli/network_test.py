"""Drives chainrule check and chainrule explain on networks: exit codes, what is printed, and one clear line
for what does not work.

    network_test.py PROGRAM
"""

import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAM = ""


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def run_program(self, *arguments):
        return subprocess.run([PROGRAM, *map(str, arguments)], cwd=self.root, capture_output=True, text=True,
                              timeout=60)

    def succeed(self, *arguments):
        result = self.run_program(*arguments)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertEqual(result.stderr, "")
        return result.stdout

    def refuse(self, code, *words, run):
        result = self.run_program(*run)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        self.assertTrue(result.stderr.startswith("chainrule: "), result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        self.assertEqual(result.stdout, "")
        for word in words:
            self.assertIn(word, result.stderr)


class Check(Case):
    def test_a_line_of_text_is_checked_on_random_rows(self):
        out = self.succeed("check", "linear 4, tanh, linear 3")
        self.assertIn("8 random rows of 4 numbers", out)
        for name in ("1.weight[", "1.bias[", "3.weight[", "3.bias["):
            self.assertIn(name, out)
        self.assertIn("all 13 comparisons agree", out)
        self.assertNotIn("WRONG", out)

    def test_data_sizes_and_threads_can_be_said(self):
        out = self.succeed("check", "linear 5, relu, linear 3", "--data", "iris", "--rows", "3", "--threads", "2",
                           "--entries", "6", "--seed", "4", "--optimizer", "adam")
        self.assertIn("rows 1, 51 and 101 of iris", out)
        self.assertIn("6 of 20", out)
        self.assertIn("9 random", self.succeed("check", "linear 3", "--input", "2x3", "--rows", "9", "--classes", "3",
                                               "--model", "flatten, linear 3"))
        self.assertIn("target: a number", self.succeed("check", "linear 1"))

    def test_kinks_are_named_and_do_not_fail(self):
        out = self.succeed("check", "linear 3 init=zeros, relu, linear 2")
        self.assertIn("relu of layer 2 (relu)", out)
        self.assertIn("kink", out)

    def test_an_elu_at_0_is_right_and_has_no_kink(self):
        out = self.succeed("check", "linear 4 init=zeros, elu, linear 3", "--data", "iris")
        self.assertIn("agree", out)
        self.assertNotIn("kink", out)

    def test_a_model_file_is_checked_on_its_own_data(self):
        self.succeed("train", "iris", "--epochs", "2", "--quiet", "-o", "m.safetensors")
        out = self.succeed("check", "m.safetensors")
        self.assertIn("m.safetensors", out)
        self.assertIn("of iris", out)

    def test_a_toml_file_serves_train_and_check(self):
        (self.root / "flowers.csv").write_text(
            "a,b,kind\n" + "".join(f"{i % 7},{i % 5}.5,{'x' if i % 2 else 'y'}\n" for i in range(30)))
        (self.root / "net.toml").write_text(
            'model = ["linear 4", "tanh", "linear 2"]\ndata = "flowers.csv"\ntarget = "kind"\n'
            'epochs = 3\nseed = 2\nrows = 5\nquiet = true\n')
        out = self.succeed("check", "net.toml")
        self.assertIn("linear 4, tanh, linear 2", out)
        self.assertIn("of flowers.csv", out)
        self.assertIn("seed 2", out)
        self.assertIn("rows 1, 7, 13, 19 and 25", out)
        self.assertIn("rows 1 and 16", self.succeed("check", "net.toml", "--rows", "2"))
        self.assertEqual(self.succeed("train", "net.toml", "-o", "n.safetensors"), "")
        self.assertTrue((self.root / "n.safetensors").exists())

    def test_what_is_wrong_is_said_in_one_line(self):
        self.refuse(2, "rellu", "relu", run=["check", "linear 3, rellu"])
        self.refuse(2, "irs", "iris", run=["check", "linear 3", "--data", "irs"])
        self.refuse(1, "10 classes", run=["check", "linear 3", "--data", "digits"])
        self.refuse(2, "network is needed", run=["check"])
        (self.root / "bad.toml").write_text('model = "linear 3"\nrow = 3\n')
        self.refuse(2, "bad.toml:2:1", '"row"', '"rows"', run=["check", "bad.toml"])
        (self.root / "bad.toml").write_text('model = "linear 3"\nrows = "many"\n')
        self.refuse(2, "bad.toml:2:1", "rows", "many", run=["check", "bad.toml"])
        (self.root / "bad.toml").write_text('model = "linear 3\n')
        self.refuse(2, "bad.toml:1:", run=["check", "bad.toml"])
        (self.root / "bad.toml").write_text('data = "iris"\n')
        self.refuse(2, "model", "missing", run=["check", "bad.toml"])
        self.refuse(1, "gone.toml", run=["check", "gone.toml"])
        self.refuse(1, "gone.safetensors", run=["check", "gone.safetensors"])


class Explain(Case):
    def test_every_value_is_shown_forward_and_backward(self):
        out = self.succeed("explain", "linear 4, tanh, linear 3", "--data", "iris")
        parts = ["FORWARD", "layer 1", "Z1 = X·W1 + b1", "layer 2", "A1 = tanh(Z1)", "layer 3", "loss\n", "BACKWARD",
                 "dZ2 = (P - Y) / 3", "dA1 = dZ2·W2ᵀ", "dW1 = Xᵀ·dZ1"]
        at = 0
        for part in parts:
            at = out.index(part, at)
        self.assertNotIn("UPDATE", out)
        self.assertIn("W1   [4, 4]   1.weight", out)

    def test_the_step_shows_the_loss_before_and_after(self):
        out = self.succeed("explain", "linear 3", "--data", "iris", "--step", "--lr", "0.05")
        self.assertIn("UPDATE   sgd, lr = 0.05", out)
        before, after = map(float, re.search(r"before (\S+) +after (\S+)", out.split("loss of these rows")[1]).groups())
        self.assertLess(after, before)

    def test_a_weight_is_expanded_into_paths_whose_sum_is_its_gradient(self):
        for name in ("W1[0,2]", "1.weight[0,2]"):
            out = self.succeed("explain", "linear 4, tanh, linear 3", "--data", "iris", "--weight", name)
            self.assertIn("∂Z2[b,j]/∂A1[b,2]  = W2[2,j]", out)
            self.assertEqual(out.count("→ loss"), 9)
            total = float(re.search(r"sum of all 9 paths +(\S+)", out).group(1))
            self.assertAlmostEqual(total, float(re.search(r"gradient\(\) +(\S+)", out).group(1)), delta=1e-9)
            products = [float(line.split("=")[-1]) for line in out.splitlines() if "→ loss" in line]
            self.assertAlmostEqual(sum(products), total, delta=1e-5)

    def test_a_recurrent_network_is_shown_through_time(self):
        out = self.succeed("explain", "reshape 8x8, rnn 4, linear 10", "--data", "digits", "--rows", "2")
        through = out.split("THROUGH TIME")[1]
        self.assertIn("rnn 4, 8 steps", through)
        self.assertGreaterEqual(through.count("█"), 32)
        out = self.succeed("explain", "reshape 8x8, rnn 4, linear 10", "--data", "digits", "--rows", "2", "--weight",
                           "W1[3,1]")
        self.assertIn("= U1[", out)
        self.assertNotIn("∂H1_7/", out)
        total = float(re.search(r"sum of all \S+ paths +(\S+)", out).group(1))
        self.assertAlmostEqual(total, float(re.search(r"gradient\(\) +(\S+)", out).group(1)), delta=1e-9)

    def test_the_page_is_written_to_a_file(self):
        self.succeed("explain", "linear 3", "--data", "iris", "--html", "step.html")
        self.assertIn("<!doctype html>", (self.root / "step.html").read_text().lower())

    def test_a_wrong_weight_is_answered_with_the_right_ones(self):
        self.refuse(2, "--weight", "[4, 3]", "W1[3,2]", run=["explain", "linear 3", "--weight", "W1[4,0]"])
        self.refuse(2, "--weight", "w1", '"W1"', run=["explain", "linear 3", "--weight", "w1[0,0]"])


if __name__ == "__main__":
    PROGRAM = str(Path(sys.argv.pop(1)).resolve())
    unittest.main()
