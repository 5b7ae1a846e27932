#!/usr/bin/env python3
"""Writes tests/golden/ops.json: what every op must give, computed without chainrule.

Run from anywhere: python3 tests/ops/make_golden.py. It needs NumPy and mpmath (Debian's python3-mpmath,
which the tests themselves do not need). Numbers are computed in mpmath with 50 digits from the formulas
in the contracts and rounded to float64 once; elements that only move are moved by NumPy. The committed
file comes from Debian 12's NumPy 1.24.2 and mpmath 1.2.1.

Every real input is exact in float32, so that one case judges both the float64 reference and the float32
program. `absolute` says how far a result may be off where rounding in the last place of an intermediate
is large beside the result, with `why`; `float32` does the same for the program, and `float32: null`
leaves it out because the numbers do not fit.
"""

import json
import math
from pathlib import Path

import mpmath
import numpy as np
from mpmath import mp, mpf

from golden_attention import attentions
from golden_random import random_numbers
from golden_updates import updates

mp.dps = 50
INF = math.inf
NAN = math.nan
cases = []
random = np.random.RandomState(20260101)

exact = np.vectorize(lambda v: mpf(float(v)), otypes=[object])


def reals(values):
    return np.asarray(values, dtype=np.float32).astype(np.float64)


def uniform(shape, low=-2.0, high=2.0):
    return reals(random.uniform(low, high, shape))


def integers(values):
    return np.asarray(values, dtype=np.int32)


def real_part(f):
    """f, with NaN in and whatever is no real number out as NaN."""
    def g(*x):
        if any(mpmath.isnan(v) for v in x):
            return mpf("nan")
        y = f(*x)
        return y.real if isinstance(y, mpmath.mpc) and y.imag == 0 else (
            mpf("nan") if isinstance(y, mpmath.mpc) else y)
    return g


def mapped(f, *arrays):
    return np.vectorize(real_part(f), otypes=[object])(*[exact(a) if a.dtype != object else a
                                                         for a in map(np.asarray, arrays)])


def number(v):
    v = float(v)
    return v if math.isfinite(v) else ("nan" if math.isnan(v) else "inf" if v > 0 else "-inf")


def array(x):
    x = np.asarray(x)
    values = [int(v) if x.dtype == np.int32 else number(v) for v in x.ravel()]
    return {"dtype": "i32" if x.dtype == np.int32 else "f32", "shape": list(x.shape),
            "values": values}


def case(call, inputs, expected, arguments=None, **tolerance):
    expected = expected if isinstance(expected, list) else [expected]
    assert not tolerance.get("absolute") or "why" in tolerance, call
    for x in inputs:
        x = np.asarray(x)
        assert x.dtype == np.int32 or np.array_equal(x, reals(x), equal_nan=True), (call, x)
    cases.append({"call": call, "arguments": arguments or {}, **tolerance,
                  "inputs": [array(x) for x in inputs], "expected": [array(y) for y in expected]})


def total(x, axis=None, keepdims=False):
    return np.sum(x, axis=axis, keepdims=keepdims)


def average(x):
    return total(x) / mpf(x.size)


# ── arithmetic ───────────────────────────────────────────────────────────────

def arithmetic():
    forms = {"add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b,
             "div": lambda a, b: a / b}
    for name, f in forms.items():
        a, b = uniform((2, 3)), uniform((2, 3), 0.5, 2)
        case(name, [a, b], mapped(f, a, b))
        for left, right in [((3, 1), (4,)), ((2, 1, 3), (4, 1)), ((), (2, 2)), ((2, 3), ())]:
            a, b = uniform(left), uniform(right, 0.5, 2)
            case(name, [a, b], mapped(f, a, b))
        case(name + "_scalar", [a], mapped(f, a, np.array(-2.5)), {"b": -2.5})
        b = uniform((2, 3), 0.5, 2)
        case("scalar_" + name, [b], mapped(f, np.array(1.5), b), {"a": 1.5})
    case("div", [reals([1, -1, 0]), reals([0, 0, 0])], np.array([INF, -INF, NAN]))
    x = uniform((2, 3))
    case("neg", [x], -x)
    case("neg", [reals([INF, -INF, NAN])], np.array([-INF, INF, NAN]))

    a, b = uniform((2, 3), 0.3, 3), uniform((3,), -3, 3)
    case("pow", [a, b], mapped(lambda u, v: u**v, a, b))
    special = reals([0, 0, 1, 0]), reals([2, 0, 100, -1])
    case("pow", [*special], np.array([0, 1, 1, INF]))
    for power in [3.0, 2.0, 1.0, 0.0, -1.0]:
        x = reals([-2, -0.5, 0 if power >= 0 else 1, 0.5, 3])
        case("pow_scalar", [x], mapped(lambda v: v**int(power), x), {"b": power})
    for power in [0.5, 0.75]:
        case("pow_scalar", [reals([-2, 0.25, 3])],
             mapped(lambda v: v**mpf(power), reals([-2, 0.25, 3])), {"b": power})

    a = reals([1, 2, -3, NAN, 1, -INF, INF, 0])
    b = reals([2, 1, -3, 1, NAN, 0, 0, -1])
    joined_nan = np.isnan(a) | np.isnan(b)
    case("maximum", [a, b], np.where(joined_nan, NAN, np.where(a > b, a, b)))
    case("minimum", [a, b], np.where(joined_nan, NAN, np.where(a < b, a, b)))
    for call, f in [("maximum", np.maximum), ("minimum", np.minimum)]:
        column, row = uniform((3, 1)), uniform((2,))
        case(call, [column, row], f(column, row))
    case("maximum_scalar", [a], np.maximum(a, 0.5), {"b": 0.5})
    case("minimum_scalar", [a], np.minimum(a, 0.5), {"b": 0.5})

    compare = {"less": np.less, "less_equal": np.less_equal, "greater": np.greater,
               "greater_equal": np.greater_equal, "equal": np.equal, "not_equal": np.not_equal}
    for name, f in compare.items():
        case(name, [a, b], f(a, b).astype(float))
        column, row = reals([[1], [2]]), reals([1, 2, 3])
        case(name, [column, row], f(column, row).astype(float))
        if name not in ("equal", "not_equal"):
            case(name + "_scalar", [a], f(a, 1.0).astype(float), {"b": 1.0})

    condition = reals([[1, 0, -2], [0, 0.5, NAN]])
    a, b = uniform((3,)), uniform((2, 1))
    case("where", [condition, a, b], np.where(condition != 0, a, b))
    blocked = reals([NAN, 1, INF]), reals([2, NAN, NAN])
    case("where", [reals([0, 1, 1]), *blocked], np.array([2.0, 1, INF]))


# ── functions ────────────────────────────────────────────────────────────────

def sigmoid(v):
    return 1 / (1 + mp.exp(-v))


def gelu(v):
    return v * mp.erfc(-v / mp.sqrt(2)) / 2


def gelu_tanh(v):
    u = mp.sqrt(2 / mp.pi) * (v + mpf("0.044715") * v**3)
    return v * sigmoid(2 * u)


def functions():
    usual = reals([[-3, -1.5, -0.125, 0], [0.1, 0.5, 1, 2.75]])
    wide = reals([-800, -100, -30, -1e-3, 1e-3, 30, 100, 800])
    ends = reals([-INF, INF, NAN])

    def function(call, f, ends_to, arguments=None, domain=(usual, wide), **tolerance):
        for x in domain:
            case(call, [x], mapped(f, x), arguments, **tolerance)
        case(call, [ends], np.array(ends_to), arguments)

    small = usual, reals([-800, -100, -80, -1e-3, 1e-3, 30, 80])
    function("exp", mp.exp, [0, INF, NAN], domain=small)
    case("exp", [reals([100, 700])], mapped(mp.exp, reals([100, 700])), float32=None)
    function("log", mp.log, [NAN, INF, NAN], domain=[reals(np.abs(usual) + 0.25), reals([1e-30, 1e30, -1])])
    case("log", [reals([0])], np.array([-INF]))
    tiny = reals([-1e-3, -1e-7, 1e-20, 1e-7, 1e-3])
    function("expm1", mp.expm1, [-1, INF, NAN], domain=(*small, tiny))
    function("log1p", mp.log1p, [NAN, INF, NAN], domain=[reals(np.abs(usual) - 0.75), reals([1e30, -2]), tiny])
    case("log1p", [reals([-1])], np.array([-INF]))
    function("sqrt", mp.sqrt, [NAN, INF, NAN], domain=[np.abs(usual), reals([1e-30, 1e30, -1])])
    function("abs", abs, [INF, INF, NAN])
    function("sign", mp.sign, [-1, 1, NAN])
    function("erf", mp.erf, [-1, 1, NAN])
    function("square", lambda v: v * v, [INF, INF, NAN])
    function("relu", lambda v: max(v, mpf(0)), [0, INF, NAN])
    # A NaN is not greater than 0: it goes the way of `slope * x` and stays NaN.
    function("leaky_relu", lambda v: v if v > 0 else mpf(0.01) * v, [-INF, INF, NAN])
    function("leaky_relu", lambda v: v if v > 0 else mpf(0.25) * v, [-INF, INF, NAN],
             {"slope": 0.25})
    for alpha in [None, 1.5]:
        a = 1 if alpha is None else alpha
        function("elu", lambda v: v if v > 0 else mpf(a) * mp.expm1(v), [-a, INF, NAN],
                 None if alpha is None else {"alpha": alpha})
    function("sigmoid", sigmoid, [0, 1, NAN])
    function("tanh", mp.tanh, [-1, 1, NAN])
    function("softplus", lambda v: max(v, mpf(0)) + mp.log1p(mp.exp(-abs(v))), [0, INF, NAN])
    moderate = usual, reals([-30, -6, -1e-3, 1e-3, 6, 30, 800])
    # The program's tanh of a large number is 2.4e-7 short of 1, which gelu_tanh(-30) multiplies by 15.
    for call, f, float32 in [("gelu", gelu, 3e-6), ("gelu_tanh", gelu_tanh, 5e-6)]:
        beside_one = dict(absolute=3e-15, float32=float32,
                          why="1 + erf or tanh of a negative number rounds beside 1")
        for x in moderate:
            case(call, [x], mapped(f, x), **beside_one)
        case(call, [reals([INF, NAN])], np.array([INF, NAN]))
    for x in [usual, wide]:
        case("silu", [x], mapped(lambda v: v * sigmoid(v), x))
    case("silu", [reals([INF, NAN])], np.array([INF, NAN]))
    function("softsign", lambda v: v / (1 + abs(v)), [NAN, NAN, NAN])
    alpha, scale = mpf("1.6732632423543772848170429916717"), mpf("1.0507009873554804934193349852946")
    function("selu", lambda v: scale * (v if v > 0 else alpha * mp.expm1(v)), [-alpha * scale, INF, NAN])
    for x in [usual, wide]:
        case("mish", [x], mapped(lambda v: v * mp.tanh(mp.log1p(mp.exp(v))), x))
    case("mish", [reals([INF, NAN])], np.array([INF, NAN]))
    around = reals([-3.5, -3, -2.5, -1, 0, 1, 2.5, 3, 3.5])
    hardsigmoid = lambda v: min(max(v / 6 + mpf(0.5), mpf(0)), mpf(1))
    function("hardsigmoid", hardsigmoid, [0, 1, NAN], domain=(usual, wide, around))
    for x in [usual, wide, around]:
        case("hardswish", [x], mapped(lambda v: v * hardsigmoid(v), x))
    case("hardswish", [reals([INF, NAN])], np.array([INF, NAN]))


# ── shape ────────────────────────────────────────────────────────────────────

def shapes():
    case("constant", [], np.full((2, 3), -1.25), {"value": -1.25, "shape": [2, 3]})
    case("constant", [], np.array(0.1), {"value": 0.1, "shape": []})
    for shape, to in [((3,), (2, 3)), ((2, 1, 3), (4, 2, 5, 3)), ((2, 1), (2, 3)), ((), (2, 2)),
                      ((1, 3, 1), (2, 3, 4)), ((2, 3), (2, 3))]:
        x = uniform(shape)
        case("broadcast_to", [x], np.broadcast_to(x, to), {"shape": list(to)})
    x = uniform((2, 6))
    for to in [(3, 4), (12,), (2, 3, 2), (1, 12, 1)]:
        case("reshape", [x], x.reshape(to), {"shape": list(to)})
    case("reshape", [x], x.reshape(3, -1), {"shape": [3, -1]})
    one = uniform((1, 1))
    case("reshape", [one], one.reshape(()), {"shape": []})
    case("transpose", [x], x.T)
    x = uniform((2, 3, 4))
    case("transpose", [x], np.swapaxes(x, 1, 2))
    for permutation in [(2, 0, 1), (1, 2, 0), (0, 2, 1), (2, 1, 0), (0, 1, 2)]:
        case("transpose", [x], x.transpose(permutation), {"permutation": list(permutation)})
    a, b, c = uniform((2, 1, 3)), uniform((2, 4, 3)), uniform((2, 2, 3))
    case("concatenate", [a, b, c], np.concatenate([a, b, c], 1), {"axis": 1})
    case("concatenate", [a, b, c], np.concatenate([a, b, c], -2), {"axis": -2})
    a, b = uniform((1, 3)), uniform((2, 3))
    case("concatenate", [a, b], np.concatenate([a, b], 0), {"axis": 0})
    x = uniform((4, 3, 5))
    case("slice", [x], x[1:3, 0:3, 2:5], {"starts": [1, 0, 2], "stops": [3, 3, 5]})
    case("slice", [x], x[3:4, 2:3, 0:1], {"starts": [3, 2, 0], "stops": [4, 3, 1]})
    x = uniform((2, 3))
    case("pad", [x], np.pad(x, [(1, 0), (0, 2)]), {"before": [1, 0], "after": [0, 2]})
    case("pad", [x], np.pad(x, [(0, 2), (3, 1)]), {"before": [0, 3], "after": [2, 1]})
    for table, indices in [(uniform((4, 3)), [2, 0, 3, 3, 1]), (uniform((4,)), [[1, 0, 3], [3, 3, 2]]),
                           (uniform((3, 2, 2)), [[2], [0]]), (uniform((3, 2)), 1)]:
        indices = integers(indices)
        case("gather", [table, indices], table[indices])
    for width, indices, rows in [((3,), [1, 0, 1, 3, 1], 5), ((), [[0, 2], [2, 2]], 3),
                                 ((2, 2), [1, 1], 2)]:
        indices = integers(indices)
        x = uniform((*indices.shape, *width))
        y = np.full((rows, *width), mpf(0), dtype=object)
        np.add.at(y, indices, exact(x))
        case("scatter_add", [x, indices], y, {"rows": rows}, absolute=1e-15, float32=1e-6,
             why="a sum of terms of both signs")
    labels = integers([[2, 0], [1, 2]])
    case("one_hot", [labels], np.eye(3)[labels], {"classes": 3})
    case("one_hot", [integers([0, 4])], np.eye(5)[[0, 4]], {"classes": 5})
    numbers = integers([-3, 0, 7, 16777216])
    case("to_float", [numbers], numbers.astype(float))


# ── reductions and products ──────────────────────────────────────────────────

SIGNS = dict(absolute=1e-14, float32=3e-6, why="a sum of terms of both signs")


def reductions():
    x = uniform((2, 3, 4))
    forms = [(None, False), (None, True), ([1], False), ([0, 2], True), ([0, 2], False), ([-1], False),
             ([-2, 0], False), ([2], True), ([0, 1, 2], False)]
    for axes, keep in forms:
        arguments = {}
        if axes is not None:
            arguments["axes"] = axes
        if keep:
            arguments["keep_axes"] = 1
        axis = None if axes is None else tuple(axes)
        y = total(exact(x), axis, keep)
        count = x.size // max(1, np.asarray(y).size)
        case("sum", [x], y, arguments, **SIGNS)
        case("mean", [x], y / mpf(count), arguments, **SIGNS)
        case("max", [x], np.max(x, axis=axis, keepdims=keep), arguments)
        deviations = exact(x) - total(exact(x), axis, True) / mpf(count)
        case("variance", [x], total(deviations * deviations, axis, keep) / mpf(count), arguments, **SIGNS)
    case("max", [reals([[1, NAN, 3], [-INF, -INF, -INF]])], np.array([NAN, -INF]), {"axes": [-1]})
    case("sum", [reals([[1, NAN], [INF, 2], [INF, -INF]])], np.array([NAN, INF, NAN]), {"axes": [1]})
    x = reals([[1, 3, 3, 2], [-5, -7, -5, -6], [0, 0, 0, 0]])
    case("argmax", [x], np.argmax(x, -1).astype(np.int32))
    x = uniform((2, 3, 5))
    case("argmax", [x], np.argmax(x, -1).astype(np.int32))
    x = reals([[1, NAN, 3, NAN], [-INF, -INF, -INF, -INF]])
    case("argmax", [x], np.argmax(x, -1).astype(np.int32))


def products():
    for a, b in [((2, 3), (3, 4)), ((1, 1), (1, 1)), ((5, 1), (1, 3)), ((1, 7), (7, 1)),
                 ((17, 33), (33, 19)), ((2, 2, 3), (2, 3, 1)), ((2, 3, 4, 2), (2, 3, 2, 5))]:
        a, b = uniform(a, -1, 1), uniform(b, -1, 1)
        y = np.empty((*a.shape[:-1], b.shape[-1]), dtype=object)
        for at in np.ndindex(*a.shape[:-2]):
            y[at] = np.dot(exact(a[at]), exact(b[at]))
        case("matmul", [a, b], y, **SIGNS)


# ── softmax and losses ───────────────────────────────────────────────────────

def softmax(x):
    e = mapped(mp.exp, exact(x))  # no shift: mpmath's exponents do not overflow
    return e / total(e, -1, True)


def one_hot(labels, classes):
    return exact(np.eye(classes)[labels])


def losses():
    scores = uniform((3, 5), -3, 3)
    large = reals([[1000, 999, 998, -1000, 0], [-2000, -2001, -2000, -2000, -2003], [80, 0, 0, 0, 0]])
    for x in [scores, large, uniform((2, 3, 4)), uniform((4,))]:
        # In float32 the difference of two scores keeps 24 bits, so its exp is off by |x - max| ulp.
        case("softmax", [x], softmax(x))
        case("log_softmax", [x], mapped(mp.log, softmax(x)), absolute=1e-15, float32=1e-6,
             why="the logarithm of a number near 1")

    p = uniform((3, 4), 0.1, 1)
    p = reals(p / p.sum(-1, keepdims=True))
    t = uniform((3, 4), 0, 1)
    t = reals(t / t.sum(-1, keepdims=True))
    labels = integers([2, 0, 3])
    zero = reals([[0, 1], [0.5, 0.5]])

    def cross_entropy(q, target, epsilon=1e-9):
        rows = total(target * mapped(mp.log, exact(q) + mpf(epsilon)), -1)
        return -average(np.asarray(rows, dtype=object))

    for arguments in [{}, {"epsilon": 0.01}]:
        case("cross_entropy", [p, t], cross_entropy(p, exact(t), **arguments), arguments)
        case("cross_entropy", [p, labels], cross_entropy(p, one_hot(labels, 4), **arguments), arguments)
        case("cross_entropy", [p, np.eye(4)[labels]], cross_entropy(p, one_hot(labels, 4), **arguments),
             arguments)
        case("cross_entropy", [zero, integers([0, 1])],
             cross_entropy(zero, one_hot([0, 1], 2), **arguments), arguments)
    p3 = uniform((2, 3, 4), 0.05, 1)
    labels3 = integers([[0, 1, 2], [3, 3, 0]])
    case("cross_entropy", [p3, labels3], cross_entropy(p3, one_hot(labels3, 4)))

    def softmax_cross_entropy(x, target, smoothing=0.0):
        mixed = (1 - mpf(smoothing)) * target + mpf(smoothing) / x.shape[-1]
        return -average(np.asarray(total(mixed * mapped(mp.log, softmax(x)), -1), dtype=object))

    for arguments in [{}, {"smoothing": 0.0}, {"smoothing": 0.1}]:
        for x, target in [(scores, integers([4, 0, 2])), (large, integers([3, 1, 0])),
                          (uniform((2, 3, 4)), labels3)]:
            expected = softmax_cross_entropy(x, one_hot(target, x.shape[-1]), **arguments)
            case("softmax_cross_entropy", [x, target], expected, arguments)
            hot = np.eye(x.shape[-1])[target]
            case("softmax_cross_entropy", [x, hot], expected, arguments)
        t5 = uniform((3, 5), 0, 1)  # rows that do not sum to 1
        case("softmax_cross_entropy", [scores, t5],
             softmax_cross_entropy(scores, exact(t5), **arguments), arguments)

    x = reals([[-100, -2, 0], [0.5, 3, 100], [-800, 800, 800]])
    t = reals([[1, 0, 0.25], [1, 0, 1], [0, 1, 0]])

    def binary(v, target):
        return -target * mp.log(sigmoid(v)) - (1 - target) * mp.log1p(-sigmoid(v)) \
            if abs(v) < 50 else mp.log1p(mp.exp(-abs(v))) + max(v, mpf(0)) - v * target
    case("binary_cross_entropy", [x, t], average(mapped(binary, x, t)))
    x, t = uniform((2, 4), -3, 3), reals(random.randint(0, 2, (2, 4)))
    case("binary_cross_entropy", [x, t], average(mapped(binary, x, t)))

    x, t = uniform((2, 4), -3, 3), uniform((2, 4), -3, 3)
    difference = exact(x) - exact(t)
    case("mean_squared_error", [x, t], average(difference**2))
    case("mean_absolute_error", [x, t], average(mapped(abs, difference)))
    on_edge = reals([[0.5, 1.0, 1.5, -1.0, -4, 0.25, 0, 100]]), np.zeros((1, 8))
    for a, b in [(x, t), on_edge]:
        for arguments in [{}, {"delta": 0.5}]:
            delta = mpf(arguments.get("delta", 1.0))
            r = exact(a) - exact(b)
            case("huber", [a, b], average(mapped(
                lambda v: v * v / 2 if abs(v) <= delta else delta * (abs(v) - delta / 2), r)), arguments)


def window_shape(x, kernel, stride, dilation, before, after):
    return [(x.shape[a + 1] + before[a] + after[a] - dilation[a] * (kernel[a] - 1) - 1) // stride[a] + 1
            for a in (0, 1)]


def pixels(x, kernel, stride=(1, 1), dilation=(1, 1), before=(0, 0), after=(0, 0)):
    """(b, i, j, u, v, row, column) of every pixel under every window, also outside the image."""
    height, width = window_shape(x, kernel, stride, dilation, before, after)
    for b, i, j, u, v in np.ndindex(x.shape[0], height, width, *kernel):
        yield (b, i, j, u, v, i * stride[0] + u * dilation[0] - before[0],
               j * stride[1] + v * dilation[1] - before[1])


def inside(x, row, column):
    return 0 <= row < x.shape[1] and 0 <= column < x.shape[2]


def images():
    windows = [{"kernel": [2, 2], "stride": [2, 2]},
               {"kernel": [3, 3], "before": [1, 1], "after": [1, 1]},
               {"kernel": [2, 3], "stride": [2, 1], "dilation": [1, 2], "before": [0, 2], "after": [1, 1]},
               {"kernel": [3, 1], "stride": [1, 3], "dilation": [2, 1], "before": [2, 0], "after": [0, 1]}]
    # Up to 36 products of numbers up to 4: partial sums near 10, whose last place in float32 is 1e-6.
    sums = {"absolute": 1e-15, "float32": 5e-6, "why": "a sum of products of both signs may cancel"}
    for w in windows:
        kernel = w["kernel"]
        x = uniform((2, 5, 6, 3))
        shape = window_shape(x, **({"stride": (1, 1), "dilation": (1, 1), "before": (0, 0),
                                    "after": (0, 0)} | w))
        channels, outputs = 3, 4
        unfolded = np.full((2, *shape, *kernel, channels), -1.5)
        largest = np.full((2, *shape, channels), -INF)
        mean = exact(np.zeros((2, *shape, channels)))
        weights = uniform((*kernel, channels, outputs))
        y = exact(np.zeros((2, *shape, outputs)))
        grouped_weights = uniform((*kernel, 1, 6))
        grouped = exact(np.zeros((2, *shape, 6)))
        deep_weights = grouped_weights[:, :, 0, ::2]
        deep = exact(np.zeros((2, *shape, 3)))
        windows_in = uniform((2, *shape, kernel[0] * kernel[1] * channels))
        folded = exact(np.zeros(x.shape))
        dy = uniform((2, *shape, outputs))
        transposed = exact(np.zeros(x.shape))
        for b, i, j, u, v, row, column in pixels(x, **w):
            if not inside(x, row, column):
                continue
            pixel = x[b, row, column]
            unfolded[b, i, j, u, v] = pixel
            largest[b, i, j] = np.maximum(largest[b, i, j], pixel)
            mean[b, i, j] += exact(pixel) / (kernel[0] * kernel[1])
            y[b, i, j] += exact(pixel) @ exact(weights[u, v])
            grouped[b, i, j] += np.repeat(exact(pixel), 2) * exact(grouped_weights[u, v, 0])
            deep[b, i, j] += exact(pixel) * exact(deep_weights[u, v])
            at = (u * kernel[1] + v) * channels
            folded[b, row, column] += exact(windows_in[b, i, j, at:at + channels])
            transposed[b, row, column] += exact(weights[u, v]) @ exact(dy[b, i, j])
        size = {"height": 5, "width": 6}
        bare = {k: v for k, v in w.items() if k != "kernel"}
        case("unfold", [x], unfolded.reshape(2, *shape, -1), w | {"outside": -1.5})
        case("fold", [windows_in], folded, w | size, **sums)
        if np.isfinite(largest).all():  # a window of padding alone is refused
            case("max_pool2d", [x], largest, w)
        case("average_pool2d", [x], mean, w, **sums)
        case("conv2d", [x, weights], y, bare, **sums)
        case("conv2d", [x, grouped_weights], grouped, bare | {"groups": 3}, **sums)
        case("depthwise_conv2d", [x, deep_weights], deep, bare, **sums)
        case("conv2d_transpose", [dy, weights], transposed, bare | size, **sums)


def attention():
    attentions(case, uniform, reals, exact, mapped)


def draws():
    random_numbers(case, uniform, reals, exact, mapped)


def parameter_updates():
    updates(case, uniform, reals, exact, mapped)


def slopes():
    x = uniform((3, 5), -6, 6)
    case("gelu_slope", [x], mapped(lambda v: mp.ncdf(v) + v * mp.npdf(v), x), absolute=1e-16, float32=1e-6,
         why="the two terms cancel where the slope is near 0")


def main():
    for part in [arithmetic, functions, shapes, reductions, products, losses, draws, parameter_updates, images, attention, slopes]:
        part()
    path = Path(__file__).resolve().parent.parent / "golden" / "ops.json"
    lines = ",\n".join(json.dumps(c, separators=(",", ":"), allow_nan=False) for c in cases)
    path.write_text("[\n" + lines + "\n]\n")
    print(f"{len(cases)} cases, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
