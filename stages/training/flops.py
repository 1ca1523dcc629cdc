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
    """Matrix products with weights, the head's included; recomputation does not count."""
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
    weights = sum(getattr(p, "ds_numel", p.numel()) for p in matrices.values())
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    width = config.num_attention_heads * size
    return Work(6.0 * weights, 6.0 * config.num_hidden_layers * width * length)


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
