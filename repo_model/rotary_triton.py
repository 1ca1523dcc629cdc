# mypy: disable-error-code="no-untyped-def"
"""Triton kernels of the rotation: one for the forward pass, one for the backward pass.

Shapes: B batch, T tokens, H query heads, K key/value heads (H = K * G), D head size, F = D // 2.

A program owns one token and a block of key/value heads with their query groups: it reads z once,
makes cos and sin in registers and turns q and k. The sum over pairs and group in dz stays inside
the program, so there are no atomics and the result is deterministic. Traffic (PERFORMANCE.md): q
and k in and out forward, their gradients and rotated values in and the gradients out backward;
nothing per pair is ever written. Angles are reduced to [-pi, pi] first, so the hardware's fast sine
will do.
"""

import math
from typing import Any

import torch

try:
    import triton
    import triton.language as tl
except ImportError:  # a CPU build of torch, or a platform without Triton
    triton = None

HAS_TRITON = triton is not None

# 2 pi in three parts; the first two have few bits, so n * part is exact for |n| < 2^13, which is
# |angle| < 51,000 radians.
_TWO_PI_HIGH = 6.28125
_TWO_PI_MID = float(round((2 * math.pi - _TWO_PI_HIGH) * 2**20) / 2**20)
_TWO_PI_LOW = 2 * math.pi - _TWO_PI_HIGH - _TWO_PI_MID
_MAX_PAIRS = 2048  # pairs per program: 16 heads of 128, with 4 warps 16 pairs a thread


if HAS_TRITON:
    _HIGH = tl.constexpr(_TWO_PI_HIGH)
    _MID = tl.constexpr(_TWO_PI_MID)
    _LOW = tl.constexpr(_TWO_PI_LOW)
    _INVERSE = tl.constexpr(1 / (2 * math.pi))

    @triton.jit
    def _cos_sin(z_K, f_F, magnitude):
        angle_KF = z_K[:, None] * f_F[None, :]
        turns_KF = tl.floor(angle_KF * _INVERSE + 0.5)
        angle_KF = ((angle_KF - turns_KF * _HIGH) - turns_KF * _MID) - turns_KF * _LOW
        return tl.cos(angle_KF) * magnitude, tl.sin(angle_KF) * magnitude

    @triton.jit
    def _offsets(token, heads_K, pairs_F, T, stride_b, stride_t, stride_h):
        row = (token // T) * stride_b + (token % T) * stride_t
        return row + heads_K[:, None] * stride_h + pairs_F[None, :]

    @triton.jit
    def _turn(source, target, at_source, at_target, cos_KF, sin_KF, mask_KF, F):
        x1 = tl.load(source + at_source, mask=mask_KF, other=0.0).to(tl.float32)
        x2 = tl.load(source + at_source + F, mask=mask_KF, other=0.0).to(tl.float32)
        y1 = x1 * cos_KF - x2 * sin_KF
        y2 = x2 * cos_KF + x1 * sin_KF
        tl.store(target + at_target, y1.to(target.dtype.element_ty), mask=mask_KF)
        tl.store(target + at_target + F, y2.to(target.dtype.element_ty), mask=mask_KF)

    @triton.jit
    def _turn_back(
        gradient, rotated, target, at_gradient, at_rotated, at_target, cos_KF, sin_KF, mask_KF, F
    ):
        g1 = tl.load(gradient + at_gradient, mask=mask_KF, other=0.0).to(tl.float32)
        g2 = tl.load(gradient + at_gradient + F, mask=mask_KF, other=0.0).to(tl.float32)
        y1 = tl.load(rotated + at_rotated, mask=mask_KF, other=0.0).to(tl.float32)
        y2 = tl.load(rotated + at_rotated + F, mask=mask_KF, other=0.0).to(tl.float32)
        d1 = g1 * cos_KF + g2 * sin_KF
        d2 = g2 * cos_KF - g1 * sin_KF
        tl.store(target + at_target, d1.to(target.dtype.element_ty), mask=mask_KF)
        tl.store(target + at_target + F, d2.to(target.dtype.element_ty), mask=mask_KF)
        return g2 * y1 - g1 * y2

    @triton.jit
    def _forward_kernel(
        q, k, z, f, yq, yk, magnitude, T, K, F,
        q_b, q_t, q_h, k_b, k_t, k_h, yq_b, yq_t, yq_h, yk_b, yk_t, yk_h,
        G: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_F: tl.constexpr,
    ):  # fmt: skip
        token = tl.program_id(0).to(tl.int64)
        heads_K = tl.program_id(1) * BLOCK_K + tl.arange(0, BLOCK_K)
        pairs_F = tl.arange(0, BLOCK_F)
        mask_KF = (heads_K < K)[:, None] & (pairs_F < F)[None, :]
        z_K = tl.load(z + token * K + heads_K, mask=heads_K < K, other=0.0)
        f_F = tl.load(f + pairs_F, mask=pairs_F < F, other=0.0)
        cos_KF, sin_KF = _cos_sin(z_K, f_F, magnitude)
        at_k = _offsets(token, heads_K, pairs_F, T, k_b, k_t, k_h)
        at_yk = _offsets(token, heads_K, pairs_F, T, yk_b, yk_t, yk_h)
        _turn(k, yk, at_k, at_yk, cos_KF, sin_KF, mask_KF, F)
        for g in tl.static_range(G):
            at_q = _offsets(token, heads_K * G + g, pairs_F, T, q_b, q_t, q_h)
            at_yq = _offsets(token, heads_K * G + g, pairs_F, T, yq_b, yq_t, yq_h)
            _turn(q, yq, at_q, at_yq, cos_KF, sin_KF, mask_KF, F)

    @triton.jit
    def _backward_kernel(
        gq, gk, yq, yk, z, f, dq, dk, dz, magnitude, T, K, F,
        gq_b, gq_t, gq_h, gk_b, gk_t, gk_h, yq_b, yq_t, yq_h, yk_b, yk_t, yk_h,
        dq_b, dq_t, dq_h, dk_b, dk_t, dk_h,
        G: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_F: tl.constexpr,
    ):  # fmt: skip
        token = tl.program_id(0).to(tl.int64)
        heads_K = tl.program_id(1) * BLOCK_K + tl.arange(0, BLOCK_K)
        pairs_F = tl.arange(0, BLOCK_F)
        mask_KF = (heads_K < K)[:, None] & (pairs_F < F)[None, :]
        z_K = tl.load(z + token * K + heads_K, mask=heads_K < K, other=0.0)
        f_F = tl.load(f + pairs_F, mask=pairs_F < F, other=0.0)
        cos_KF, sin_KF = _cos_sin(z_K, f_F, magnitude)
        at_gk = _offsets(token, heads_K, pairs_F, T, gk_b, gk_t, gk_h)
        at_yk = _offsets(token, heads_K, pairs_F, T, yk_b, yk_t, yk_h)
        at_dk = _offsets(token, heads_K, pairs_F, T, dk_b, dk_t, dk_h)
        dtheta_KF = _turn_back(gk, yk, dk, at_gk, at_yk, at_dk, cos_KF, sin_KF, mask_KF, F)
        for g in tl.static_range(G):
            heads_q = heads_K * G + g
            at_gq = _offsets(token, heads_q, pairs_F, T, gq_b, gq_t, gq_h)
            at_yq = _offsets(token, heads_q, pairs_F, T, yq_b, yq_t, yq_h)
            at_dq = _offsets(token, heads_q, pairs_F, T, dq_b, dq_t, dq_h)
            dtheta_KF += _turn_back(gq, yq, dq, at_gq, at_yq, at_dq, cos_KF, sin_KF, mask_KF, F)
        dz_K = tl.sum(dtheta_KF * f_F[None, :], axis=1)
        tl.store(dz + token * K + heads_K, dz_K, mask=heads_K < K)


def triton_forward(
    q_BTHD: torch.Tensor,
    k_BTKD: torch.Tensor,
    z_BTK: torch.Tensor,
    inv_freq_F: torch.Tensor,
    magnitude: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotated q and k, in the dtypes of q and k; z and inv_freq are fp32."""
    yq_BTHD, yk_BTKD = (
        torch.empty(x.shape, dtype=x.dtype, device=x.device) for x in (q_BTHD, k_BTKD)
    )
    grid, sizes, blocks = _launch(q_BTHD, k_BTKD)
    tensors = (
        _dense(q_BTHD),
        _dense(k_BTKD),
        z_BTK.contiguous(),
        inv_freq_F.contiguous(),
        yq_BTHD,
        yk_BTKD,
    )
    strides = [s for i in (0, 1, 4, 5) for s in tensors[i].stride()[:3]]
    if grid[0]:
        _forward_kernel[grid](*tensors, magnitude, *sizes, *strides, **blocks)
    return yq_BTHD, yk_BTKD


def triton_backward(
    gq_BTHD: torch.Tensor,
    gk_BTKD: torch.Tensor,
    yq_BTHD: torch.Tensor,
    yk_BTKD: torch.Tensor,
    z_BTK: torch.Tensor,
    inv_freq_F: torch.Tensor,
    magnitude: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gradients of q, k (their dtypes) and z (fp32) from those of the rotated q and k."""
    dq_BTHD, dk_BTKD = (
        torch.empty(x.shape, dtype=x.dtype, device=x.device) for x in (yq_BTHD, yk_BTKD)
    )
    dz_BTK = torch.empty(z_BTK.shape, dtype=torch.float32, device=z_BTK.device)
    grid, sizes, blocks = _launch(yq_BTHD, yk_BTKD)
    moved = [_dense(x) for x in (gq_BTHD, gk_BTKD, yq_BTHD, yk_BTKD)]
    strides = [s for x in (*moved, dq_BTHD, dk_BTKD) for s in x.stride()[:3]]
    z_f = z_BTK.contiguous(), inv_freq_F.contiguous()
    if grid[0]:
        outputs = dq_BTHD, dk_BTKD, dz_BTK
        _backward_kernel[grid](*moved, *z_f, *outputs, magnitude, *sizes, *strides, **blocks)
    return dq_BTHD, dk_BTKD, dz_BTK


def _dense(x: torch.Tensor) -> torch.Tensor:
    """Heads and tokens may be strided (attention's gradients are); a head must be contiguous."""
    return x if x.stride(-1) == 1 else x.contiguous()


def _launch(
    q_BTHD: torch.Tensor, k_BTKD: torch.Tensor
) -> tuple[tuple[int, int], tuple[int, int, int], Any]:
    B, T, H, D = q_BTHD.shape
    K, F = k_BTKD.shape[2], D // 2
    block_f = triton.next_power_of_2(F)
    block_k = min(triton.next_power_of_2(K), max(1, _MAX_PAIRS // block_f))
    blocks = {"G": H // K, "BLOCK_K": block_k, "BLOCK_F": block_f, "num_warps": 4}
    return (B * T, triton.cdiv(K, block_k)), (T, K, F), blocks
