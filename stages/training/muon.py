"""Muon (Keller Jordan, kellerjordan.github.io/posts/muon) in the precision that the cores are fast in.

``torch.optim.Muon`` orthogonalises in bf16 always. Cores without instructions for bf16 emulate it: on
an EPYC with AVX2 alone its products took 10 to 24 times as long as in fp32, and Muon 95 % of a step of
2.2 s of a model of 1.5 M parameters. Such cores do it in fp32; elsewhere nothing differs from torch's.
"""

import math
from collections.abc import Callable
from typing import Any

import torch

from stages.common.cpu import fast_bf16


class Muon(torch.optim.Muon):
    """torch's Muon, its state and its rates; on a CPU that is slow in bf16, in fp32."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step of every matrix that has a gradient."""
        on_cpu = all(p.device.type == "cpu" for group in self.param_groups for p in group["params"])
        if not on_cpu or fast_bf16():
            super().step(closure)
            return
        for group in self.param_groups:
            self._step_in_fp32(group)

    def _step_in_fp32(self, group: dict[str, Any]) -> None:
        matrices, gradients, momenta = [], [], []  # type: ignore[var-annotated]
        self._init_group(group, matrices, gradients, momenta)
        rate, momentum = float(group["lr"]), group["momentum"]
        for matrix, gradient, mean in zip(matrices, gradients, momenta, strict=True):
            mean.lerp_(gradient, 1 - momentum)
            ahead = gradient.lerp(mean, momentum) if group["nesterov"] else mean
            update = orthogonal(ahead, group["ns_coefficients"], group["ns_steps"], group["eps"])
            rows, columns = matrix.shape
            matrix.mul_(1 - rate * group["weight_decay"])
            matrix.add_(update, alpha=-rate * math.sqrt(max(1, rows / columns)))


def orthogonal(
    matrix_MN: torch.Tensor, coefficients: tuple[float, float, float], steps: int, eps: float
) -> torch.Tensor:
    """The nearest semi-orthogonal matrix, about: singular values go to 0.7 to 1.2.

    ``steps`` of the quintic Newton-Schulz iteration X <- aX + (bA + cA²)X with A = XXᵀ, in fp32.
    """
    a, b, c = coefficients
    wide = matrix_MN.shape[0] <= matrix_MN.shape[1]
    x_MN = matrix_MN.float() if wide else matrix_MN.float().T
    x_MN = x_MN / x_MN.norm().clamp(min=eps)
    for _ in range(steps):
        gram_MM = x_MN @ x_MN.T
        inner_MM = torch.addmm(gram_MM, gram_MM, gram_MM, beta=b, alpha=c)
        x_MN = torch.addmm(x_MN, inner_MM, x_MN, beta=a)
    return x_MN if wide else x_MN.T
