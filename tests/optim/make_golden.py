#!/usr/bin/env python3
"""Writes golden.json: what optimisers do to a small regression problem, by NumPy in float64.

Independent of chainrule: the gradients are written out by hand and the update rules follow the
papers' formulas. The problem is tanh regression: loss = mean((tanh(x w1 + b1) w2 + b2 - t)^2).

    make_golden.py            writes golden.json
    make_golden.py --torch    compares these rules with torch.optim in float64, where it has them
"""
import json
import pathlib
import sys

import numpy as np

STEPS = 100
MUON = ["w1"]  # the matrices that are not of the output layer


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


def decays(array, decay_on):
    return decay_on == "all" or array.ndim >= 2


def adam(p, g, s, lr, step, beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=0.0,
         decoupled=False, amsgrad=False, decay_on="all"):
    for k in p:
        decay = weight_decay if decays(p[k], decay_on) else 0.0
        d = g[k] if decoupled else g[k] + decay * p[k]
        m, v, largest = s.get(k, (0.0, 0.0, 0.0))
        m = beta1 * m + (1 - beta1) * d
        v = beta2 * v + (1 - beta2) * d**2
        largest = np.maximum(largest, v)
        s[k] = (m, v, largest)
        if decoupled:
            p[k] = p[k] * (1 - lr * decay)
        second = (largest if amsgrad else v) / (1 - beta2**step)
        p[k] = p[k] - lr * (m / (1 - beta1**step)) / (np.sqrt(second) + epsilon)


def adamw(p, g, s, lr, step, weight_decay=0.01, decay_on="matrices", **options):
    adam(p, g, s, lr, step, weight_decay=weight_decay, decoupled=True, decay_on=decay_on, **options)


def nadam(p, g, s, lr, step, beta1=0.9, beta2=0.999, epsilon=1e-8, momentum_decay=0.004,
          weight_decay=0.0, decoupled=False):
    """Dozat, Incorporating Nesterov Momentum into Adam: algorithm 8 with the paper's schedule."""
    mu = [beta1 * (1 - 0.5 * 0.96**(t * momentum_decay)) for t in range(1, step + 2)]
    now, following = np.prod(mu[:-1]), np.prod(mu)
    for k in p:
        d = g[k] if decoupled else g[k] + weight_decay * p[k]
        m, v = s.get(k, (0.0, 0.0))
        m = beta1 * m + (1 - beta1) * d
        v = beta2 * v + (1 - beta2) * d**2
        s[k] = (m, v)
        if decoupled:
            p[k] = p[k] * (1 - lr * weight_decay)
        corrected = mu[-1] * m / (1 - following) + (1 - mu[-2]) * d / (1 - now)
        p[k] = p[k] - lr * corrected / (np.sqrt(v / (1 - beta2**step)) + epsilon)


def adagrad(p, g, s, lr, step, epsilon=1e-10, weight_decay=0.0):
    for k in p:
        d = g[k] + weight_decay * p[k]
        s[k] = s.get(k, 0.0) + d**2
        p[k] = p[k] - lr * d / (np.sqrt(s[k]) + epsilon)


def adadelta(p, g, s, lr, step, rho=0.9, epsilon=1e-6, weight_decay=0.0):
    for k in p:
        d = g[k] + weight_decay * p[k]
        square, change = s.get(k, (0.0, 0.0))
        square = rho * square + (1 - rho) * d**2
        u = np.sqrt(change + epsilon) / np.sqrt(square + epsilon) * d
        s[k] = (square, rho * change + (1 - rho) * u**2)
        p[k] = p[k] - lr * u


def lion(p, g, s, lr, step, beta1=0.9, beta2=0.99, weight_decay=0.1, decay_on="matrices"):
    """Chen et al., Symbolic Discovery of Optimization Algorithms: algorithm 2."""
    for k in p:
        m = s.get(k, 0.0)
        direction = np.sign(beta1 * m + (1 - beta1) * g[k])
        decay = weight_decay if decays(p[k], decay_on) else 0.0
        s[k] = beta2 * m + (1 - beta2) * g[k]
        p[k] = p[k] - lr * (direction + decay * p[k])


def newton_schulz(x, steps):
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    x = x / max(np.linalg.norm(x), 1e-7)
    for _ in range(steps):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.T if tall else x


def muon(p, g, s, lr, step, momentum=0.95, nesterov=True, steps=5, weight_decay=0.1,
         decay_on="matrices", epsilon=1e-10):
    """Jordan's Muon, with the factor of Liu et al.; AdamW for the vectors and the output layer."""
    rest = {k: v for k, v in p.items() if k not in MUON}
    adamw(rest, g, s, lr, step, beta2=0.95, epsilon=epsilon, weight_decay=weight_decay,
          decay_on=decay_on)
    p.update(rest)
    for k in MUON:
        s[k] = momentum * s.get(k, 0.0) + (1 - momentum) * g[k]
        u = momentum * s[k] + (1 - momentum) * g[k] if nesterov else s[k]
        factor = 0.2 * np.sqrt(max(u.shape))
        p[k] = p[k] * (1 - lr * weight_decay) - lr * factor * newton_schulz(u, steps)


def with_l1(rule, l1, matrices_only=False):
    def follow(p, g, s, lr, step, **options):
        g = {k: v + (l1 * np.sign(p[k]) if p[k].ndim >= 2 or not matrices_only else 0.0)
             for k, v in g.items()}
        rule(p, g, s, lr, step, **options)
    return follow


def with_average(rule, decay):
    """Beside the weights, the mean of all so far with weights that fall by `decay` a step."""
    def follow(p, g, s, lr, step, **options):
        rule(p, g, s.setdefault("inner", {}), lr, step, **options)
        history = s.setdefault("history", [])
        history.append({k: v.copy() for k, v in p.items()})
        weights = decay ** np.arange(len(history))[::-1]
        s["average"] = {k: sum(w * h[k] for w, h in zip(weights, history)) / weights.sum()
                        for k in p}
    return follow


def cubic_minimum(a, fa, ga, b, fb, gb):
    """Nocedal & Wright, equation 3.59, between a < b; None when the cubic has no minimum."""
    d1 = ga + gb - 3 * (fa - fb) / (a - b)
    inner = d1**2 - ga * gb
    if inner < 0:
        return None
    d2 = np.sqrt(inner)
    return b - (b - a) * (gb + d2 - d1) / (gb - ga + 2 * d2)


def wolfe_search(phi, f0, g0, t, reach, c1=1e-4, c2=0.9, most=25, tolerance=1e-9):
    """A step with the strong Wolfe conditions: algorithms 3.5 and 3.6 with minFunc's safeguards.

    phi(t) is (f, slope, gradient). Returns t, f, gradient.
    """
    def cubic(p, q, low, high):
        p, q = sorted([p, q], key=lambda e: e[0])
        at = cubic_minimum(p[0], p[1], p[2], q[0], q[1], q[2])
        return (low + high) / 2 if at is None else min(max(at, low), high)

    start = (0.0, f0, g0, None)
    old, new, asked, found = start, (t, *phi(t)), 1, False
    while asked <= most:
        if new[1] > f0 + c1 * new[0] * g0 or (asked > 2 and new[1] >= old[1]) or (
                new[2] >= 0 and abs(new[2]) > -c2 * g0):
            found = True
            break
        if abs(new[2]) <= -c2 * g0:
            return new[0], new[1], new[3]
        t = cubic(old, new, new[0] + 0.01 * (new[0] - old[0]), 10 * new[0])
        old, new, asked = new, (t, *phi(t)), asked + 1
    low, high = sorted([old if found else start, new], key=lambda e: e[1])
    near_end = False
    while asked <= most and abs(high[0] - low[0]) * reach >= tolerance:
        left, right = sorted([low[0], high[0]])
        t, tenth = cubic(low, high, left, right), 0.1 * (right - left)
        if min(right - t, t - left) < tenth:
            if near_end or not left < t < right:
                t = right - tenth if abs(t - right) < abs(t - left) else left + tenth
                near_end = False
            else:
                near_end = True
        else:
            near_end = False
        new, asked = (t, *phi(t)), asked + 1
        if new[1] > f0 + c1 * t * g0 or new[1] >= low[1]:
            low, high = sorted([low, new], key=lambda e: e[1])
        else:
            if abs(new[2]) <= -c2 * g0:
                return new[0], new[1], new[3]
            if new[2] * (high[0] - low[0]) >= 0:
                high = low
            low = new
    return low[0], low[1], low[3]


def lbfgs(start, x, t, steps, history=10, rate=1.0, weight_decay=0.0):
    """The losses before each step, and where it ends: after `steps`, or at a minimum."""
    shapes = {k: v.shape for k, v in start.items()}

    def loss_at(vector):
        p, at = {}, 0
        for k, shape in shapes.items():
            p[k] = vector[at:at + int(np.prod(shape))].reshape(shape)
            at += p[k].size
        loss, g = loss_and_gradients(p, x, t)
        g = np.concatenate([g[k].ravel() for k in shapes])
        return loss + weight_decay / 2 * vector @ vector, g + weight_decay * vector, p

    w = np.concatenate([v.ravel() for v in start.values()])
    f, g, _ = loss_at(w)
    pairs, losses = [], []
    for step in range(steps):
        losses.append(float(f))
        if np.abs(g).max() <= 1e-7:
            break
        # The inverse Hessian as a matrix, by the product form of BFGS (equation 7.16).
        h = np.eye(w.size) * (pairs[-1][0] @ pairs[-1][1] / (pairs[-1][1] @ pairs[-1][1])
                              if pairs else 1.0)
        for s, y in pairs:
            v = np.eye(w.size) - np.outer(y, s) / (s @ y)
            h = v.T @ h @ v + np.outer(s, s) / (s @ y)
        d = -h @ g
        slope = g @ d
        if slope > -1e-9:
            break

        def phi(a):
            value, gradient, _ = loss_at(w + a * d)
            return value, gradient @ d, gradient

        first = rate * min(1.0, 1 / np.abs(g).sum()) if step == 0 else rate
        a, f_next, g_next = wolfe_search(phi, f, slope, first, np.abs(d).max())
        if (a * d) @ (g_next - g) > 1e-10:
            pairs = (pairs + [(a * d, g_next - g)])[-history:]
        moved, f, g, w = abs(f_next - f), f_next, g_next, w + a * d
        if a * np.abs(d).max() <= 1e-9 or moved < 1e-9:
            break
    return losses, loss_at(w)[2]


# Text, options, steps. With a decay the loss has a minimum, and the search ends there by itself before
# its hundred steps are over. Without one it creeps along a valley in which rounding errors in the
# last place grow tenfold every few steps: to 1e-9 after 40, to 0.1 after 100.
LBFGS_CASES = [
    ("lbfgs", {}, 30),
    ("lbfgs history=3", dict(history=3), 30),
    ("lbfgs weight_decay=0.05", dict(weight_decay=0.05), STEPS),
    ("lbfgs history=5 weight_decay=0.1", dict(history=5, weight_decay=0.1), STEPS),
    ("lbfgs history=3 weight_decay=0.1", dict(history=3, weight_decay=0.1), STEPS),
]

CASES = [
    ("sgd", sgd, {}, 0.1, 0, 0),
    ("sgd weight_decay=0.01", sgd, dict(weight_decay=0.01), 0.1, 0, 0),
    ("sgd momentum=0.9", sgd, dict(momentum=0.9), 0.05, 0, 0),
    ("sgd momentum=0.9 nesterov weight_decay=0.001", sgd,
     dict(momentum=0.9, nesterov=True, weight_decay=0.001), 0.05, 0, 0),
    ("sgd", sgd, {}, 0.5, 0.1, 0),
    ("sgd momentum=0.5", sgd, dict(momentum=0.5), 0.5, 0, 0.05),
    ("sgd", sgd, {}, 0.5, 0.1, 0.05),
    ("rmsprop", rmsprop, {}, 0.003, 0, 0),
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
    ("adamw weight_decay=0.1 decay_on=all", adamw, dict(weight_decay=0.1, decay_on="all"), 0.01, 0,
     0),
    ("adam amsgrad", adam, dict(amsgrad=True), 0.03, 0, 0),
    ("adamw beta2=0.9 amsgrad weight_decay=0.2 decay_on=all", adamw,
     dict(beta2=0.9, amsgrad=True, weight_decay=0.2, decay_on="all"), 0.03, 0, 0),
    ("nadam", nadam, {}, 0.01, 0, 0),
    ("nadam beta1=0.8 momentum_decay=0.1 weight_decay=0.01", nadam,
     dict(beta1=0.8, momentum_decay=0.1, weight_decay=0.01), 0.01, 0, 0),
    ("nadam decoupled weight_decay=0.1", nadam, dict(decoupled=True, weight_decay=0.1), 0.01, 0, 0),
    ("adagrad", adagrad, {}, 0.1, 0, 0),
    ("adagrad epsilon=0.001 weight_decay=0.01", adagrad, dict(epsilon=1e-3, weight_decay=0.01), 0.1,
     0, 0),
    ("adadelta", adadelta, {}, 1.0, 0, 0),
    ("adadelta rho=0.95 weight_decay=0.01", adadelta, dict(rho=0.95, weight_decay=0.01), 3.0, 0, 0),
    ("lion", lion, {}, 0.003, 0, 0),
    ("lion beta1=0.95 beta2=0.98 weight_decay=1 decay_on=all", lion,
     dict(beta1=0.95, beta2=0.98, weight_decay=1.0, decay_on="all"), 0.003, 0, 0),
    ("muon", muon, {}, 0.01, 0, 0),
    ("muon momentum=0.8 nesterov=false steps=3 weight_decay=0", muon,
     dict(momentum=0.8, nesterov=False, steps=3, weight_decay=0.0), 0.02, 0, 0),
    ("sgd l1=0.01", with_l1(sgd, 0.01), {}, 0.1, 0, 0),
    ("adamw l1=0.01", with_l1(adamw, 0.01, True), {}, 0.01, 0, 0),
    ("sgd momentum=0.9 ema=0.9", with_average(sgd, 0.9), dict(momentum=0.9), 0.05, 0, 0),
    ("adamw ema=0.99", with_average(adamw, 0.99), {}, 0.01, 0, 0),
]


def torch_optimizer(rule, options, parameters, lr):
    """The optimiser of torch that is to do the same, or None."""
    import torch.optim as optim
    o = dict(options)
    decay = {"weight_decay": o.get("weight_decay", {adamw: 0.01, muon: 0.1}.get(rule, 0.0))}
    if o.get("decay_on", "all") != "all":
        return None
    if rule in (adam, adamw, muon) and rule is not adam and "decay_on" not in o:
        # torch has no default of its own for biases: two groups say the same.
        matrices = [p for p in parameters if p.ndim >= 2]
        vectors = [p for p in parameters if p.ndim < 2]
        groups = [{"params": matrices, **decay}, {"params": vectors, "weight_decay": 0.0}]
    else:
        groups = [{"params": parameters, **decay}]
    betas = {"betas": (o.get("beta1", 0.9), o.get("beta2", 0.999))}
    if rule is sgd:
        return [optim.SGD(groups, lr, o.get("momentum", 0), nesterov=o.get("nesterov", False))]
    if rule is rmsprop:
        return [optim.RMSprop(groups, lr, o.get("decay", 0.99), o.get("epsilon", 1e-8),
                              momentum=o.get("momentum", 0), centered=o.get("centered", False))]
    if rule is adam:
        return [optim.Adam(groups, lr, amsgrad=o.get("amsgrad", False), **betas)]
    if rule is adamw:
        return [optim.AdamW(groups, lr, amsgrad=o.get("amsgrad", False), **betas)]
    if rule is nadam:
        return [optim.NAdam(groups, lr, momentum_decay=o.get("momentum_decay", 0.004),
                            decoupled_weight_decay=o.get("decoupled", False), **betas)]
    if rule is adagrad:
        return [optim.Adagrad(groups, lr, eps=o.get("epsilon", 1e-10))]
    if rule is adadelta:
        return [optim.Adadelta(groups, lr, o.get("rho", 0.9))]
    if rule is muon:
        w1, b1, w2, b2 = parameters
        rest = [{"params": [w2], **decay}, {"params": [b1, b2], "weight_decay": 0.0}]
        return [optim.Muon([{"params": [w1], **decay}], lr, momentum=o.get("momentum", 0.95),
                           nesterov=o.get("nesterov", True), ns_steps=o.get("steps", 5),
                           adjust_lr_fn="match_rms_adamw"),
                optim.AdamW(rest, lr, betas=(0.9, 0.95), eps=1e-10)]
    return None


def compare_with_torch(x, t, start):
    import torch
    torch.Tensor.bfloat16 = lambda self: self.clone()  # Muon iterates in half precision otherwise
    x, t = torch.tensor(x), torch.tensor(t)
    for text, rule, options, lr, norm, value in CASES:
        p = {k: torch.tensor(v, requires_grad=True) for k, v in start.items()}
        optimizers = torch_optimizer(rule, options, list(p.values()), lr)
        if optimizers is None:
            print(f"{text:60} not in torch")
            continue
        q, s = {k: v.copy() for k, v in start.items()}, {}
        for step in range(1, STEPS + 1):
            loss = (((x @ p["w1"] + p["b1"]).tanh() @ p["w2"] + p["b2"] - t) ** 2).mean()
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss.backward()
            if value:
                torch.nn.utils.clip_grad_value_(p.values(), value)
            if norm:
                torch.nn.utils.clip_grad_norm_(p.values(), norm)
            for optimizer in optimizers:
                optimizer.step()
            _, g = loss_and_gradients(q, x.numpy(), t.numpy())
            rule(q, clip(g, norm, value), s, lr, step, **options)
        worst = max(np.abs(p[k].detach().numpy() - q[k]).max() for k in p)
        print(f"{text:60} {worst:.1e}")
    for text, options, steps in LBFGS_CASES:
        p = {k: torch.tensor(v, requires_grad=True) for k, v in start.items()}
        optimizer = torch.optim.LBFGS(p.values(), 1.0, max_iter=steps,
                                      max_eval=10 * STEPS, history_size=options.get("history", 10),
                                      line_search_fn="strong_wolfe")

        def closure():
            optimizer.zero_grad()
            loss = (((x @ p["w1"] + p["b1"]).tanh() @ p["w2"] + p["b2"] - t) ** 2).mean()
            loss = loss + options.get("weight_decay", 0) / 2 * sum((v**2).sum() for v in p.values())
            loss.backward()
            return loss

        optimizer.step(closure)
        losses, q = lbfgs(start, x.numpy(), t.numpy(), steps, **options)
        worst = max(np.abs(p[k].detach().numpy() - q[k]).max() for k in p)
        print(f"{text:60} {worst:.1e} after {len(losses)} steps, loss {losses[-1]:.6f}")


def numbers(array):
    return [float(v) for v in np.asarray(array).ravel()]


def main():
    random = np.random.RandomState(7)
    x = random.randn(8, 3)
    t = random.randn(8, 2)
    start = {"w1": random.randn(3, 4) * 0.5, "b1": random.randn(4) * 0.1,
             "w2": random.randn(4, 2) * 0.5, "b2": random.randn(2) * 0.1}
    if "--torch" in sys.argv:
        return compare_with_torch(x, t, start)
    cases = []
    for text, rule, options, lr, norm, value in CASES:
        p, s, losses = {k: v.copy() for k, v in start.items()}, {}, []
        for step in range(1, STEPS + 1):
            loss, g = loss_and_gradients(p, x, t)
            losses.append(float(loss))
            rule(p, clip(g, norm, value), s, lr, step, **options)
        case = {"optimizer": text, "lr": lr, "clip_norm": norm, "clip_value": value,
                "losses": losses[:: 11], "end": {k: numbers(v) for k, v in p.items()}}
        if "average" in s:
            case["average"] = {k: numbers(v) for k, v in s["average"].items()}
        cases.append(case)
    full_batch = []
    for text, options, steps in LBFGS_CASES:
        losses, p = lbfgs(start, x, t, steps, **options)
        full_batch.append({"optimizer": text, "losses": losses, "converges": len(losses) < steps,
                           "end": {k: numbers(v) for k, v in p.items()}})
    golden = {"x": numbers(x), "t": numbers(t), "start": {k: numbers(v) for k, v in start.items()},
              "steps": STEPS, "loss_every": 11, "cases": cases, "full_batch": full_batch}
    path = pathlib.Path(__file__).with_name("golden.json")
    path.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
