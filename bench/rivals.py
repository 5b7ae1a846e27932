"""One training step in the frameworks that chainrule is measured against, each in its best form.

compare.py starts this file as a worker, one process for each mode, and talks to it in lines of JSON:
the worker answers first with its losses, then to each {"seconds": S} with the time of a step, and ends
when its input does. It rests between the questions.
"""

import json
import os
import sys
import time

# A chunk of steps between two looks at the clock lasts at least this long.
CHUNK_SECONDS = 0.002


class NumpyStep:
    """Forward and backward written by hand, every result in an array that is made once."""

    def __init__(self, workload, params, x, t, options):
        import numpy as np

        from workloads import ADAM
        self.np, self.adam, self.workload = np, ADAM, workload
        self.params = [p.copy() for p in params]
        self.batches = [(x[i], t[i]) for i in range(len(x))]
        rows = np.arange(x.shape[1])
        self.rows = rows
        widths = [w.shape[1] for w in params[0::2]]
        self.outputs = [np.empty((len(rows), n), np.float32) for n in widths]
        self.errors = [np.empty((len(rows), n), np.float32) for n in widths]
        self.grads = [np.empty_like(p) for p in params]
        self.scratch = [np.empty_like(p) for p in params]
        self.moments = [(np.zeros_like(p), np.zeros_like(p)) for p in params]
        self.count = 0

    def steps(self, first, n):
        for i in range(first, first + n):
            loss = self.step(*self.batches[i % len(self.batches)])
        return loss

    def step(self, x, t):
        np, outputs, errors = self.np, self.outputs, self.errors
        weights, biases = self.params[0::2], self.params[1::2]
        inputs = [x, *outputs[:-1]]
        last = len(weights) - 1
        for layer, (w, b) in enumerate(zip(weights, biases)):
            y = np.matmul(inputs[layer], w, out=outputs[layer])
            y += b
            if layer < last:
                np.maximum(y, 0, out=y)
        p, dy = outputs[last], errors[last]
        p -= p.max(axis=1, keepdims=True)
        np.exp(p, out=dy)
        total = dy.sum(axis=1, keepdims=True)
        loss = float((np.log(total[:, 0]) - p[self.rows, t]).mean())
        dy /= total
        dy[self.rows, t] -= 1
        dy /= len(t)
        for layer in range(last, -1, -1):
            dy = errors[layer]
            np.matmul(inputs[layer].T, dy, out=self.grads[2 * layer])
            dy.sum(axis=0, out=self.grads[2 * layer + 1])
            if layer > 0:
                dx = np.matmul(dy, weights[layer].T, out=errors[layer - 1])
                dx *= inputs[layer] > 0
        self.update()
        return loss

    def update(self):
        np, lr = self.np, self.workload["lr"]
        if self.workload["optimizer"] == "sgd":
            for p, g in zip(self.params, self.grads):
                g *= lr
                p -= g
            return
        self.count += 1
        b1, b2, epsilon = self.adam["beta1"], self.adam["beta2"], self.adam["epsilon"]
        rate = lr / (1 - b1**self.count)
        scale = (1 - b2**self.count) ** -0.5
        for p, g, (m, v), s in zip(self.params, self.grads, self.moments, self.scratch):
            m *= b1
            np.multiply(g, 1 - b1, out=s)
            m += s
            v *= b2
            g *= g
            g *= 1 - b2
            v += g
            np.sqrt(v, out=s)
            s *= scale
            s += epsilon
            np.divide(m, s, out=s)
            s *= rate
            p -= s


class JaxStep:
    """jit of one whole step, or of a scan over many, with the old weights' memory given away."""

    def __init__(self, workload, params, x, t, options):
        import jax
        import jax.numpy as jnp

        from workloads import ADAM
        lr, b1, b2, epsilon = workload["lr"], ADAM["beta1"], ADAM["beta2"], ADAM["epsilon"]

        def loss_of(params, x, t):
            for layer in range(0, len(params), 2):
                x = x @ params[layer] + params[layer + 1]
                if layer + 2 < len(params):
                    x = jax.nn.relu(x)
            return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(x), t[:, None], axis=1))

        def step(state, batch):
            params, m, v, count = state
            loss, grads = jax.value_and_grad(loss_of)(params, *batch)
            each = jax.tree_util.tree_map
            if workload["optimizer"] == "sgd":
                return (each(lambda p, g: p - lr * g, params, grads), m, v, count), loss
            count = count + 1
            m = each(lambda m, g: b1 * m + (1 - b1) * g, m, grads)
            v = each(lambda v, g: b2 * v + (1 - b2) * g * g, v, grads)
            rate, scale = lr / (1 - b1**count), jax.lax.rsqrt(1 - b2**count)
            params = each(lambda p, m, v: p - rate * m / (jnp.sqrt(v) * scale + epsilon), params, m, v)
            return (params, m, v, count), loss

        zeros = [jnp.zeros(p.shape) for p in params] if workload["optimizer"] == "adam" else []
        copies = [jnp.zeros(p.shape) for p in params] if workload["optimizer"] == "adam" else []
        self.state = ([jnp.asarray(p) for p in params], zeros, copies, jnp.zeros(()))
        self.jax = jax
        self.scan = options.get("scan", 0)
        if self.scan:
            self.data = (jnp.asarray(x), jnp.asarray(t))

            def many(state, data, first):
                def one(state, i):
                    return step(state, (data[0][i % len(x)], data[1][i % len(x)]))
                state, losses = jax.lax.scan(one, state, first + jnp.arange(self.scan))
                return state, losses[-1]
            self.many = jax.jit(many, donate_argnums=0)
        self.one = jax.jit(step, donate_argnums=0)
        self.batches = [(jnp.asarray(x[i]), jnp.asarray(t[i])) for i in range(len(x))]

    def steps(self, first, n):
        if self.scan and n % self.scan == 0:
            for i in range(first, first + n, self.scan):
                self.state, loss = self.many(self.state, self.data, i)
        else:
            for i in range(first, first + n):
                self.state, loss = self.one(self.state, self.batches[i % len(self.batches)])
        self.jax.block_until_ready((self.state, loss))
        return loss


class TorchStep:
    """Eager or compiled, with the optimiser's class or its update called directly."""

    def __init__(self, workload, params, x, t, options):
        import torch

        from workloads import ADAM
        torch.set_num_threads(options["threads"])
        # Numbers too small to matter must not slow a long run down.
        torch.set_flush_denormal(True)
        self.torch = torch
        if options.get("compile"):
            import torch._inductor.config as inductor
            inductor.cpp_wrapper = options.get("cpp_wrapper", False)
        # (out, in) is PyTorch's own layout, (in, out) that of the formula x·W + b.
        self.transposed = options.get("layout") != "in_out"
        self.params = [torch.from_numpy((p.T if self.transposed else p).copy()).requires_grad_()
                       for p in params]
        self.batches = [(torch.from_numpy(x[i]), torch.from_numpy(t[i]).long())
                        for i in range(len(x))]
        self.lr, self.adam = workload["lr"], ADAM
        self.kind = workload["optimizer"]
        self.step = getattr(self, "make_" + options["step"])(options)

    def loss_of(self, params, x, t):
        functional = self.torch.nn.functional
        for layer in range(0, len(params), 2):
            w, b = params[layer : layer + 2]
            x = functional.linear(x, w, b) if self.transposed else self.torch.addmm(b, x, w)
            if layer + 2 < len(params):
                x = functional.relu(x)
        return functional.cross_entropy(x, t)

    def compiled(self, function, options):
        if not options.get("compile"):
            return function
        return self.torch.compile(function, fullgraph=True, mode=options["compile"])

    def make_class(self, options):
        """loss.backward(), optimizer.step(), zero_grad(), as in every tutorial."""
        optim = self.torch.optim
        chosen = {name: True for name in ("foreach", "fused") if options.get("update") == name}
        if self.kind == "sgd":
            optimizer = optim.SGD(self.params, lr=self.lr, **chosen)
        else:
            optimizer = optim.Adam(self.params, lr=self.lr,
                                   betas=(self.adam["beta1"], self.adam["beta2"]),
                                   eps=self.adam["epsilon"], **chosen)
        loss_of = self.compiled(self.loss_of, options)

        def step(x, t):
            loss = loss_of(self.params, x, t)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            return loss
        return step

    def make_direct(self, options):
        """The gradients from autograd.grad, then the update called directly."""
        torch, params = self.torch, self.params
        loss_of, update = self.compiled(self.loss_of, options), self.direct_update(params)

        def step(x, t):
            loss = loss_of(params, x, t)
            grads = torch.autograd.grad(loss, params)
            with torch.no_grad():
                update(grads)
            return loss
        return step

    def make_gradient(self, options):
        """Loss and gradients as one function, then the update called directly."""
        torch, params = self.torch, [p.detach() for p in self.params]
        gradient = self.compiled(torch.func.grad_and_value(self.loss_of), options)
        update = self.direct_update(params)

        def step(x, t):
            with torch.no_grad():
                grads, loss = gradient(params, x, t)
                update(grads)
            return loss
        return step

    def direct_update(self, params):
        """The foreach or fused update without an optimiser's class around it."""
        torch, lr, adam = self.torch, self.lr, self.adam
        if self.kind == "sgd":
            return lambda grads: torch._foreach_add_(params, grads, alpha=-lr)
        m = [torch.zeros_like(p) for p in params]
        v = [torch.zeros_like(p) for p in params]
        counts = [torch.zeros(()) for _ in params]

        def update(grads):
            torch._foreach_add_(counts, 1)
            torch._fused_adam_(params, grads, m, v, [], counts, amsgrad=False, lr=lr,
                               beta1=adam["beta1"], beta2=adam["beta2"], weight_decay=0.0,
                               eps=adam["epsilon"], maximize=False)
        return update

    def make_whole(self, options):
        """The whole step, the gradient and the update with it, compiled as one function."""
        torch, lr = self.torch, self.lr
        b1, b2, epsilon = self.adam["beta1"], self.adam["beta2"], self.adam["epsilon"]
        params = [p.detach() for p in self.params]
        m = [torch.zeros_like(p) for p in params]
        v = [torch.zeros_like(p) for p in params]
        count = torch.zeros(())
        gradient = torch.func.grad_and_value(self.loss_of)

        def whole(params, m, v, count, x, t):
            grads, loss = gradient(params, x, t)
            if self.kind == "sgd":
                for p, g in zip(params, grads):
                    p.sub_(g, alpha=lr)
                return loss
            count.add_(1)
            rate, scale = lr / (1 - b1**count), (1 - b2**count).rsqrt()
            for p, g, m_, v_ in zip(params, grads, m, v):
                m_.lerp_(g, 1 - b1)
                v_.mul_(b2).addcmul_(g, g, value=1 - b2)
                p.sub_(rate * m_ / (v_.sqrt() * scale + epsilon))
            return loss

        function = self.compiled(whole, options)
        def step(x, t):
            with torch.no_grad():
                return function(params, m, v, count, x, t)
        return step

    def trust_guards(self):
        """Nothing that a compiled step checks before it runs changes after the first few steps."""
        self.torch.compiler.set_stance("default", skip_guard_eval_unsafe=True)

    def steps(self, first, n):
        step, batches = self.step, self.batches
        for i in range(first, first + n):
            loss = step(*batches[i % len(batches)])
        return loss


STEPS = {"NumPy": NumpyStep, "JAX": JaxStep, "PyTorch": TorchStep}


def make_step(rival, workload, dump, options):
    from workloads import load_safetensors, load_start
    if workload["model"] == "char-lstm":
        from rivals_sequences import TorchLstmStep
        return TorchLstmStep(workload, load_safetensors(dump), options)
    if workload["model"] == "gpt":
        from rivals_sequences import TorchGptStep
        return TorchGptStep(workload, load_safetensors(dump), options)
    if workload["model"] in ("lenet", "resnet20"):
        from rivals_images import TorchImageStep
        return TorchImageStep(workload, load_safetensors(dump), options)
    return STEPS[rival](workload, *load_start(dump), options)


def peak_rss_mb():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))


def run(step, first, seconds, multiple):
    """Runs for about `seconds`; returns the figures and the number of the next step."""
    clock = time.perf_counter
    n = multiple
    while True:  # how many steps make a chunk
        begin = clock()
        step.steps(first, n)
        first += n
        if clock() - begin >= CHUNK_SECONDS:
            break
        n *= 2
    times, end = [], clock() + seconds
    while clock() < end or len(times) < 3:
        begin = clock()
        step.steps(first, n)
        times.append((clock() - begin) / n * 1e6)
        first += n
    times.sort()
    quantile = lambda q: times[min(int(q * len(times)), len(times) - 1)]
    return {"median_us": quantile(0.5), "p10_us": quantile(0.1), "p90_us": quantile(0.9),
            "steps": n * len(times), "peak_rss_mb": peak_rss_mb()}, first


def main():
    started, rival, workload, dump, options, verify = (json.loads(text) for text in sys.argv[1:])
    # What a library prints belongs on stderr; the answers go where stdout went.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    if options.get("cores"):
        os.sched_setaffinity(0, options["cores"])
    step = make_step(rival, workload, dump, options)
    losses = [float(step.steps(0, 1))]
    first_step_ms = (time.monotonic() - started) * 1e3
    losses += [float(step.steps(i, 1)) for i in range(1, verify)]
    if options.get("compile"):
        step.trust_guards()
    first = verify
    multiple = options.get("scan") or 1
    first += -first % multiple
    _, first = run(step, first, 0.2, multiple)  # warm up
    print(json.dumps({"losses": losses, "first_step_ms": first_step_ms}), file=answers, flush=True)
    for line in sys.stdin:
        figures, first = run(step, first, json.loads(line)["seconds"], multiple)
        print(json.dumps(figures), file=answers, flush=True)


if __name__ == "__main__":
    main()
