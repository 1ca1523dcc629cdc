"""The loss: next-token cross-entropy with z-loss, logits never whole in fp32."""

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from stages.training import liger

Kernel = Literal["chunked", "liger"]
"""Who computes it: this file, or Liger's kernels (``liger``), which need a GPU."""
CHUNK_LOGITS = 2**25
"""Logits held at once (128 MiB in fp32): 334 tokens of a vocabulary of 100,352. The least on a GPU."""
MOST_LOGITS = 2**29
"""The most on a GPU: 5,349 tokens of that vocabulary; the head's gradient is then summed four times a
micro-batch, and not 49 times."""
LOGIT_BYTES = 16
"""Of a logit during the loss: bf16 and fp32, its exponential, and the gradients of both."""


def next_token_loss(
    hidden_BTD: Tensor,
    head_VD: Tensor,
    ids_BT: Tensor,
    z_loss: float,
    keep_B: Tensor | None = None,
    kernel: Kernel = "chunked",
    softcap: float | None = None,
    chunk: int | None = None,
    wide: bool = False,
) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy, and the same with ``z_loss * mean(logsumexp^2)`` added (to train on).

    A sequence whose ``keep_B`` is False adds nothing to the sums and still counts in the mean, as
    OLMo's instance mask has it. Memory does not grow with the batch, whatever the ``kernel``.
    ``softcap``: logits are ``cap * tanh(logits / cap)`` (Gemma 2). ``chunk``: logits held at once.
    ``wide``: the head's gradient is summed over chunks in fp32 (Liger's always is).
    """
    hidden_ND = hidden_BTD[:, :-1].reshape(-1, hidden_BTD.shape[-1])
    target_N = ids_BT[:, 1:].reshape(-1)
    count = target_N.numel()
    keep_N = None if keep_B is None else keep_B[:, None].expand_as(ids_BT[:, 1:]).reshape(-1)
    if kernel == "liger":
        entropy, objective = liger.sums(hidden_ND, head_VD, target_N, z_loss, keep_N, softcap)
        return entropy / count, objective / count
    if wide:  # each chunk makes its own copy in the passes' precision
        head_VD = head_VD.to(torch.promote_types(head_VD.dtype, torch.float32))
    passes = hidden_ND.dtype if wide else None
    rows = max(1, (chunk or CHUNK_LOGITS) // head_VD.shape[0])
    entropy, squares = _chunked(hidden_ND, head_VD, target_N, (keep_N, softcap, passes), rows)
    return entropy.detach() / count, (entropy + z_loss * squares) / count


def chunk_of(free_bytes: float) -> int:
    """Logits to hold at once where so much is free: half of it, as a power of two, so that a little
    more or less changes nothing."""
    wanted = max(free_bytes / 2 / LOGIT_BYTES, 1.0)
    return min(max(2 ** int(math.log2(wanted)), CHUNK_LOGITS), MOST_LOGITS)


def token_scores(
    hidden_BTD: Tensor, head_VD: Tensor, ids_BT: Tensor, softcap: float | None = None
) -> tuple[Tensor, Tensor]:
    """Cross-entropy in fp32 of each token but the first, and the most likely token in its place."""
    length = ids_BT.shape[1]
    chunk = max(1, CHUNK_LOGITS // (head_VD.shape[0] * ids_BT.shape[0]))
    losses, best = [], []
    for start in range(0, length - 1, chunk):
        end = min(start + chunk, length - 1)
        logits_BVC = F.linear(hidden_BTD[:, start:end], head_VD).float().transpose(1, 2)
        if softcap is not None:
            logits_BVC = softcap * torch.tanh(logits_BVC / softcap)
        targets_BC = ids_BT[:, start + 1 : end + 1]
        losses.append(F.cross_entropy(logits_BVC, targets_BC, reduction="none"))
        best.append(logits_BVC.argmax(1))
    return torch.cat(losses, 1), torch.cat(best, 1)


Rest = tuple[Tensor | None, float | None, torch.dtype | None]
"""``keep_N``, ``softcap``, and the dtype that the head is cast to (none: it has it)."""


def _chunked(
    hidden_ND: Tensor, head_VD: Tensor, target_N: Tensor, rest: Rest, size: int
) -> tuple[Tensor, Tensor]:
    """Sums of the cross-entropy and of the squared normaliser; chunks of tokens are recomputed in
    the backward pass."""
    keep_N, *others = rest
    exact = torch.promote_types(hidden_ND.dtype, torch.float32)
    entropy, squares = hidden_ND.new_zeros((2,), dtype=exact)
    chunked = target_N.numel() > size
    kept = [None] * len(target_N.split(size)) if keep_N is None else keep_N.split(size)
    for rows_ND, rows_N, kept_N in zip(
        hidden_ND.split(size), target_N.split(size), kept, strict=True
    ):
        piece = (rows_ND, head_VD, rows_N, kept_N, *others)
        sums = checkpoint(_sums, *piece, use_reentrant=False) if chunked else _sums(*piece)
        entropy, squares = entropy + sums[0], squares + sums[1]
    return entropy, squares


def _sums(
    hidden_ND: Tensor,
    head_VD: Tensor,
    target_N: Tensor,
    keep_N: Tensor | None,
    softcap: float | None,
    passes: torch.dtype | None,
) -> tuple[Tensor, Tensor]:
    logits_NV = F.linear(hidden_ND, head_VD if passes is None else head_VD.to(passes))
    logits_NV = logits_NV.to(torch.promote_types(logits_NV.dtype, torch.float32))
    if softcap is not None:
        logits_NV = softcap * torch.tanh(logits_NV / softcap)
    normaliser_N = logits_NV.logsumexp(-1)
    picked_N = logits_NV.gather(-1, target_N[:, None]).squeeze(-1)
    entropy_N, squares_N = normaliser_N - picked_N, normaliser_N.square()
    if keep_N is not None:
        entropy_N, squares_N = entropy_N[keep_N], squares_N[keep_N]
    return entropy_N.sum(), squares_N.sum()
