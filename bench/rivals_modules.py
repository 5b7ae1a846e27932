"""What the workloads built of PyTorch's own modules have in common: a step as in its tutorials."""


def prepared_torch(options):
    """PyTorch with the mode's number of threads."""
    import torch
    torch.set_num_threads(options["threads"])
    torch.set_flush_denormal(True)
    return torch


class TorchModuleStep:
    """Forward and loss, backward, update. A workload's class sets `model`, `batches` and, by
    finish(), the optimizer; it states loss_of(x, t)."""

    def finish(self, make_optimizer, options):
        chosen = {name: True for name in ("foreach", "fused") if options.get("update") == name}
        self.optimizer = make_optimizer(**chosen)
        self.loss = self.loss_of
        if options.get("compile"):
            self.loss = self.torch.compile(self.loss_of, mode=options["compile"])

    def adam(self, kind, parameters, workload, options):
        from workloads import ADAM
        self.finish(lambda **chosen: kind(parameters, lr=workload["lr"],
                                          betas=(ADAM["beta1"], ADAM["beta2"]),
                                          eps=ADAM["epsilon"], **chosen), options)

    def trust_guards(self):
        self.torch.compiler.set_stance("default", skip_guard_eval_unsafe=True)

    def clip_gradients(self):
        """Nothing, unless the workload clips."""

    def steps(self, first, n):
        for i in range(first, first + n):
            loss = self.loss(*self.batches[i % len(self.batches)])
            loss.backward()
            self.clip_gradients()
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        return loss
