"""The part of make_golden.py that is about attention, the places of rows and their norms."""

import numpy as np
from mpmath import mp, mpf


def attentions(case, uniform, reals, exact, mapped):
    x = uniform((3, 4), -6, 6)
    case("sin", [x], mapped(mp.sin, x), absolute=1e-16, float32=1e-6, why="near a zero of the sine")
    case("cos", [x], mapped(mp.cos, x), absolute=1e-16, float32=1e-6, why="near a zero of the cosine")
    case("arange", [], np.arange(5.0), {"count": 5})
    sums = {"absolute": 1e-15, "float32": 2e-6, "why": "a weighted mean of numbers of both signs"}
    for causal, (rows, read) in [(0, (3, 5)), (1, (4, 4))]:
        q, k, v = uniform((2, rows, 6)), uniform((2, read, 6)), uniform((2, read, 3))
        y = exact(np.zeros((2, rows, 3)))
        for b, t in np.ndindex(2, rows):
            scores = exact(k[b]) @ exact(q[b, t]) / mp.sqrt(6)
            weights = mapped(mp.exp, scores)
            if causal:
                weights[t + 1:] = mpf(0)
            y[b, t] = weights @ exact(v[b]) / sum(weights)
        case("attention", [q, k, v], y, {"causal": causal}, **sums)
    x = uniform((2, 5, 6))
    turned = exact(np.zeros(x.shape))
    places = exact(np.zeros((5, 6)))
    for t, i in np.ndindex(5, 3):
        angle = t * mpf(10000) ** (-mpf(i) / 3)
        a, b = exact(x[:, t, i]), exact(x[:, t, i + 3])
        turned[:, t, i], turned[:, t, i + 3] = (a * mp.cos(angle) - b * mp.sin(angle),
                                                a * mp.sin(angle) + b * mp.cos(angle))
        places[t, i], places[t, i + 3] = mp.sin(angle), mp.cos(angle)
    case("rotary", [x], turned, **sums)
    case("sinusoidal_positions", [], places, {"length": 5, "features": 6}, **sums)
    for epsilon in (1e-5, 0.1):
        rows, gamma, beta = uniform((3, 2, 7)), uniform((7,)), uniform((7,))
        deviations = exact(rows) - exact(rows).sum(-1, keepdims=True) / 7
        deviation = np.vectorize(mp.sqrt, otypes=[object])(
            (deviations * deviations).sum(-1, keepdims=True) / 7 + mpf(epsilon))
        case("layer_norm", [rows, gamma, beta], deviations / deviation * exact(gamma) + exact(beta),
             {"epsilon": epsilon}, **sums)
    # Heads are columns; a mask may leave a row nothing to read, which then gives 0.
    keys = reals([[[1, 1, 1, 0, 0]], [[0, 0, 0, 0, 0]]])
    pairs = reals([[[0, 1, 1, 0, 1], [0, 1, 1, 1, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 1]]])
    for causal, mask in [(0, None), (1, None), (0, keys), (1, pairs)]:
        q, k, v = uniform((2, 4, 6)), uniform((2, 5, 6)), uniform((2, 5, 9))
        y = exact(np.zeros((2, 4, 9)))
        readable = np.ones((2, 4, 5)) if mask is None else np.broadcast_to(mask, (2, 4, 5))
        for b, t, h in np.ndindex(2, 4, 3):
            rows = [s for s in range(5) if readable[b, t, s] and not (causal and s > t)]
            weights = [mp.exp(exact(k[b, s, 2 * h:2 * h + 2]) @ exact(q[b, t, 2 * h:2 * h + 2]) / mp.sqrt(2))
                       for s in rows]
            for s, weight in zip(rows, weights):
                y[b, t, 3 * h:3 * h + 3] += weight / sum(weights) * exact(v[b, s, 3 * h:3 * h + 3])
        case("attention", [q, k, v] + ([] if mask is None else [mask]), y,
             {"causal": causal, "heads": 3}, **sums)
