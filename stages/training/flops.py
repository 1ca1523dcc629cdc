"""Work of a training step, counted (PERFORMANCE.md gives OLMo-2 1B's), and what a device can do."""

import resource
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from stages.common.variables import value

PEAK_BF16 = {"H200": 989e12, "H100": 989e12, "GH200": 989e12, "A100": 312e12, "B200": 2250e12}
"""Dense bf16 FLOP/s by a part of the device's name, as their makers print them."""


@dataclass(frozen=True)
class Work:
    """Floating-point operations of training on one token: forward plus twice that for backward."""

    dense: float
    """Matrix products with weights, the head's included; recomputation does not count, nor does what
    frozen weights spare."""
    attention: float
    """Scores and values of a causal mask, at the length asked for."""

    @property
    def causal(self) -> float:
        """What has to be computed."""
        return self.dense + self.attention

    @property
    def full(self) -> float:
        """The same with the whole square of scores, as many count it."""
        return self.dense + 2 * self.attention


def work_per_token(model: nn.Module, length: int) -> Work:
    """Work of one token of sequences of ``length`` tokens."""
    config: Any = model.config
    embedding = model.get_input_embeddings().weight  # type: ignore[operator, union-attr]
    head = model.get_output_embeddings().weight  # type: ignore[operator, union-attr]
    matrices = {id(p): p for p in model.parameters() if p.ndim == 2 and p is not embedding}
    matrices[id(head)] = head  # also where it is the embedding
    first = _first_trained(model)
    dense = 0.0
    for name, p in model.named_parameters(remove_duplicate=False):
        if matrices.pop(id(p), None) is not None:
            part = name.split(".")
            below = part[1] == "layers" and int(part[2]) < first
            # forward, the gradient of the input, that of the weight
            dense += 2.0 * getattr(p, "ds_numel", p.numel()) * (2 - below + p.requires_grad)
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    width = config.num_attention_heads * size
    layers = 2.0 * config.num_hidden_layers + 4.0 * (config.num_hidden_layers - first)
    return Work(dense, layers * width * length)


def _first_trained(model: nn.Module) -> int:
    """First layer of which something is trained; 0 where the embedding is."""
    names = [name.split(".") for name, p in model.named_parameters() if p.requires_grad]
    if any("embed" in ".".join(name) for name in names):
        return 0
    layers = [int(name[2]) for name in names if name[1] == "layers"]
    return min(layers, default=0)


def peak() -> float | None:
    """FLOP/s of this process's device in bf16; none where nobody knows (CPU, an unknown GPU).

    ``REPO_PEAK_TFLOPS`` says it for any device.
    """
    told = value("REPO_PEAK_TFLOPS")
    if told:
        return float(told) * 1e12
    if not torch.cuda.is_available():
        return None
    name = torch.cuda.get_device_name()
    return next((peak for part, peak in PEAK_BF16.items() if part in name), None)


def peak_memory() -> int:
    """Most bytes this process has held: on its GPU, else in its host memory."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB
