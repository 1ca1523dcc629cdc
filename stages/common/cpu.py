"""What a CPU core does, without torch: whether bf16 is fast, and what speed to reckon with."""

import platform
from functools import cache
from pathlib import Path

BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""Instructions in /proc/cpuinfo that multiply bf16 matrices (x86, x86, ARM)."""
TOY_WIDTH = 256
TOY_FLOPS, FP32_FLOPS, BF16_FLOPS = 18e9, 55e9, 80e9
"""FLOP/s of a core: at toy size most is overhead (README's `make run`); above it as measured with
SmolLM2-135M on an EPYC with avx512_bf16, forward and backward, one thread (2026-11-27, load 16)."""
AMX_FLOPS = 140e9
"""The same on a Xeon with amx_bf16, one thread each of two workers (2026-11-28, load 8 to 14)."""
EMULATED = 40
"""How many times slower than fp32 bf16 is where it is emulated: 32, 61 and 86 for products of width
576, 1,024 and 1,536 on an EPYC with AVX2 alone (2026-11-27)."""


def fast_bf16() -> bool:
    """Whether this machine's cores have instructions for bf16; without them fp32 is the faster one."""
    return bool(BF16_FLAGS & set(_said("flags", "Features").split()))


def name() -> str:
    """What kind of core this is: the maker's words, with what it has for bf16."""
    flags = sorted(BF16_FLAGS & set(_said("flags", "Features").split()))
    return " ".join((_said("model name") or platform.processor() or platform.machine(), *flags))


@cache
def _said(*keys: str) -> str:
    """The first core's value of one of the keys in /proc/cpuinfo; empty where there is none."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ""
    lines = (line for line in text.splitlines() if line.startswith(keys))
    return next(lines, "").partition(":")[2].strip()


def bf16_flops() -> float:
    """FLOP/s of one of this machine's cores in bf16, for a model above toy size."""
    if not fast_bf16():
        return FP32_FLOPS / EMULATED
    return AMX_FLOPS if "amx_bf16" in name().split() else BF16_FLOPS


def core_flops(width: int, bf16: bool) -> float:
    """FLOP/s of one core of this kind, for a model of this width."""
    if width < TOY_WIDTH:
        return TOY_FLOPS if not bf16 or fast_bf16() else TOY_FLOPS / EMULATED
    if not bf16:
        return FP32_FLOPS
    return bf16_flops()
