"""Rotating queries and keys by real-valued positions, one per key/value head and token.

Shapes: B batch, T tokens, H query heads, K key/value heads (H = K * G), D head size, F = D // 2.
Half-split ("neox") pairing: element i turns with element i + F.

A ladder, each rung tested against the one before: `reference` (plain operations), `vectorized` (a
hand-written gradient, CPU), `fused` (a torch.library operator; Triton on CUDA). `auto` chooses:
CUDA `fused`; CPU `vectorized`, or `reference` inside torch.compile, which fuses it.
"""

import logging

import torch

from .rotary_op import fused_on, rotate_op
from .rotary_reference import rotate_reference
from .rotary_vectorized import RotateVectorized

logger = logging.getLogger(__name__)

RUNGS = ("auto", "reference", "vectorized", "fused")
_state = {"rung": "auto", "logged": ""}


def use_rotary(rung: str = "auto") -> None:
    """Choose how rotations are computed in this process, for measurements and debugging.

    Raises:
        ValueError: not one of `auto`, `reference`, `vectorized`, `fused`.
    """
    if rung not in RUNGS:
        raise ValueError(f"rotary={rung!r} is unknown; choose one of {', '.join(RUNGS)}")
    _state["rung"] = rung


def rotate(
    q_BTHD: torch.Tensor,
    k_BTKD: torch.Tensor,
    z_BTK: torch.Tensor,
    inv_freq_F: torch.Tensor,
    magnitude: float = 1.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotate q and k by `angle = z * inv_freq` radians; query head h uses position h // group.

    Args:
        q_BTHD, k_BTKD: any floating dtype.
        z_BTK: positions, fp32 (fp64 for an fp64 model); gradients flow to it.
        inv_freq_F: radians per position.
        magnitude: factor on cos and sin (YaRN).

    Returns:
        rotated q and k. Angles, products and sums are in z's dtype; one cast, at the end.
    """
    rung = _state["rung"]
    if rung == "auto":
        rung = "fused" if fused_on(q_BTHD, z_BTK) else "vectorized"
        if torch.compiler.is_compiling():
            rung = "fused" if q_BTHD.is_cuda else "reference"
        elif _state["logged"] != rung:
            _state["logged"] = rung
            logger.info("rotary on %s: %s", q_BTHD.device.type, rung)
    if rung == "reference":
        return rotate_reference(q_BTHD, k_BTKD, z_BTK, inv_freq_F, magnitude)
    if rung == "vectorized":
        return RotateVectorized.apply(q_BTHD, k_BTKD, z_BTK, inv_freq_F, magnitude)
    return rotate_op(q_BTHD, k_BTKD, z_BTK, inv_freq_F, magnitude)
