"""The loss: next-token cross-entropy with z-loss, logits never whole in fp32."""

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

CHUNK_LOGITS = 2**25
"""Logits held at once (128 MiB in fp32): 334 tokens of a vocabulary of 100,352."""


def next_token_loss(
    hidden_BTD: Tensor, head_VD: Tensor, ids_BT: Tensor, z_loss: float
) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy, and the same with ``z_loss * mean(logsumexp^2)`` added (to train on).

    Chunks of tokens are recomputed in the backward pass, so memory does not grow with the batch.
    """
    hidden_ND = hidden_BTD[:, :-1].reshape(-1, hidden_BTD.shape[-1])
    target_N = ids_BT[:, 1:].reshape(-1)
    size = max(1, CHUNK_LOGITS // head_VD.shape[0])
    entropy = hidden_ND.new_zeros((), dtype=torch.float32)
    squares = hidden_ND.new_zeros((), dtype=torch.float32)
    chunked = target_N.numel() > size
    for rows_ND, rows_N in zip(hidden_ND.split(size), target_N.split(size), strict=True):
        if chunked:
            sums = checkpoint(_sums, rows_ND, head_VD, rows_N, use_reentrant=False)
        else:
            sums = _sums(rows_ND, head_VD, rows_N)
        entropy, squares = entropy + sums[0], squares + sums[1]
    count = target_N.numel()
    return entropy.detach() / count, (entropy + z_loss * squares) / count


def _sums(hidden_ND: Tensor, head_VD: Tensor, target_N: Tensor) -> tuple[Tensor, Tensor]:
    logits_NV = F.linear(hidden_ND, head_VD).float()
    normaliser_N = logits_NV.logsumexp(-1)
    picked_N = logits_NV.gather(-1, target_N[:, None]).squeeze(-1)
    return (normaliser_N - picked_N).sum(), normaliser_N.square().sum()
