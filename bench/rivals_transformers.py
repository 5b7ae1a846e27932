"""The language models in GPT-2's form in PyTorch: its own modules, trained as its tutorials do.

rivals.py makes a step of this file where the workload's model is "gpt".
"""

import numpy as np

from rivals_modules import TorchModuleStep, prepared_torch


def gpt(torch, tensors, heads):
    nn, functional = torch.nn, torch.nn.functional

    class Block(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.attention = nn.Linear(width, 3 * width)  # query, key and value in one product
            self.project = nn.Linear(width, width)
            self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x):
            batch, steps, width = x.shape
            parts = self.attention(self.norm1(x)).split(width, dim=2)
            q, k, v = (part.view(batch, steps, heads, width // heads).transpose(1, 2) for part in parts)
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.project(y.transpose(1, 2).reshape(batch, steps, width))
            return x + self.narrow(functional.gelu(self.widen(self.norm2(x))))

    class Gpt(nn.Module):
        def __init__(self):
            super().__init__()
            (vocabulary, width), steps = tensors["tokens"].shape, tensors["places"].shape[0]
            layers = sum(name.endswith("norm1.g") for name in tensors)
            self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(steps, width)
            self.blocks = nn.ModuleList(Block(width) for _ in range(layers))
            self.norm, self.scores = nn.LayerNorm(width), nn.Linear(width, vocabulary)
            self.register_buffer("steps", torch.arange(steps))

        def forward(self, x):
            h = self.tokens(x) + self.places(self.steps)
            for block in self.blocks:
                h = block(h)
            return self.scores(self.norm(h))

    def copy(parameter, *names, turned=False):
        array = np.concatenate([tensors[name] for name in names], axis=-1)
        parameter.copy_(torch.from_numpy((array.T if turned else array).copy()))

    def copy_linear(linear, *names):
        copy(linear.weight, *(name + ".w" for name in names), turned=True)
        copy(linear.bias, *(name + ".b" for name in names))

    model = Gpt()
    with torch.no_grad():
        copy(model.tokens.weight, "tokens")
        copy(model.places.weight, "places")
        copy_linear(model.scores, "scores")
        for number, block in enumerate(model.blocks):
            copy_linear(block.attention, *(f"{number}.{part}" for part in ("query", "key", "value")))
            for name in ("project", "widen", "narrow"):
                copy_linear(getattr(block, name), f"{number}.{name}")
    return model


class TorchGptStep(TorchModuleStep):
    """Forward, cross-entropy of every step, backward, AdamW with decay on matrices."""

    def __init__(self, workload, tensors, options):
        torch = prepared_torch(options)
        self.torch = torch
        self.model = gpt(torch, tensors, workload["heads"])
        self.batches = list(zip(*(torch.from_numpy(tensors[name]).long() for name in "xt")))
        parameters = list(self.model.parameters())
        groups = [{"params": [p for p in parameters if p.dim() >= 2], "weight_decay": 0.1},
                  {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0}]
        self.adam(torch.optim.AdamW, groups, workload, options)

    def loss_of(self, x, t):
        return self.torch.nn.functional.cross_entropy(self.model(x).flatten(0, 1), t.flatten())
