#!/usr/bin/env python3
"""Writes tests/golden/recurrent.json: recurrent layers and their gradients as PyTorch computes them.

Run from anywhere: python3 tests/ops/make_recurrent_golden.py. It needs PyTorch, which the tests themselves
do not need; the committed file comes from version 2.13. Everything is float64, and every input is exact in
float32, so that one case judges both the float64 reference and the float32 program.

PyTorch has no backward direction alone: it is taken as the second half of a bidirectional layer.
Weights are transposed to our (in, out), and its two biases are one of ours but for a GRU.
"""

import json
from pathlib import Path

import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

torch.manual_seed(20261124)
ROWS, STEPS, FEATURES, UNITS = 3, 5, 2, 3
LENGTHS = [3, 5, 1]
MODULES = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}


def numbers(shape):
    return (torch.rand(shape, dtype=torch.float32) * 2 - 1).double()


def array(x):
    return {"shape": list(x.shape), "values": x.detach().flatten().tolist()}


def transposed(x):
    return array(x.T if x.ndim == 2 else x)


def module_of(op, activation, reverse):
    options = {"nonlinearity": activation} if op == "rnn" else {}
    module = MODULES[op](FEATURES, UNITS, batch_first=True, bidirectional=reverse, **options).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(numbers(parameter.shape))
        if op != "gru":  # all of the bias in one of the two
            module.bias_hh_l0.zero_()
            if reverse:
                module.bias_hh_l0_reverse.zero_()
    return module


def case(op, activation, reverse, lengths):
    module = module_of(op, activation, reverse)
    end = "_reverse" if reverse else ""
    part = slice(UNITS, None) if reverse else slice(None)
    direction = 1 if reverse else 0
    x = numbers((ROWS, STEPS, FEATURES)).requires_grad_()
    states = [numbers((ROWS, UNITS)).requires_grad_() for _ in range(2 if op == "lstm" else 1)]
    first = [torch.stack([torch.zeros_like(s), s]) if reverse else s[None] for s in states]
    given = x if lengths is None else pack_padded_sequence(
        x, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
    y, last = module(given, tuple(first) if op == "lstm" else first[0])
    if lengths is not None:
        y, _ = pad_packed_sequence(y, batch_first=True, total_length=STEPS)
    outputs = [y[:, :, part]] + [s[direction] for s in (last if op == "lstm" else (last,))]
    cotangents = [numbers(o.shape) for o in outputs]
    sum((o * d).sum() for o, d in zip(outputs, cotangents)).backward()

    names = ["weight_ih", "weight_hh", "bias_ih"] + (["bias_hh"] if op == "gru" else [])
    weights = [getattr(module, f"{name}_l0{end}") for name in names]
    plain = [x] + states
    return {"op": op, "activation": activation, "reverse": reverse, "lengths": lengths,
            "inputs": [array(i) for i in plain] + [transposed(w) for w in weights],
            "outputs": [array(o) for o in outputs],
            "cotangents": [array(d) for d in cotangents],
            "gradients": [array(i.grad) for i in plain] + [transposed(w.grad) for w in weights]}


def main():
    cases = [case(op, activation, reverse, lengths)
             for op, activation in [("rnn", "tanh"), ("rnn", "relu"), ("lstm", ""), ("gru", "")]
             for reverse in (False, True) for lengths in (None, LENGTHS)]
    path = Path(__file__).parents[1] / "golden" / "recurrent.json"
    path.write_text("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]\n")


if __name__ == "__main__":
    main()
