"""Intra-document masking for packed sequences.

The paper packs documents with full causal attention across them and no position reset, which is
what a plain call does. Position ids that restart at every document make transformers' masks (all
attention kernels) keep documents apart. RePo ignores the ids, and RoPE depends on differences only,
so nothing but the mask changes. transformers reads the ids this way only without a cache and
without an attention mask, so training code must say `use_cache=False`.
"""

import torch


def document_position_ids(input_ids_BN: torch.Tensor, eos_token_id: int) -> torch.Tensor:
    """Position ids [B, N] that restart after each `eos_token_id`.

    Use: `model(ids, position_ids=document_position_ids(ids, eos), use_cache=False)`; with a cache
    or an attention mask transformers ignores the restarts.

    The eos token belongs to the document that it ends.
    """
    N = input_ids_BN.shape[1]
    index_N = torch.arange(N, device=input_ids_BN.device)
    starts_BN = torch.zeros_like(input_ids_BN)
    starts_BN[:, 1:] = torch.where(input_ids_BN[:, :-1] == eos_token_id, index_N[1:], 0)
    return index_N - starts_BN.cummax(dim=1).values
