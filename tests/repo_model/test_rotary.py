"""Every rung of the rotation against fp64 autograd, values and gradients."""

import importlib.util
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import repo_model.rotary as rotary
from repo_model.rotary_op import rotate_op
from repo_model.rotary_reference import rotate_reference

SHAPES = [  # B, T, H, K, D
    (2, 7, 4, 4, 16),
    (1, 1, 2, 2, 64),
    (1, 11, 6, 2, 12),
    (2, 5, 8, 1, 128),
    (1, 3, 3, 3, 2),
]


def inputs(shape: tuple[int, ...], dtype: torch.dtype, reach: float) -> list[torch.Tensor]:
    """q, k, z, inv_freq, and gradients of the rotated q and k, strided as attention gives them."""
    B, T, H, K, D = shape
    torch.manual_seed(sum(shape))
    q, k = torch.randn(B, T, H, D), torch.randn(B, T, K, D)
    gq, gk = torch.randn(B, H, T, D).transpose(1, 2), torch.randn(B, K, T, D).transpose(1, 2)
    z = (torch.rand(B, T, K) * 2 - 1) * reach
    inv_freq = 5e5 ** (-torch.arange(0, D, 2) / D)
    return [q.to(dtype), k.to(dtype), z, inv_freq, gq.to(dtype), gk.to(dtype)]


def exact(tensors: list[torch.Tensor], magnitude: float) -> list[torch.Tensor]:
    """fp64 autograd through the reference, from the fp32 angles that every rung shares."""
    q, k, z, inv_freq, gq, gk = (x.double() for x in tensors)
    q, k, z = (x.requires_grad_() for x in (q, k, z))
    angle = z[..., None] * inv_freq
    angle = angle + (angle.float().double() - angle).detach()
    _B, _T, K, F = angle.shape
    turn = torch.polar(torch.full((), magnitude, dtype=torch.float64), angle)[:, :, :, None]
    rotated = []
    for x in (q, k):
        x = x.unflatten(2, (K, -1))
        y = torch.complex(x[..., :F], x[..., F:]) * turn
        rotated.append(torch.cat((y.real, y.imag), -1).flatten(2, 3))
    torch.autograd.backward(rotated, [gq, gk])
    assert q.grad is not None
    assert k.grad is not None
    assert z.grad is not None
    return [*(y.detach() for y in rotated), q.grad, k.grad, z.grad]


def run(function: Any, tensors: list[torch.Tensor], magnitude: float) -> list[torch.Tensor]:
    q, k, z, inv_freq, gq, gk = tensors
    q, k, z = (x.clone().requires_grad_() for x in (q, k, z))
    rotated = function(q, k, z, inv_freq, magnitude)
    torch.autograd.backward(rotated, [gq, gk])
    return [*(y.detach() for y in rotated), q.grad, k.grad, z.grad]  # type: ignore[list-item]


def compare(found: list[torch.Tensor], expected: list[torch.Tensor], dtype: torch.dtype) -> None:
    names = ("q", "k", "dq", "dk", "dz")
    for name, a, b in zip(names, found, expected, strict=True):
        half = dtype != torch.float32
        assert a.dtype == (torch.float32 if name == "dz" else dtype), name
        error = (a.double() - b).abs().max() / b.abs().max().clamp(min=1)
        assert error < (1e-2 if half else 2e-6), (name, error)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("rung", ["reference", "vectorized", "fused"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rungs(shape: tuple[int, ...], rung: str, dtype: torch.dtype) -> None:
    rotary.use_rotary(rung)
    try:
        for reach, magnitude in ((5.0, 1.0), (1e4, 1.1386)):
            tensors = inputs(shape, dtype, reach)
            compare(run(rotary.rotate, tensors, magnitude), exact(tensors, magnitude), dtype)
    finally:
        rotary.use_rotary("auto")


@pytest.mark.parametrize("rung", ["reference", "vectorized", "fused"])
def test_fp64_gradients(rung: str) -> None:
    rotary.use_rotary(rung)
    q, k, z, inv_freq, _, _ = (x.double() for x in inputs((1, 2, 4, 2, 4), torch.float32, 3.0))
    arguments = [x.requires_grad_() for x in (q, k, z)]
    try:
        torch.autograd.gradcheck(lambda q, k, z: rotary.rotate(q, k, z, inv_freq, 1.1), arguments)
    finally:
        rotary.use_rotary("auto")


def test_the_operator_keeps_its_contract() -> None:
    q, k, z, inv_freq, _, _ = inputs((2, 5, 4, 2, 8), torch.float32, 3.0)
    arguments = [x.requires_grad_() for x in (q, k, z)]
    torch.library.opcheck(
        torch.ops.repo_model.rotate_v1.default,
        (*arguments, inv_freq, 1.0),
        test_utils=("test_schema", "test_autograd_registration", "test_faketensor"),
    )


def test_a_second_copy_shares_the_operator(tmp_path: Path) -> None:
    """trust_remote_code imports a copy of this code beside the installed package."""
    package = tmp_path / "copied_code"
    package.mkdir()
    for file in Path(rotary.__file__).parent.glob("rotary*.py"):
        (package / file.name).write_text(file.read_text())
    (package / "__init__.py").write_text("")
    sys.path.insert(0, str(tmp_path))
    try:
        copy = importlib.import_module("copied_code.rotary")
    finally:
        sys.path.remove(str(tmp_path))
    tensors = inputs(SHAPES[0], torch.float32, 5.0)
    for function in (copy.rotate_op, rotate_op):
        compare(run(function, tensors, 1.0), exact(tensors, 1.0), torch.float32)


def test_auto_says_what_it_chose(caplog: Any) -> None:
    tensors = inputs(SHAPES[0], torch.float32, 5.0)
    rotary._state["logged"] = ""
    with caplog.at_level(logging.INFO, logger="repo_model.rotary"):
        for _ in range(2):
            rotary.rotate(*tensors[:4])
    assert [r.getMessage() for r in caplog.records] == ["rotary on cpu: vectorized"]
    with pytest.raises(ValueError, match="rotary='fast' is unknown"):
        rotary.use_rotary("fast")


def test_no_gradient_for_positions_that_need_none() -> None:
    q, k, z, inv_freq, _, _ = inputs(SHAPES[0], torch.float32, 5.0)
    q.requires_grad_()
    for x in rotary.rotate(q, k, z, inv_freq):
        x.sum().backward(retain_graph=True)
    expected = q.grad
    q.grad = None
    for x in rotate_reference(q, k, z, inv_freq):
        if x.requires_grad:
            x.sum().backward(retain_graph=True)
    torch.testing.assert_close(q.grad, expected)


def interpreted() -> None:
    """Runs in a process with TRITON_INTERPRET=1: the kernels, forward and backward."""
    from repo_model.rotary_triton import triton_backward, triton_forward

    for i, shape in enumerate(SHAPES):
        dtype = torch.bfloat16 if i == 0 else torch.float32
        reach, magnitude = (1e4, 1.1386) if i % 2 else (5.0, 1.0)
        tensors = inputs(shape, dtype, reach)
        q, k, z, inv_freq, gq, gk = tensors
        rotated = triton_forward(q, k, z, inv_freq, magnitude)
        gradients = triton_backward(gq, gk, *rotated, z, inv_freq, magnitude)
        compare([*rotated, *gradients], exact(tensors, magnitude), dtype)
        if i == 1:
            again = triton_backward(gq, gk, *rotated, z, inv_freq, magnitude)
            assert all(torch.equal(a, b) for a, b in zip(gradients, again, strict=True))


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
def test_triton_kernels_in_the_interpreter() -> None:
    path = [str(Path(__file__).parent), *sys.path]
    code = f"import sys; sys.path[:0] = {path!r}; import test_rotary; test_rotary.interpreted()"
    env = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("shape", [*SHAPES, (4, 1000, 16, 16, 128)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_triton_kernels_on_a_gpu(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    for reach, magnitude in ((5.0, 1.0), (1e4, 1.1386)):
        tensors = inputs(shape, dtype, reach)
        found = run(rotary.rotate, [x.cuda() for x in tensors], magnitude)
        compare([x.cpu() for x in found], exact(tensors, magnitude), dtype)
