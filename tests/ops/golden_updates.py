"""The part of make_golden.py that is about parameter updates, from the formulas in ops.h."""

from mpmath import mp, mpf

UPDATE = dict(absolute=1e-15, float32=2e-6, why="a sum of terms of both signs")


def updates(case, uniform, reals, exact, mapped):
    shape = (2, 5)

    def fresh(low=-1, high=1):
        return uniform(shape, low, high)

    lr, step = reals(0.125), reals(3)
    for momentum, nesterov, decay in [(0, 0, 0), (0, 0, 0.1), (0.9, 0, 0), (0.9, 1, 0), (0.9, 1, 0.1),
                                      (0.5, 0, 0.1)]:
        w, v, g = fresh(), fresh(), fresh()
        arguments = {"momentum": momentum, "nesterov": nesterov, "weight_decay": decay}
        d = exact(g) + mpf(decay) * exact(w)
        if momentum == 0:
            case("sgd_update", [w, g, lr], exact(w) - mpf(0.125) * d, arguments, **UPDATE)
            continue
        next_v = mpf(momentum) * exact(v) + d
        direction = d + mpf(momentum) * next_v if nesterov else next_v
        case("sgd_update", [w, v, g, lr], [exact(w) - mpf(0.125) * direction, next_v], arguments, **UPDATE)

    for rho, epsilon, centered, momentum, decay in [(None, None, 0, 0, 0), (0.9, 1e-6, 1, 0, 0),
                                                    (0.9, 1e-6, 0, 0.9, 0), (0.95, 0.01, 1, 0.9, 0.1)]:
        w, g, s, a, v = fresh(), fresh(), fresh(0.2, 1), fresh(-0.3, 0.3), fresh()
        arguments = {"centered": centered, "momentum": momentum, "weight_decay": decay}
        if rho is not None:
            arguments |= {"decay": rho, "epsilon": epsilon}
        r, e = mpf(rho or 0.99), mpf(epsilon or 1e-8)
        d = exact(g) + mpf(decay) * exact(w)
        next_s = r * exact(s) + (1 - r) * d**2
        inputs, states = [w, s], [next_s]
        spread = next_s
        if centered:
            next_a = r * exact(a) + (1 - r) * d
            spread = next_s - next_a**2
            inputs.append(a)
            states.append(next_a)
        u = d / (mapped(mp.sqrt, spread) + e)
        if momentum:
            u = mpf(momentum) * exact(v) + u
            inputs.append(v)
            states.append(u)
        case("rmsprop_update", [*inputs, g, lr], [exact(w) - mpf(0.125) * u, *states], arguments, **UPDATE)

    for arguments in [{}, {"weight_decay": 0.1}, {"weight_decay": 0.1, "decoupled": 1}, {"decoupled": 1},
                      {"beta1": 0.8, "beta2": 0.99, "epsilon": 0.001}]:
        for t in [1, 3, 1000]:
            w, m, v, g = fresh(), fresh(), fresh(0.1, 1), fresh()
            b1, b2 = mpf(arguments.get("beta1", 0.9)), mpf(arguments.get("beta2", 0.999))
            decay, decoupled = mpf(arguments.get("weight_decay", 0)), arguments.get("decoupled", 0)
            d = exact(g) if decoupled else exact(g) + decay * exact(w)
            next_m = b1 * exact(m) + (1 - b1) * d
            next_v = b2 * exact(v) + (1 - b2) * d**2
            u = (next_m / (1 - b1**t)) / (mapped(mp.sqrt, next_v / (1 - b2**t))
                                          + mpf(arguments.get("epsilon", 1e-8)))
            kept = exact(w) * (1 - mpf(0.125) * decay) if decoupled else exact(w)
            case("adam_update", [w, m, v, g, lr, reals(t)], [kept - mpf(0.125) * u, next_m, next_v],
                 arguments, **UPDATE)
    later_updates(case, uniform, reals, exact, mapped, fresh, lr)


def later_updates(case, uniform, reals, exact, mapped, fresh, lr):
    rate, root = mpf(0.125), lambda a: mapped(mp.sqrt, a)

    for decoupled in [0, 1]:
        w, m, v, largest, g = fresh(), fresh(), fresh(0.1, 1), fresh(0.1, 1), fresh()
        b1, b2, decay = mpf(0.9), mpf(0.999), mpf(0.1)
        d = exact(g) if decoupled else exact(g) + decay * exact(w)
        kept = exact(w) * (1 - rate * decay) if decoupled else exact(w)
        next_m, next_v = b1 * exact(m) + (1 - b1) * d, b2 * exact(v) + (1 - b2) * d**2
        most = mapped(max, exact(largest), next_v)
        u = (next_m / (1 - b1**3)) / (root(most / (1 - b2**3)) + mpf(1e-8))
        case("amsgrad_update", [w, m, v, largest, g, lr, reals(3)],
             [kept - rate * u, next_m, next_v, most], {"weight_decay": 0.1, "decoupled": decoupled},
             **UPDATE)

        w, m, v, g, c = fresh(), fresh(), fresh(0.1, 1), fresh(), mpf(float(reals(0.8)))
        d = exact(g) if decoupled else exact(g) + decay * exact(w)
        kept = exact(w) * (1 - rate * decay) if decoupled else exact(w)
        now, following = [b1 * (1 - mpf(0.96)**(mpf(t) * mpf(0.004)) / 2) for t in (3, 4)]
        next_m, next_v = b1 * exact(m) + (1 - b1) * d, b2 * exact(v) + (1 - b2) * d**2
        u = (1 - now) * d / c + following * next_m / (1 - (1 - c) * following)
        case("nadam_update", [w, m, v, g, lr, reals(3), reals(0.8)],
             [kept - rate * u / (root(next_v / (1 - b2**3)) + mpf(1e-8)), next_m, next_v],
             {"weight_decay": 0.1, "decoupled": decoupled}, **UPDATE)
    case("nadam_correction", [reals(0.75), reals(3)], 1 - (1 - mpf(0.75)) * now, {}, **UPDATE)

    for decay in [0, 0.1]:
        w, s, g = fresh(), fresh(0.1, 1), fresh()
        d = exact(g) + mpf(decay) * exact(w)
        next_s = exact(s) + d**2
        case("adagrad_update", [w, s, g, lr],
             [exact(w) - rate * d / (root(next_s) + mpf(1e-10)), next_s], {"weight_decay": decay},
             **UPDATE)

        w, s, change, g = fresh(), fresh(0.1, 1), fresh(0.1, 1), fresh()
        d, rho, epsilon = exact(g) + mpf(decay) * exact(w), mpf(0.9), mpf(1e-6)
        next_s = rho * exact(s) + (1 - rho) * d**2
        u = root(exact(change) + epsilon) / root(next_s + epsilon) * d
        case("adadelta_update", [w, s, change, g, lr],
             [exact(w) - rate * u, next_s, rho * exact(change) + (1 - rho) * u**2],
             {"weight_decay": decay}, **UPDATE)

        w, m, g = fresh(), fresh(), fresh()
        direction = mapped(mp.sign, mpf(0.9) * exact(m) + (1 - mpf(0.9)) * exact(g))
        case("lion_update", [w, m, g, lr],
             [exact(w) - rate * (direction + mpf(decay) * exact(w)),
              mpf(0.99) * exact(m) + (1 - mpf(0.99)) * exact(g)], {"weight_decay": decay}, **UPDATE)

    for nesterov, shape in [(1, (2, 5)), (0, (4, 3))]:
        w, m, g = uniform(shape), uniform(shape), uniform(shape)
        mu = mpf(0.95)
        next_m = mu * exact(m) + (1 - mu) * exact(g)
        x = (1 - mu) * exact(g) + mu * next_m if nesterov else next_m
        tall = shape[0] > shape[1]
        x = x.T if tall else x
        x = x / mp.sqrt((x**2).sum())
        for _ in range(5):
            a = x.dot(x.T)
            x = mpf(3.4445) * x + (mpf(-4.7750) * a + mpf(2.0315) * a.dot(a)).dot(x)
        x = x.T if tall else x
        factor = mpf(0.2) * mp.sqrt(max(shape))
        case("muon_update", [w, m, g, lr], [exact(w) - rate * (factor * x + mpf(0.1) * exact(w)), next_m],
             {"nesterov": nesterov, "weight_decay": 0.1}, absolute=1e-14, float32=2e-5,
             why="fifteen products, one after the other")

    for t in [1, 3, 1000]:
        average, w, beta = fresh(), fresh(), mpf(0.9)
        share = (1 - beta) / (1 - beta**t)
        case("weight_average_update", [average, w, reals(t)],
             exact(average) + share * (exact(w) - exact(average)), {"decay": 0.9}, **UPDATE)
