"""Every number that an option takes is checked, and every option that a message names is there to be given.

    options_test.py PROGRAM
"""

import re
import sys
import unittest
from pathlib import Path

import cli_test
from cli_test import FLOWERS, Case, write_images

SOURCE = Path(__file__).resolve().parents[2] / "src"
COMMANDS = ("train", "evaluate", "predict", "generate", "datasets", "derive", "check", "explain")

# Which subcommands may print what is written in these files and folders. What stands in src/cli/NAME.cpp is
# printed by the subcommand NAME.
PRINTED_BY = {
    "base": (),
    "cli/check_backprop.cpp": ("check",),
    "cli/command_line.cpp": (),
    "cli/main.cpp": (),
    "cli/network_source.cpp": ("check", "explain"),
    "cli/numpy_options.cpp": ("derive", "check"),
    "cli/option_values.cpp": ("train", "check", "explain"),
    "cli/output.cpp": ("train", "predict", "derive", "explain"),
    "data/csv.cpp": ("train", "evaluate", "predict", "check", "explain"),
    "data/encoder.cpp": ("train", "check", "explain"),  # when it is fitted
    "data/unusable.cpp": ("train", "check", "explain"),
    "model/open_data.cpp": ("train",),  # check and explain hold nothing out
    "model/read_rows.cpp": ("evaluate", "predict", "check", "explain"),
    "model/tables.cpp": ("train", "check", "explain"),
    "numpy": ("derive", "check"),
    "train": ("train",),
}


class Options(Case):
    def options_of(self, command):
        """The options in the help of a subcommand, each with what it takes."""
        listed = re.findall(r"^ +(?:-\w,)?--([a-z-]+)(?: (\S+))?", self.succeed(command, "--help"), re.MULTILINE)
        return dict(listed)


class Numbers(Options):
    RUN = {"train": ["iris"], "evaluate": ["m", "iris"], "predict": ["m", "iris"], "generate": ["m"],
           "check": ["linear 3"], "explain": ["linear 3"]}
    NONE = ("nan", "inf", "-inf", "1e999", "-1", "-1e-300", "0x10", "7x", "7 7", "seven", "", "+-7", "1,5",
            "99999999999999999999999")
    WHOLE = ("1.5", "1e3", "18446744073709551616", "-18446744073709551615")

    def test_what_is_no_number_is_refused_by_name(self):
        self.succeed("train", "iris", "--quiet", "--epochs", "1", "-o", "m")
        seen = 0
        for command, arguments in self.RUN.items():
            for option, takes in self.options_of(command).items():
                if takes not in ("INT", "NUMBER"):
                    continue
                seen += 1
                for value in self.NONE + (self.WHOLE if takes == "INT" else ()):
                    # A share of 0.99999… is a number; one of 1e23 is none that any option takes.
                    with self.subTest(command=command, option=option, value=value):
                        if value == "99999999999999999999999" and takes == "NUMBER":
                            continue
                        self.fail_with(2, f"--{option}", run=[command, *arguments, f"--{option}={value}"])
        self.assertGreater(seen, 25)

    def test_files_of_options_are_checked_alike(self):
        for line in ("lr = nan", "lr = inf", "seed = -1", "epochs = 1.5", 'epochs = "0x10"', "batch = 1e-3",
                     "threads = 99999", 'lr = "7x"', "quiet = 3", 'quiet = "perhaps"'):
            with self.subTest(line=line):
                self.write("t.toml", f'data = "iris"\n{line}\n')
                self.fail_with(2, "t.toml:2:1", run=["train", "t.toml"])


class Messages(Options):
    def places(self):
        """(file, option, subcommands that may print it) for each option that a text in the sources names."""
        for path in sorted(SOURCE.rglob("*.cpp")):
            name = path.relative_to(SOURCE).as_posix()
            for text in re.findall(r'"((?:[^"\\]|\\.)*)"', path.read_text(encoding="utf-8")):
                for before, option in re.findall(r"(\w*)[ (]*(?<![-\w])--([a-z][a-z-]*)", text):
                    known = [PRINTED_BY[key] for key in (name, name.split("/")[0]) if key in PRINTED_BY]
                    commands = known[0] if known else (path.stem,) if path.stem in COMMANDS else None
                    yield name, option, (before,) if before in COMMANDS else commands

    def test_options_that_messages_name_exist_where_they_are_printed(self):
        has = {command: self.options_of(command) for command in COMMANDS}
        everything = {option for options in has.values() for option in options}
        seen = set()
        for name, option, commands in self.places():
            if option not in everything:
                continue  # CSS and the like
            self.assertIsNotNone(commands, f"{name} names --{option}: say in PRINTED_BY who may print it")
            for command in commands:
                seen.add((command, option))
                self.assertIn(option, has[command], f"{name} names --{option}, which {command} does not have")
        # Those that were missing once.
        for pair in (("predict", "missing"), ("evaluate", "missing"), ("check", "shape"), ("check", "loss")):
            self.assertIn(pair, seen)

    def test_what_a_message_advises_works(self):
        self.write("t.csv", FLOWERS)
        self.write("u.csv", FLOWERS + "fifty,2,red,a\n")
        self.succeed("train", "t.csv", "--target", "kind", "--quiet", "--epochs", "1", "-o", "m.safetensors")
        for command in (["predict", "m.safetensors", "u.csv"], ["evaluate", "m.safetensors", "u.csv"],
                        ["explain", "m.safetensors", "--data", "u.csv"], ["train", "u.csv", "--target", "kind"]):
            with self.subTest(command=command):
                self.fail_with(1, "pass --missing fifty", run=command)
                self.succeed(*command, "--missing", "fifty")
        write_images(self.root / "images", 8, 4)
        self.succeed("train", "images", "--quiet", "--epochs", "1", "-o", "m")
        self.fail_with(2, "--missing", "tables", run=["evaluate", "m", "images", "--missing", "?"])
        self.write("f.py", "import numpy as np\nW = np.ones((3, 1))\nscore = np.mean((X @ W)**2)\n"
                           "dW = 2 * X.T @ (X @ W) / 2\n")
        self.fail_with(1, "--shape X=3,2", run=["check", "f.py"])
        self.assertIn("right", self.succeed("check", "f.py", "--shape", "X=2,3", "--loss", "score"))
        self.fail_with(2, "--shape", "NumPy", run=["check", "linear 3", "--shape", "X=2,3"])


if __name__ == "__main__":
    cli_test.PROGRAM = str(Path(sys.argv.pop(1)).resolve())
    unittest.main()
