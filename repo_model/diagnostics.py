"""What the learned positions look like, and where attention goes; cheap enough for training runs.

Shapes: B batch, K key/value heads (one position each), H query heads, N tokens, L layers.

The paper's patterns (PAPER.md section 5) are taken over non-overlapping chunks of 16 tokens:
constant (every z within eps of the chunk's mean), monotone (strictly), hybrid (the rest). It does
not say what a chunk is that is both; here it is constant.
"""

import sys
from collections.abc import Mapping
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

LINEAR_R2 = 0.999  # a head whose z is this close to a line in the token index has become RoPE
PROBE = "repo_attention_mass"


def position_stats(
    z_BKN: torch.Tensor, mask_BN: torch.Tensor | None = None, chunk: int = 16, eps: float = 0.2
) -> dict[str, torch.Tensor]:
    """Statistics of one layer's positions, per head; no host synchronisation.

    Args:
        z_BKN: positions as `record_positions` gives them.
        mask_BN: which tokens count (not padding). Default all.
        chunk, eps: of the patterns, in tokens and in units of position.

    Returns:
        tensors [K]: `min`, `max`, `mean`, `std` over all tokens; `range` = max - min of a sequence,
        mean over the batch; `monotone`, `constant`, `hybrid` = shares of whole chunks (their sum is
        1; NaN without a whole chunk); `linearity` = R^2 of z against the token index, mean over the
        batch; `collapsed` (bool): the head is NoPE in effect (range within 2 eps) or RoPE in effect
        (linearity above 0.999).
    """
    B, K, N = z_BKN.shape
    z_BKN = z_BKN.detach().to(torch.promote_types(z_BKN.dtype, torch.float32))
    if mask_BN is None:
        mask_BN = torch.ones(B, N, dtype=torch.bool, device=z_BKN.device)
    keep_BKN = mask_BN.bool()[:, None].expand(B, K, N)
    low_BK = z_BKN.masked_fill(~keep_BKN, torch.inf).amin(-1)
    high_BK = z_BKN.masked_fill(~keep_BKN, -torch.inf).amax(-1)
    count = mask_BN.sum().clamp(min=1)
    mean_K = (z_BKN * keep_BKN).sum((0, 2)) / count
    variance_K = ((z_BKN - mean_K[:, None]).square() * keep_BKN).sum((0, 2)) / count
    range_K = (high_BK - low_BK).mean(0)
    linearity_K = _linearity(z_BKN, keep_BKN)
    patterns = _patterns(z_BKN, keep_BKN, chunk, eps)
    return {
        "min": low_BK.amin(0),
        "max": high_BK.amax(0),
        "range": range_K,
        "mean": mean_K,
        "std": variance_K.sqrt(),
        **patterns,
        "linearity": linearity_K,
        "collapsed": (range_K <= 2 * eps) | (linearity_K > LINEAR_R2),
    }


def _linearity(z_BKN: torch.Tensor, keep_BKN: torch.Tensor) -> torch.Tensor:
    index_BKN = keep_BKN.cumsum(-1).to(z_BKN.dtype)
    count_BK1 = keep_BKN.sum(-1, keepdim=True).clamp(min=1)

    def centred(x_BKN: torch.Tensor) -> torch.Tensor:
        return (x_BKN - (x_BKN * keep_BKN).sum(-1, keepdim=True) / count_BK1) * keep_BKN

    dz, di = centred(z_BKN), centred(index_BKN)
    both = (dz * di).sum(-1).square()
    return (both / (dz.square().sum(-1) * di.square().sum(-1)).clamp(min=1e-30)).mean(0)


def _patterns(
    z_BKN: torch.Tensor, keep_BKN: torch.Tensor, chunk: int, eps: float
) -> dict[str, torch.Tensor]:
    N = z_BKN.shape[-1] // chunk * chunk
    z_BKMc = z_BKN[..., :N].unflatten(-1, (-1, chunk))
    whole_BKM = keep_BKN[..., :N].unflatten(-1, (-1, chunk)).all(-1)
    constant_BKM = ((z_BKMc - z_BKMc.mean(-1, keepdim=True)).abs() <= eps).all(-1)
    step_BKMc = z_BKMc.diff(dim=-1)
    monotone_BKM = ((step_BKMc > 0).all(-1) | (step_BKMc < 0).all(-1)) & ~constant_BKM
    total_K = whole_BKM.sum((0, 2))
    share = {
        name: (found_BKM & whole_BKM).sum((0, 2)) / total_K
        for name, found_BKM in (("monotone", monotone_BKM), ("constant", constant_BKM))
    }
    return {**share, "hybrid": 1 - share["monotone"] - share["constant"]}


class _Mass:
    """Collects, layer by layer, the attention of some query rows to some spans."""

    def __init__(
        self, spans_SBN: torch.Tensor, queries_BN: torch.Tensor, keep_BN: torch.Tensor
    ) -> None:
        self.spans_SBN, self.queries_BN, self.keep_BN = spans_SBN, queries_BN, keep_BN
        self.layers: list[torch.Tensor] = []  # each [S, H]

    def add(
        self,
        q_BHND: torch.Tensor,
        k_BKND: torch.Tensor,
        scaling: float,
        window: int | None,
        cap: float | None = None,
    ) -> None:
        H, kv_heads = q_BHND.shape[1], k_BKND.shape[1]
        total_SH = torch.zeros(len(self.spans_SBN), H, device=q_BHND.device)
        rows = 0
        for b, query_N in enumerate(self.queries_BN):
            at_R = query_N.nonzero().squeeze(1)
            index_N = torch.arange(k_BKND.shape[2], device=at_R.device)
            seen_RN = (index_N <= at_R[:, None]) & self.keep_BN[b]
            if window is not None:
                seen_RN &= index_N > at_R[:, None] - window
            q_KGRD = q_BHND[b, :, at_R].float().unflatten(0, (kv_heads, -1))
            score_KGRN = q_KGRD @ k_BKND[b].float().transpose(-1, -2)[:, None] * scaling
            if cap is not None:
                score_KGRN = cap * torch.tanh(score_KGRN / cap)
            weight_KGRN = score_KGRN.masked_fill(~seen_RN, -torch.inf).softmax(-1)
            span_SN = self.spans_SBN[:, b].float()
            per_token_SN = span_SN / span_SN.sum(-1, keepdim=True)
            total_SH += torch.einsum("kgrn,sn->skg", weight_KGRN, per_token_SN).flatten(1)
            rows += len(at_R)
        self.layers.append(total_SH / rows)


def _eager(module: Any) -> Any:
    """The eager attention of a stock attention's file, or of a class of ours."""
    if hasattr(module, "eager"):
        return module.eager
    return sys.modules[type(module).__module__].eager_attention_forward


def _probe(module: Any, q: Any, k: Any, v: Any, mask: Any, **kwargs: Any) -> Any:
    collector: _Mass = kwargs.pop("repo_mass")
    cap = kwargs.get("softcap")
    collector.add(q, k, kwargs["scaling"], kwargs.get("sliding_window"), cap)
    if cap is not None:  # SDPA knows no cap
        if mask is None:
            mask = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device).tril()
        lowest = torch.finfo(q.dtype).min
        added = torch.zeros_like(mask, dtype=q.dtype).masked_fill_(~mask, lowest)
        return _eager(module)(module, q, k, v, added, **kwargs)
    return sdpa_attention_forward(module, q, k, v, mask, **kwargs)


AttentionInterface.register(PROBE, _probe)
AttentionMaskInterface.register(PROBE, sdpa_mask)


@torch.no_grad()
def attention_mass(
    model: Any,
    input_ids_BN: torch.Tensor,
    spans: Mapping[str, torch.Tensor],
    queries_BN: torch.Tensor,
    attention_mask_BN: torch.Tensor | None = None,
) -> dict[str, torch.Tensor]:
    """Mean attention per token of each span, from some query tokens (PAPER.md section 5).

    Only the rows of `queries_BN` are computed again beside SDPA: with R rows the cost is R / N of
    one more attention, and no N x N matrix is kept.

    Args:
        spans: name to bool [B, N], the tokens of the span; at least one in every sequence.
        queries_BN: bool, the tokens whose attention counts (the paper: the generated ones).
        attention_mask_BN: 1 for tokens, 0 for padding.

    Returns:
        name to [L, H]: attention weight per token of the span, mean over query tokens.

    Raises:
        ValueError: an empty span or no query.
    """
    spans_SBN = torch.stack([span.bool() for span in spans.values()])
    for name, span_BN in spans.items():
        if not span_BN.any(-1).all():
            raise ValueError(f"span {name!r} is empty in some sequence")
    if not queries_BN.any():
        raise ValueError("queries select no token")
    keep_BN = torch.ones_like(queries_BN) if attention_mask_BN is None else attention_mask_BN
    collector = _Mass(spans_SBN, queries_BN.bool(), keep_BN.bool())
    before = model.config._attn_implementation
    model.set_attn_implementation(PROBE)
    try:
        model(
            input_ids_BN,
            attention_mask=attention_mask_BN,
            use_cache=False,
            logits_to_keep=1,
            repo_mass=collector,
        )
    finally:
        model.set_attn_implementation(before)
    mass_LSH = torch.stack(collector.layers)
    return {name: mass_LSH[:, i] for i, name in enumerate(spans)}
