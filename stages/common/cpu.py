"""What a CPU core does, without torch: whether bf16 is fast, and what speed to reckon with."""

from functools import cache
from pathlib import Path

BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""Instructions in /proc/cpuinfo that multiply bf16 matrices (x86, x86, ARM)."""
TOY_WIDTH = 256
TOY_FLOPS, FP32_FLOPS, BF16_FLOPS = 18e9, 55e9, 80e9
"""FLOP/s of a core: at toy size most is overhead (README's `make run`); above it as measured with
SmolLM2-135M on an EPYC with avx512_bf16, forward and backward, one thread (2026-11-27, load 16)."""


@cache
def fast_bf16() -> bool:
    """Whether this machine's cores have instructions for bf16; without them fp32 is the faster one."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    lines = (line for line in text.splitlines() if line.startswith(("flags", "Features")))
    return bool(BF16_FLAGS & set(next(lines, "").split()))


def core_flops(width: int, bf16: bool) -> float:
    """FLOP/s of one core of this kind, for a model of this width."""
    if width < TOY_WIDTH:
        return TOY_FLOPS
    return BF16_FLOPS if bf16 and fast_bf16() else FP32_FLOPS
