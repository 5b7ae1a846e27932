#!/usr/bin/env python3
"""Writes tests/golden/transformer.json: transformer blocks as PyTorch computes them.

Run from anywhere: python3 tests/nn/make_transformer_golden.py. It needs PyTorch, which the tests
themselves do not need; the committed file comes from version 2.13. Everything is float64. Weights are
transposed to our (in, out) and named as our layers name theirs; the file holds the output and the
gradients of Σ cotangent·output.
"""

import json
from pathlib import Path

import torch

torch.manual_seed(20261125)
ROWS, STEPS, MEMORY, FEATURES, HEADS, HIDDEN = 2, 4, 3, 6, 2, 5
LENGTHS, MEMORY_LENGTHS = [4, 2], [1, 3]


def array(x):
    return {"shape": list(x.shape), "values": [float(f"{v:.17g}") for v in x.detach().flatten()]}


def attention(place, module):
    """Our names for the parameters of nn.MultiheadAttention."""
    for i, name in enumerate(("query", "key", "value")):
        part = slice(i * FEATURES, (i + 1) * FEATURES)
        yield f"{place}.{name}.weight", module.in_proj_weight, part
        yield f"{place}.{name}.bias", module.in_proj_bias, part
    yield f"{place}.output.weight", module.out_proj.weight, slice(None)
    yield f"{place}.output.bias", module.out_proj.bias, slice(None)


def simple(place, module, names):
    yield f"{place}.{names[0]}", module.weight, slice(None)
    yield f"{place}.{names[1]}", module.bias, slice(None)


def block(module, norm_first, decoder):
    parts = [(module.norm1, module.self_attn)]
    if decoder:
        parts.append((module.norm2, module.multihead_attn))
    last_norm = module.norm3 if decoder else module.norm2
    place = 1
    for norm, part in [*parts, (last_norm, None)]:
        first = 2 if norm_first else 1  # of the layers inside the residual
        if part is not None:
            yield from attention(f"1.1.{place}.{first}", part)
        else:
            yield from simple(f"1.1.{place}.{first}", module.linear1, ("weight", "bias"))
            yield from simple(f"1.1.{place}.{first + 2}", module.linear2, ("weight", "bias"))
        where = f"1.1.{place}.1" if norm_first else f"1.1.{place + 1}"
        yield from simple(where, norm, ("gamma", "beta"))
        place += 1 if norm_first else 2


def padding(lengths, steps):
    return torch.arange(steps)[None, :] >= torch.tensor(lengths)[:, None]


def case(model, norm, activation, causal, lengths, decoder):
    kind = torch.nn.TransformerDecoderLayer if decoder else torch.nn.TransformerEncoderLayer
    module = kind(FEATURES, HEADS, HIDDEN, dropout=0.0, activation=activation, batch_first=True,
                  norm_first=norm == "pre", dtype=torch.float64)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.rand_like(p) * 2 - 1)
    x = (torch.rand(ROWS, STEPS, FEATURES, dtype=torch.float64) * 2 - 1).requires_grad_()
    memory = (torch.rand(ROWS, MEMORY, FEATURES, dtype=torch.float64) * 2 - 1).requires_grad_()
    mask = torch.triu(torch.ones(STEPS, STEPS, dtype=torch.bool), 1) if causal else None
    if decoder:
        y = module(x, memory, tgt_mask=mask,
                   memory_key_padding_mask=padding(MEMORY_LENGTHS, MEMORY))
    else:
        y = module(x, src_mask=mask,
                   src_key_padding_mask=padding(LENGTHS, STEPS) if lengths else None)
    cotangent = torch.rand_like(y) * 2 - 1
    (y * cotangent).sum().backward()
    parameters, gradients = {}, {"x": array(x.grad)}
    for name, p, part in block(module, norm == "pre", decoder):
        turn = (lambda t: t.T) if p.dim() == 2 else (lambda t: t)
        parameters[name] = array(turn(p[part]))
        gradients[name] = array(turn(p.grad[part]))
    result = {"model": model, "x": array(x), "cotangent": array(cotangent), "y": array(y),
              "lengths": LENGTHS if lengths else None, "parameters": parameters,
              "gradients": gradients}
    if decoder:
        gradients["memory"] = array(memory.grad)
        result |= {"memory": array(memory), "memory_lengths": MEMORY_LENGTHS}
    return result


CASES = [
    case("transformer heads=2 hidden=5", "pre", "gelu", False, False, False),
    case("transformer heads=2 causal hidden=5 activation=relu norm=post", "post", "relu", True, False,
         False),
    case("transformer heads=2 hidden=5", "pre", "gelu", False, True, False),
    case("transformer_decoder heads=2 hidden=5", "pre", "gelu", True, False, True),
    case("transformer_decoder heads=2 hidden=5 norm=post", "post", "gelu", True, False, True),
]
path = Path(__file__).resolve().parents[1] / "golden" / "transformer.json"
path.write_text("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in CASES) + "\n]\n")
