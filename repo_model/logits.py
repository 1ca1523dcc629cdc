"""What some families do to the head's output, for code that calls the head itself (in chunks)."""

from typing import Any

import torch


def finished(config: Any, logits: torch.Tensor) -> torch.Tensor:
    """The model's logits from its head's: Granite divides them by a constant, Gemma 2 caps them."""
    if (scale := getattr(config, "logits_scaling", 1.0)) != 1.0:
        logits = logits / scale
    if (cap := getattr(config, "final_logit_softcapping", None)) is not None:
        logits = cap * torch.tanh(logits / cap)
    return logits
