"""The workloads that compare.py runs, in one table, and the files that carry their first weights.

A workload is added here, in chainrule-bench, and, when its model is a new one, in rivals.py.
"""

import json

import numpy as np

WORKLOADS = {
    "notebook": {"model": "mlp", "optimizer": "sgd", "lr": 0.01},
    "mlp-small": {"model": "mlp", "optimizer": "sgd", "lr": 0.1},
    "mlp-large": {"model": "mlp", "optimizer": "adam", "lr": 1e-3},
    "lenet": {"model": "lenet", "optimizer": "adam", "lr": 1e-3},
    "resnet20": {"model": "resnet20", "optimizer": "sgd", "lr": 1e-3},
    "char-lstm": {"model": "char-lstm", "optimizer": "adam", "lr": 1e-3, "clip": 1.0},
}

# Adam's other constants, the same in every framework.
ADAM = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}

_DTYPES = {"F32": np.float32, "F64": np.float64, "I32": np.int32, "I64": np.int64}


def load_safetensors(path):
    """{name: array} of a safetensors file: a length, a JSON header, then the numbers."""
    with open(path, "rb") as file:
        data = file.read()
    header_end = 8 + int.from_bytes(data[:8], "little")
    tensors = {}
    for name, entry in json.loads(data[8:header_end]).items():
        if name == "__metadata__":
            continue
        begin, end = (header_end + offset for offset in entry["data_offsets"])
        array = np.frombuffer(data[begin:end], dtype=_DTYPES[entry["dtype"]])
        tensors[name] = array.reshape(entry["shape"]).copy()
    return tensors


def load_start(path):
    """What `chainrule-bench --dump` wrote: ([w1, b1, w2, b2, …], batches of x, batches of t)."""
    tensors = load_safetensors(path)
    params = []
    for layer in range(1, sum(name.startswith("w") for name in tensors) + 1):
        params += [tensors[f"w{layer}"], tensors[f"b{layer}"].reshape(-1)]
    return params, tensors["x"], tensors["t"]
