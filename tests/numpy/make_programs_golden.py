#!/usr/bin/env python3
"""Runs the programs under tests/numpy/programs with NumPy and writes the last value of every variable
to tests/golden/numpy_programs.json.

    python3 tests/numpy/make_programs_golden.py

Committed with NumPy 1.24 or later. Only numbers and arrays of numbers are kept; an item of a
dictionary goes by its key where that is a string (params["W1"] is W1) and by NAME_KEY otherwise.
"""

import io
import json
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent


def entry(value):
    if isinstance(value, (bool, np.bool_)) or value is None:
        return None
    if isinstance(value, (int, float, np.integer, np.floating, np.ndarray)):
        array = np.asarray(value)
        if array.dtype.kind not in "fiub":
            return None
        return {"shape": list(array.shape), "values": array.astype(np.float64).ravel().tolist()}
    return None


def flat(names):
    for name, value in names.items():
        if name.startswith("__"):
            continue
        if isinstance(value, dict):
            for key, item in value.items():
                yield (key if isinstance(key, str) else f"{name}_{key}".replace("-", "m")), item
        elif isinstance(value, list) and value and all(isinstance(i, np.ndarray) for i in value):
            for i, item in enumerate(value):
                yield f"{name}_{i}", item
        else:
            yield name, value


def main():
    golden = {}
    for path in sorted((HERE / "programs").glob("*.py")):
        names = {"__name__": "__main__"}
        with redirect_stdout(io.StringIO()):
            exec(compile(path.read_text(), path.name, "exec"), names)
        variables = {name: entry(value) for name, value in flat(names)}
        golden[path.name] = {name: v for name, v in variables.items() if v is not None}
    text = json.dumps(golden, separators=(",", ":"), allow_nan=True)
    (HERE.parent / "golden" / "numpy_programs.json").write_text(text.replace('},"', '},\n"') + "\n")


if __name__ == "__main__":
    main()
