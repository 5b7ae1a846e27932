"""The workloads on sequences in PyTorch: its own modules and functions, trained as its tutorials do.

rivals.py makes a step of this file where the workload's model is "char-lstm" or "gpt".
"""


class TorchLstmStep:
    """Embedding, nn.LSTM, linear; cross-entropy of every step, gradients clipped by their norm."""

    def __init__(self, workload, tensors, options):
        import torch

        from workloads import ADAM
        torch.set_num_threads(options["threads"])
        torch.set_flush_denormal(True)
        self.torch, self.clip = torch, workload["clip"]
        self.time_first = options.get("layout") == "time_first"
        self.model = self.make_model(torch.nn, tensors)
        x, t = (torch.from_numpy(tensors[name]).long() for name in "xt")
        if self.time_first:
            x, t = x.transpose(1, 2).contiguous(), t.transpose(1, 2).contiguous()
        self.batches = list(zip(x, t))
        chosen = {name: True for name in ("foreach", "fused") if options.get("update") == name}
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=workload["lr"],
                                          betas=(ADAM["beta1"], ADAM["beta2"]), eps=ADAM["epsilon"],
                                          **chosen)
        self.loss = self.loss_of
        if options.get("compile"):
            self.loss = torch.compile(self.loss_of, mode=options["compile"])

    def make_model(self, nn, tensors):
        embedding = nn.Embedding(*tensors["w1"].shape)
        units = tensors["w3"].shape[0]
        lstm = nn.LSTM(tensors["w2"].shape[0], units, batch_first=not self.time_first)
        linear = nn.Linear(units, tensors["w4"].shape[1])
        # PyTorch's second bias starts at zero here; the two are one of ours.
        start = {embedding.weight: tensors["w1"], lstm.weight_ih_l0: tensors["w2"].T,
                 lstm.weight_hh_l0: tensors["w3"].T, lstm.bias_ih_l0: tensors["b3"],
                 linear.weight: tensors["w4"].T, linear.bias: tensors["b4"]}
        with self.torch.no_grad():
            for parameter, value in start.items():
                parameter.copy_(self.torch.from_numpy(value.copy()))
            lstm.bias_hh_l0.zero_()
        lstm.bias_hh_l0.requires_grad_(False)  # else the bias would move twice as fast
        return nn.ModuleList([embedding, lstm, linear])

    def loss_of(self, x, t):
        embedding, lstm, linear = self.model
        y, _ = lstm(embedding(x))
        return self.torch.nn.functional.cross_entropy(linear(y).flatten(0, 1), t.flatten())

    def trust_guards(self):
        self.torch.compiler.set_stance("default", skip_guard_eval_unsafe=True)

    def steps(self, first, n):
        for i in range(first, first + n):
            loss = self.loss(*self.batches[i % len(self.batches)])
            loss.backward()
            self.torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        return loss


class TorchGptStep:
    """Embeddings, blocks of F.scaled_dot_product_attention and a perceptron, norm, linear; AdamW.

    Queries, keys and values are one product, as nanoGPT has it.
    """

    def __init__(self, workload, tensors, options):
        import torch

        from workloads import ADAM
        torch.set_num_threads(options["threads"])
        torch.set_flush_denormal(True)
        self.torch, self.heads = torch, workload["heads"]
        self.p = {name: torch.from_numpy(value.copy()).requires_grad_()
                  for name, value in self.weights(tensors).items()}
        x, t = (torch.from_numpy(tensors[name]).long() for name in "xt")
        self.batches = list(zip(x, t))
        groups = [{"params": [p for p in self.p.values() if p.dim() > 1],
                   "weight_decay": workload["decay"]},
                  {"params": [p for p in self.p.values() if p.dim() == 1], "weight_decay": 0.0}]
        chosen = {name: True for name in ("foreach", "fused") if options.get("update") == name}
        self.optimizer = torch.optim.AdamW(groups, lr=workload["lr"],
                                           betas=(ADAM["beta1"], ADAM["beta2"]),
                                           eps=ADAM["epsilon"], **chosen)
        self.loss = self.loss_of
        if options.get("compile"):
            self.loss = torch.compile(self.loss_of, mode=options["compile"])

    def weights(self, tensors):
        """The network's weights, (out, in) as PyTorch keeps them."""
        import numpy as np
        self.blocks = len({name.split(".")[1] for name in tensors if name.startswith("3.")})
        kept = {"embedding": tensors["1.weight"], "positions": tensors["2.weight"],
                "norm.gamma": tensors["4.gamma"], "norm.beta": tensors["4.beta"],
                "scores": tensors["5.weight"].T}
        for block in range(self.blocks):
            of = f"3.{block + 1}."
            for norm, part in (("first", "1.1"), ("second", "2.1")):
                for name in ("gamma", "beta"):
                    kept[f"{block}.{norm}.{name}"] = tensors[f"{of}{part}.{name}"]
            three = [tensors[f"{of}1.2.{name}.weight"].T for name in ("query", "key", "value")]
            kept[f"{block}.read"] = np.concatenate(three)
            kept[f"{block}.output"] = tensors[f"{of}1.2.output.weight"].T
            kept[f"{block}.up"] = tensors[f"{of}2.2.weight"].T
            kept[f"{block}.down"] = tensors[f"{of}2.4.weight"].T
        return kept

    def norm(self, x, name):
        return self.torch.nn.functional.layer_norm(
            x, x.shape[-1:], self.p[name + ".gamma"], self.p[name + ".beta"], 1e-5)

    def loss_of(self, x, t):
        functional, p = self.torch.nn.functional, self.p
        batch, steps = x.shape
        y = functional.embedding(x, p["embedding"]) + p["positions"]
        width = y.shape[2]
        for block in range(self.blocks):
            parts = functional.linear(self.norm(y, f"{block}.first"), p[f"{block}.read"])
            q, k, v = (part.view(batch, steps, self.heads, -1).transpose(1, 2)
                       for part in parts.split(width, dim=2))
            read = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            read = read.transpose(1, 2).reshape(batch, steps, width)
            y = y + functional.linear(read, p[f"{block}.output"])
            up = functional.linear(self.norm(y, f"{block}.second"), p[f"{block}.up"])
            y = y + functional.linear(functional.gelu(up), p[f"{block}.down"])
        scores = functional.linear(self.norm(y, "norm"), p["scores"])
        return functional.cross_entropy(scores.flatten(0, 1), t.flatten())

    def trust_guards(self):
        self.torch.compiler.set_stance("default", skip_guard_eval_unsafe=True)

    def steps(self, first, n):
        for i in range(first, first + n):
            loss = self.loss(*self.batches[i % len(self.batches)])
            loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        return loss
