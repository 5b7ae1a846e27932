"""Errors of chainrule's float32 results and of PyTorch's, against float64, as a table in Markdown.

    accuracy.py PROGRAM        PROGRAM: build/release/chainrule-accuracy; needs torch, numpy, mpmath

Each case takes numbers that are hard on it. An error is the largest difference from the result in float64 (sines and
cosines: in as many digits as it takes) on the same float32 numbers, divided by the largest number of that result; of
slopes and sines, element by element. Exits 1 where ours is above four times PyTorch's and above two roundings.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import mpmath
import numpy
import torch

ROUNDING = 2.0 ** -24
generator = numpy.random.default_rng(1)


def uniform(*shape, low=-1.0, high=1.0):
    return generator.uniform(low, high, shape).astype(numpy.float32)


def normal(*shape, mean=0.0, deviation=1.0):
    return generator.normal(mean, deviation, shape).astype(numpy.float32)


def full(value, *shape):
    return numpy.full(shape, value, numpy.float32)


def with_gradient(function):
    """The function's result, then its gradients, for the cotangent that comes last."""
    def run(*arrays):
        inputs = [a.clone().requires_grad_() for a in arrays[:-1]]
        result = function(*inputs)
        result.backward(arrays[-1])
        return [result.detach(), *(a.grad for a in inputs)]
    return run


def attention(q, k, v):
    return torch.nn.functional.scaled_dot_product_attention(q, k, v)


def convolution(x, w):
    y = torch.nn.functional.conv2d(x.permute(0, 3, 1, 2), w.permute(3, 2, 0, 1))
    return y.permute(0, 2, 3, 1)


def positions(x):
    half = x.shape[1] // 2
    rate = torch.exp(torch.arange(half, dtype=x.dtype) * (-numpy.log(10000.0) / half))
    angle = torch.arange(x.shape[0], dtype=x.dtype)[:, None] * rate
    return [x + torch.cat([torch.sin(angle), torch.cos(angle)], 1)]


def exact(function):
    """Element by element with 100 digits."""
    def run(x):
        with mpmath.workdps(100):
            return [numpy.array([float(function(mpmath.mpf(float(v)))) for v in x])]
    return run


def reduction(function):
    return lambda x: [function(x)]


def var(axes):
    return reduction(lambda x: torch.var(x, dim=axes, correction=0))


FAR = numpy.concatenate([uniform(1000, low=a, high=b) for a, b in (
    (-3, 3), (-3e4, 3e4), (-1e7, 1e7), (-1e13, 1e13), (-3e38, 3e38))])

# what, case, arrays, PyTorch's function, whether element by element, names of the outputs that count
CASES = [
    ("sum of a million times 0.1, last axis", "sum_last", [full(0.1, 2, 1_000_000)],
     reduction(lambda x: x.sum(-1)), False, ""),
    ("sum of a million times 0.1, first axis", "sum_first", [full(0.1, 1_000_000, 3)],
     reduction(lambda x: x.sum(0)), False, ""),
    ("sum of a million times 0.1, all of it", "sum_all", [full(0.1, 1_000_000)],
     reduction(lambda x: x.sum()), False, ""),
    ("sum of a million from 0 to 1, last axis", "sum_last", [uniform(2, 1_000_000, low=0)],
     reduction(lambda x: x.sum(-1)), False, ""),
    ("variance of 1000 about 10⁶, last axis", "variance_last", [normal(64, 1000, mean=1e6)],
     var([-1]), False, ""),
    ("variance of 1000 about 10⁶, first axis", "variance_first", [normal(1000, 64, mean=1e6)],
     var([0]), False, ""),
    ("variance of a million about 10⁶, last axis", "variance_last", [normal(2, 1_000_000, mean=1e6)],
     var([-1]), False, ""),
    ("variance of channels about 10⁶, 32 images", "variance_channels",
     [normal(32, 20, 20, 8, mean=1e6)], var([0, 1, 2]), False, ""),
    ("variance of channels about 10⁶, 4 images", "variance_channels",
     [normal(4, 20, 20, 8, mean=1e6)], var([0, 1, 2]), False, ""),
    ("layer norm of rows about 1000", "layer_norm",
     [normal(5000, 64, mean=1000), normal(64), normal(64), full(1, 5000, 64)],
     with_gradient(lambda x, g, b: torch.nn.functional.layer_norm(x, (64,), g, b)), False,
     "y dx dgamma dbeta"),
    ("attention, all scores 9984", "attention",
     [full(32, 2, 50, 64), full(39, 2, 50, 64), normal(2, 50, 8), normal(2, 50, 8)],
     with_gradient(attention), False, "y . . dv"),
    ("attention, scores about 1", "attention",
     [normal(2, 300, 64), normal(2, 300, 64), normal(2, 300, 64), normal(2, 300, 64)],
     with_gradient(attention), False, "y dq dk dv"),
    ("tanh and its slope, −5 … 5", "tanh", [uniform(20000, low=-5, high=5), full(1, 20000)],
     with_gradient(torch.tanh), True, "y dx"),
    ("tanh and its slope, 5 … 8", "tanh", [uniform(20000, low=5, high=8), full(1, 20000)],
     with_gradient(torch.tanh), True, "y dx"),
    ("tanh and its slope, 8 … 9", "tanh", [uniform(20000, low=8, high=9), full(1, 20000)],
     with_gradient(torch.tanh), True, "y dx"),
    ("sine, up to 3·10³⁸", "sin", [FAR], reduction(torch.sin), True, ""),
    ("cosine, up to 3·10³⁸", "cos", [FAR], reduction(torch.cos), True, ""),
    ("sinusoidal positions up to 30,000", "positions", [full(0, 30_000, 64)], positions, False, ""),
    ("product over a million times 0.1", "matmul", [full(0.1, 4, 1_000_000), full(1, 1_000_000, 4)],
     reduction(None), False, ""),
    ("convolution of equal pixels, 3 × 3", "conv2d",
     [full(0.1, 32, 66, 66, 16), normal(3, 3, 16, 16), full(1, 32, 64, 64, 16)],
     with_gradient(convolution), False, "y . dw"),
    ("convolution of equal pixels, 5 × 5", "conv2d",
     [full(0.1, 32, 68, 68, 3), normal(5, 5, 3, 16), full(1, 32, 64, 64, 16)],
     with_gradient(convolution), False, "y . dw"),
    ("log softmax of 100,000 classes", "log_softmax", [normal(4, 100_000), full(1, 4, 100_000)],
     with_gradient(lambda x: torch.log_softmax(x, -1)), False, "y"),
]


def ours(program, folder, case, arrays, like):
    files = []
    for i, array in enumerate(arrays):
        path = folder / f"{i}.bin"
        array.tofile(path)
        files.append(f"{path}:{'x'.join(map(str, array.shape))}")
    subprocess.run([program, case, folder / "out.bin", *files], check=True)
    numbers = numpy.fromfile(folder / "out.bin", numpy.float32)
    results = []
    for expected in like:
        results.append(numbers[:expected.size].reshape(expected.shape))
        numbers = numbers[expected.size:]
    assert numbers.size == 0
    return results


def error(got, expected, by_element):
    difference = numpy.abs(got.astype(numpy.float64) - expected)
    if by_element:
        return float(numpy.max(difference / numpy.maximum(numpy.abs(expected), 1e-30)))
    return float(numpy.max(difference) / numpy.max(numpy.abs(expected)))


def main(program):
    bad = 0
    print("| case | result | chainrule | PyTorch | times |\n|---|---|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for what, case, arrays, function, by_element, names in CASES:
            if case == "matmul":
                function = lambda a, b: [a @ b]
            wide = [torch.from_numpy(a.astype(numpy.float64)) for a in arrays]
            if case in ("sin", "cos"):
                right = exact(getattr(mpmath, case))(arrays[0])
            else:
                right = [numpy.asarray(r) for r in function(*wide)]
            theirs = [numpy.asarray(r) for r in function(*map(torch.from_numpy, arrays))]
            mine = ours(program, Path(folder), case, arrays, right)
            for i, name in enumerate(names.split() or ["y"]):
                if name == ".":
                    continue
                a, b = (error(r[i], right[i], by_element) for r in (mine, theirs))
                bad += a > max(4 * b, 2 * ROUNDING)
                print(f"| {what} | {name} | {a:.1e} | {b:.1e} | {a / max(b, ROUNDING / 2):.2g} |", flush=True)
    return bad > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
