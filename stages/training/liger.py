"""The loss by Liger's fused linear cross-entropy, for GPUs (extra ``gpu``).

Its kernels make the gradients with the loss, chunk by chunk of the logits, and sum the head's in fp32.
``objective``'s chunked loss is the reference: in fp32 they agree to 1e-6 of the value; in bf16 the
gradients differ by their own rounding, and the cross-entropy that is shown by 0.4 % of the z-loss,
which Liger sums in the inputs' type. Liger looks at the number of targets once per call, which makes
the host wait for the forward pass.
"""

import torch
from torch import Tensor

IGNORED = -100


def sums(
    hidden_ND: Tensor,
    head_VD: Tensor,
    target_N: Tensor,
    z_loss: float,
    keep_N: Tensor | None,
    softcap: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Sum of the cross-entropy (without gradients), and of what is trained on, z-loss included."""
    from liger_kernel.transformers.fused_linear_cross_entropy import (
        LigerFusedLinearCrossEntropyLoss,
    )

    fused = LigerFusedLinearCrossEntropyLoss(
        ignore_index=IGNORED,
        lse_square_scale=z_loss,
        reduction="sum",  # its mean leaves out what is ignored; ours counts it
        return_z_loss=True,
        accum_dtype=torch.float32,
        softcap=softcap,
    )
    if keep_N is not None:
        target_N = target_N.masked_fill(~keep_N, IGNORED)
    out = fused(head_VD, hidden_ND, target_N)
    return (out.loss - out.z_loss).detach(), out.loss
