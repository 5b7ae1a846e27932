#!/usr/bin/env python3
"""Writes golden.json: what optimisers do to a small regression problem, by NumPy in float64.

Independent of chainrule: the gradients are written out by hand and the update rules follow the
papers' formulas. The problem is tanh regression: loss = mean((tanh(x w1 + b1) w2 + b2 - t)^2).
"""
import json
import pathlib

import numpy as np

STEPS = 100


def loss_and_gradients(p, x, t):
    z = x @ p["w1"] + p["b1"]
    a = np.tanh(z)
    y = a @ p["w2"] + p["b2"]
    loss = np.mean((y - t) ** 2)
    dy = 2 * (y - t) / y.size
    da = dy @ p["w2"].T
    dz = da * (1 - a**2)
    return loss, {"w1": x.T @ dz, "b1": dz.sum(0), "w2": a.T @ dy, "b2": dy.sum(0)}


def clip(g, norm, value):
    if value:
        g = {k: np.clip(v, -value, value) for k, v in g.items()}
    if norm:
        total = np.sqrt(sum((v**2).sum() for v in g.values()))
        if total > norm:
            g = {k: v * (norm / total) for k, v in g.items()}
    return g


def sgd(p, g, s, lr, step, momentum=0.0, nesterov=False, weight_decay=0.0):
    for k in p:
        d = g[k] + weight_decay * p[k]
        if momentum:
            s[k] = momentum * s.get(k, 0.0) + d
            d = d + momentum * s[k] if nesterov else s[k]
        p[k] = p[k] - lr * d


def rmsprop(p, g, s, lr, step, decay=0.99, epsilon=1e-8, centered=False, momentum=0.0,
            weight_decay=0.0):
    for k in p:
        d = g[k] + weight_decay * p[k]
        square, mean, velocity = s.get(k, (0.0, 0.0, 0.0))
        square = decay * square + (1 - decay) * d**2
        variance = square
        if centered:
            mean = decay * mean + (1 - decay) * d
            variance = square - mean**2
        velocity = momentum * velocity + d / (np.sqrt(variance) + epsilon)
        s[k] = (square, mean, velocity)
        p[k] = p[k] - lr * velocity


def adam(p, g, s, lr, step, beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=0.0,
         decoupled=False):
    for k in p:
        d = g[k] if decoupled else g[k] + weight_decay * p[k]
        m, v = s.get(k, (0.0, 0.0))
        m = beta1 * m + (1 - beta1) * d
        v = beta2 * v + (1 - beta2) * d**2
        s[k] = (m, v)
        if decoupled:
            p[k] = p[k] * (1 - lr * weight_decay)
        p[k] = p[k] - lr * (m / (1 - beta1**step)) / (np.sqrt(v / (1 - beta2**step)) + epsilon)


def adamw(p, g, s, lr, step, weight_decay=0.01, **options):
    adam(p, g, s, lr, step, weight_decay=weight_decay, decoupled=True, **options)


CASES = [
    ("sgd", sgd, {}, 0.1, 0, 0),
    ("sgd weight_decay=0.01", sgd, dict(weight_decay=0.01), 0.1, 0, 0),
    ("sgd momentum=0.9", sgd, dict(momentum=0.9), 0.05, 0, 0),
    ("sgd momentum=0.9 nesterov weight_decay=0.001", sgd,
     dict(momentum=0.9, nesterov=True, weight_decay=0.001), 0.05, 0, 0),
    ("sgd", sgd, {}, 0.5, 0.1, 0),
    ("sgd momentum=0.5", sgd, dict(momentum=0.5), 0.5, 0, 0.05),
    ("sgd", sgd, {}, 0.5, 0.1, 0.05),
    ("rmsprop", rmsprop, {}, 0.01, 0, 0),
    # s - a^2 cancels; a larger epsilon keeps rounding errors from growing past the test's 1e-9.
    ("rmsprop decay=0.9 epsilon=1e-4 centered", rmsprop,
     dict(decay=0.9, epsilon=1e-4, centered=True), 0.01, 0, 0),
    ("rmsprop decay=0.9 centered momentum=0.9 weight_decay=0.01", rmsprop,
     dict(decay=0.9, centered=True, momentum=0.9, weight_decay=0.01), 0.001, 0, 0),
    ("rmsprop momentum=0.5 epsilon=1e-6", rmsprop, dict(momentum=0.5, epsilon=1e-6), 0.01, 0, 0),
    ("adam", adam, {}, 0.01, 0, 0),
    ("adam beta1=0.8 beta2=0.99 weight_decay=0.1", adam,
     dict(beta1=0.8, beta2=0.99, weight_decay=0.1), 0.01, 0.05, 0),
    ("adamw", adamw, {}, 0.01, 0, 0),
    ("adamw weight_decay=0.1", adamw, dict(weight_decay=0.1), 0.01, 0, 0),
]


def numbers(array):
    return [float(v) for v in np.asarray(array).ravel()]


def main():
    random = np.random.RandomState(7)
    x = random.randn(8, 3)
    t = random.randn(8, 2)
    start = {"w1": random.randn(3, 4) * 0.5, "b1": random.randn(4) * 0.1,
             "w2": random.randn(4, 2) * 0.5, "b2": random.randn(2) * 0.1}
    cases = []
    for text, rule, options, lr, norm, value in CASES:
        p, s, losses = {k: v.copy() for k, v in start.items()}, {}, []
        for step in range(1, STEPS + 1):
            loss, g = loss_and_gradients(p, x, t)
            losses.append(float(loss))
            rule(p, clip(g, norm, value), s, lr, step, **options)
        cases.append({"optimizer": text, "lr": lr, "clip_norm": norm, "clip_value": value,
                      "losses": losses[:: 11], "end": {k: numbers(v) for k, v in p.items()}})
    golden = {"x": numbers(x), "t": numbers(t), "start": {k: numbers(v) for k, v in start.items()},
              "steps": STEPS, "loss_every": 11, "cases": cases}
    path = pathlib.Path(__file__).with_name("golden.json")
    path.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
