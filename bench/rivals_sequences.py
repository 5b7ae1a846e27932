"""The recurrent workloads in PyTorch: its own modules, trained as its tutorials do.

rivals.py makes a step of this file where the workload's model is "char-lstm".
"""

from rivals_modules import TorchModuleStep, prepared_torch


class TorchLstmStep(TorchModuleStep):
    """Embedding, nn.LSTM, linear; cross-entropy of every step, gradients clipped by their norm."""

    def __init__(self, workload, tensors, options):
        torch = prepared_torch(options)
        self.torch, self.clip = torch, workload["clip"]
        self.time_first = options.get("layout") == "time_first"
        self.model = self.make_model(torch.nn, tensors)
        x, t = (torch.from_numpy(tensors[name]).long() for name in "xt")
        if self.time_first:
            x, t = x.transpose(1, 2).contiguous(), t.transpose(1, 2).contiguous()
        self.batches = list(zip(x, t))
        self.adam(torch.optim.Adam, self.model.parameters(), workload, options)

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

    def clip_gradients(self):
        self.torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
