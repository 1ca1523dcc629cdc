"""Which attention kernel the passes of a training run take (``REPO_ATTENTION``)."""

import importlib.util
from typing import Any, Literal

import torch

from stages.common.errors import UserError

Attention = Literal["sdpa", "cudnn", "flash"]
"""torch's choice; cuDNN's kernel through torch; FlashAttention 3 or 2 through transformers."""
FLASH = (("flash_attn_interface", "flash_attention_3"), ("flash_attn", "flash_attention_2"))
"""Package -> name in transformers, the fastest first."""


def flash() -> str | None:
    """transformers' name of the FlashAttention that is installed; none: there is none."""
    found = (name for package, name in FLASH if importlib.util.find_spec(package) is not None)
    return next(found, None)


def check(wanted: str, use_gpu: bool, precision: str) -> None:
    """Refuse a kernel that this run cannot have."""
    if wanted == "sdpa":
        return
    if not use_gpu:
        raise UserError(f"REPO_ATTENTION is {wanted!r}: its kernels need a GPU; unset it")
    if precision != "bf16":
        raise UserError(f"REPO_ATTENTION is {wanted!r}: it needs precision 'bf16'; unset it")
    if wanted == "flash" and flash() is None:
        raise UserError(
            "REPO_ATTENTION is 'flash': no flash_attn is installed; install or unset it"
        )


def choose(model: Any, wanted: Attention) -> None:
    """Make ``model`` take the kernel, before it is compiled."""
    if wanted == "flash":
        model.set_attn_implementation(flash())
    elif wanted == "cudnn":  # the others stay off, or torch would choose one of them first
        torch.backends.cuda.enable_cudnn_sdp(True)
        torch.backends.cuda.enable_flash_sdp(False)
        torch.backends.cuda.enable_mem_efficient_sdp(False)
