"""The convolutional workloads in PyTorch: its own modules, trained as its tutorials do.

rivals.py makes a step of this file where the workload's model is "lenet" or "resnet20".
"""

from rivals_modules import TorchModuleStep, prepared_torch


def lenet(nn):
    """The convolutions' results in channels-last order, as the weights of the first linear layer expect."""
    class Flatten(nn.Module):
        def forward(self, x):
            return x.permute(0, 2, 3, 1).flatten(1)
    return nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), Flatten(),
                         nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10))


def resnet20(nn):
    def convolution(inputs, units, kernel, stride):
        # "Same" padding at stride 2 puts the odd pixel after.
        pad = nn.ZeroPad2d((0, 1, 0, 1)) if kernel == 3 and stride == 2 else nn.Identity()
        padding = 1 if kernel == 3 and stride == 1 else 0
        return nn.Sequential(pad, nn.Conv2d(inputs, units, kernel, stride, padding, bias=False),
                             nn.BatchNorm2d(units))

    class Block(nn.Module):
        def __init__(self, inputs, units, stride):
            super().__init__()
            self.first = convolution(inputs, units, 3, stride)
            self.second = convolution(units, units, 3, 1)
            self.shortcut = convolution(inputs, units, 1, stride) if stride == 2 else nn.Identity()

        def forward(self, x):
            y = self.second(nn.functional.relu(self.first(x)))
            return nn.functional.relu(y + self.shortcut(x))

    blocks, inputs = [], 16
    for units in (16, 32, 64):
        for block in range(3):
            blocks.append(Block(inputs, units, 2 if units > 16 and block == 0 else 1))
            inputs = units
    return nn.Sequential(convolution(3, 16, 3, 1), nn.ReLU(), *blocks,
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


class TorchImageStep(TorchModuleStep):
    """Forward, cross-entropy, backward, Adam or SGD with momentum."""

    def __init__(self, workload, tensors, options):
        torch = prepared_torch(options)
        self.torch = torch
        last = torch.channels_last if options.get("layout") == "channels_last" else None
        self.model = {"lenet": lenet, "resnet20": resnet20}[workload["model"]](torch.nn)
        self.start(tensors)
        x = torch.from_numpy(tensors["x"]).permute(0, 1, 4, 2, 3)
        if last:
            self.model = self.model.to(memory_format=last)
            x = [batch.contiguous(memory_format=last) for batch in x]
        else:
            x = x.contiguous()
        self.batches = list(zip(x, torch.from_numpy(tensors["t"]).long()))
        parameters = self.model.parameters()
        if workload["optimizer"] == "adam":
            self.adam(torch.optim.Adam, parameters, workload, options)
        else:
            self.finish(lambda **chosen: torch.optim.SGD(parameters, lr=workload["lr"], momentum=0.9,
                                                         **chosen), options)

    def start(self, tensors):
        """Our weights w1, b1 (or none), w2 … in the order in which the modules hold theirs."""
        modules = [m for m in self.model.modules()
                   if isinstance(m, (self.torch.nn.Conv2d, self.torch.nn.Linear,
                                     self.torch.nn.BatchNorm2d))]
        number = 0
        with self.torch.no_grad():
            for module in modules:
                number += 1
                if isinstance(module, self.torch.nn.BatchNorm2d):
                    continue  # scale 1 and shift 0 in both
                weight = tensors[f"w{number}"]
                axes = (3, 2, 0, 1) if weight.ndim == 4 else (1, 0)
                module.weight.copy_(self.torch.from_numpy(weight.transpose(axes).copy()))
                if module.bias is not None:
                    module.bias.zero_()

    def loss_of(self, x, t):
        return self.torch.nn.functional.cross_entropy(self.model(x), t)
