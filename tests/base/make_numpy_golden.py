#!/usr/bin/env python3
"""Writes tests/golden/numpy_random.txt and tests/golden/numpy_format.txt with NumPy itself.

Run from anywhere: python3 tests/base/make_numpy_golden.py. The committed files come from Debian 12's
NumPy 1.24.2 on x86-64. Floating-point numbers are written in hexadecimal, so that no digit is lost.
"""

from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
SEEDS = [0, 1, 42, 2**32 - 1]


def fnv1a(data):
    digest = 0xCBF29CE484222325
    for byte in data:
        digest = ((digest ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return digest


def random_golden():
    """One line a call, in the order of the calls: name, arguments, count, hash of all bytes, ends."""
    lines = ["# NumPy " + np.__version__ + ": call arguments | count hash first… last…"]

    def record(call, values):
        values = np.atleast_1d(values)
        text = (lambda v: float(v).hex()) if values.dtype == np.float64 else str
        shown = values if values.size <= 8 else np.concatenate([values[:4], values[-4:]])
        lines.append(f"{call} | {values.size} {fnv1a(values.tobytes())} " +
                     " ".join(text(v) for v in shown))

    for seed in SEEDS:
        state = np.random.RandomState(seed)
        lines.append(f"seed {seed} | 0 0")
        # 624 words hold 312 uniform numbers: the longer calls cross the refill, and the odd ones
        # leave a cached normal number or half a refill behind for the next.
        record("rand 5", state.rand(5))
        record("randn 7", state.randn(7))
        record("rand 1", state.rand(1))
        record("randn 1", state.randn(1))
        record("randn 1001", state.randn(1001))
        record("permutation 10", state.permutation(10))
        record("permutation 1", state.permutation(1))
        record("permutation 0", state.permutation(0))
        record("permutation 1000", state.permutation(1000))
        record("randint 0 10 20", state.randint(0, 10, 20))
        record("randint -5 6 800", state.randint(-5, 6, 800))
        record("randint 3 4 5", state.randint(3, 4, 5))
        record("randint 0 4294967296 700", state.randint(0, 2**32, 700))
        record("randint 0 4294967297 8", state.randint(0, 2**32 + 1, 8))
        record("randint -9223372036854775808 9223372036854775807 8",
               state.randint(-(2**63), 2**63 - 1, 8))
        record("rand 700", state.rand(700))
        record("randn 3", state.randn(3))
    return lines


def arrays():
    """About a hundred arrays that reach every rule of arrayprint."""
    f = lambda *values: np.array(values, dtype=np.float64)
    state = np.random.RandomState(7)
    yield np.array([[2.70575422e-05, 1.68672202e-05, -3.20079660e-12]])
    yield np.array([[2.705754221234567e-05, 1.686722019876543e-05, -3.2007966012345e-12]])
    yield f(0.5, 1.2, 1, -0.7, -0.3, 0.8).reshape(3, 2)
    yield f()
    yield np.zeros((0, 3))
    yield np.zeros((3, 0))
    yield f(0)
    yield f(-0.0)
    yield f(0, -0.0)
    yield f(1, 2, 3)
    yield f(1e-4)
    yield f(9.9999e-5)
    yield f(1e8)
    yield f(99999999.0)
    yield f(99999999.5, 200000)
    yield f(1, 1000)
    yield f(1, 1000.5)
    yield f(1, 1001, 0)
    yield f(1e-300, 1e300)
    yield f(5e-324)
    yield f(5e-324, 1.23456789e-300)
    yield f(1.7976931348623157e308)
    yield f(1e100, 1)
    yield f(1e-5, -1e-100)
    yield f(np.nan)
    yield f(np.inf)
    yield f(-np.inf)
    yield f(np.nan, np.inf, -np.inf)
    yield f(1, np.nan)
    yield f(1, -np.inf)
    yield f(1.5, np.inf, -2)
    yield f(1e-10, np.nan, 1)
    yield f(1e10, -np.inf, np.nan)
    yield f(123456.789, np.nan)
    yield f(1 / 3, 2 / 3)
    yield f(0.1, 0.12, 0.123456789, 0.1234567891)
    yield f(0.123456785, 0.123456775, 0.5)
    yield f(0.999999999, 1)
    yield f(0.9999999999, 9.9999999999)
    yield f(1.000000001, 2)
    yield f(2**-9, 2**-10, 2**-11)
    yield f(1e-8, 1.000000005e-8)
    yield f(1.000000005, 1.000000015, 1.000000025)
    yield f(9.999999999e-5)
    yield f(0.5, 2.5, 1e-9)
    yield f(1.5, -0.0, 1e9)
    yield np.arange(30) / 7
    yield -np.arange(40) * 1.0
    yield np.arange(60) * 1e-6
    yield np.arange(1000) / 1
    yield np.arange(1001) / 1
    yield np.arange(5000) / 3
    yield np.arange(1200).reshape(2, 600) / 4
    yield np.arange(1200).reshape(600, 2) / 4
    yield np.arange(1320).reshape(10, 12, 11) / -2
    yield np.arange(1200).reshape(300, 4) / 1e6
    yield np.arange(24).reshape(2, 3, 4) * 1.0
    yield np.arange(24).reshape(2, 3, 2, 2) / 24
    yield np.arange(8).reshape(1, 1, 8) * 1e9
    yield state.randn(3, 30)
    yield state.randn(2, 2, 17)
    yield state.randn(100) * 10.0**state.randint(-12, 12, 100)
    for exponent in range(-12, 13, 3):
        yield state.randn(2, 3) * 10.0**exponent
        yield (state.randn(2, 3) * 10.0**exponent).astype(np.float32)
    g = lambda *values: np.array(values, dtype=np.float32)
    yield g(0.1, 0.2, 0.3)
    yield g(1e-4)
    yield g(1.23456789e-5, 0.1, 0.3)
    yield g(99999992, 1)
    yield g(16777216, 16777217, 123456)
    yield g(4194303.75, 8388607.5)
    yield g(1 / 3, 1000 / 3)
    yield g(1 / 3, 2000 / 3)
    yield g(1e-45, 3.4028235e38)
    yield g(np.nan, 0.25, -np.inf)
    yield g(-0.0, 0)
    yield (np.arange(1100) / 9).astype(np.float32)
    i = lambda *values: np.array(values, dtype=np.int32)
    yield i(1, 2, 3)
    yield i(-1, 10, 100)
    yield i(2**31 - 1, -(2**31))
    yield np.arange(100, dtype=np.int32)
    yield np.arange(1001, dtype=np.int32)
    yield np.arange(1002, dtype=np.int32).reshape(2, 501)
    yield np.zeros((0,), dtype=np.int32)
    yield np.arange(12, dtype=np.int32).reshape(3, 2, 2)
    for value in [0.0, -0.0, 1, 0.1, 1e-4, 9.9999e-5, 1e15, 1e16, 123456789.125, np.nan, -np.inf,
                  0.6931042210040035, 5e-324, 1e-100]:
        yield np.array(float(value))
    for value in [0.1, 1e-4, 1e15, 99999992, 1e16, 1 / 3]:
        yield np.array(value, dtype=np.float32)
    yield np.array(-7, dtype=np.int32)


def values_text(values):
    """The values; a long array is 0/d, 1/d, 2/d, …, written as "over d"."""
    if values.size >= 1000:
        divisor = 1 if values.dtype == np.int32 else 1 / float(values[1])
        divisor = round(divisor)
        assert (values == (np.arange(values.size) / divisor).astype(values.dtype)).all()
        return f"over {divisor}"
    as_text = str if values.dtype == np.int32 else lambda v: float(v).hex()
    return " ".join(as_text(v) for v in values)


def format_golden():
    """Records of three parts: a head (dtype, shape), the values, and what str(array) is."""
    names = {"float64": "f64", "float32": "f32", "int32": "i32"}
    lines = []
    for array in arrays():
        shape = ",".join(str(n) for n in array.shape)
        lines.append(f"=== {names[str(array.dtype)]} {shape}".rstrip())
        lines.append(values_text(array.ravel()))
        lines.append(str(array))
    return lines


def main():
    np.set_printoptions()  # the defaults, whatever the environment says
    (GOLDEN / "numpy_random.txt").write_text("\n".join(random_golden()) + "\n")
    (GOLDEN / "numpy_format.txt").write_text("\n".join(format_golden()) + "\n")


if __name__ == "__main__":
    main()
