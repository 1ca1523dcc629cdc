"""A GPU that is not there: fake tensors know their device and shape, and hold no values.

Fake CUDA tensors show a mix of devices and a read by the host (``DataDependentOutputException``).
What they do not show, ``Strict`` does: a scalar on the host passes for any device in torch's rules, and
a kernel that takes its pointers raw reads it on the device. A build of torch without CUDA needs a guard
for the device (``guard.cpp``: torch's own fake one, compiled in 2 s); its autograd engine refuses
fake CUDA tensors all the same, so gradients are taken with ``meta`` as the name of the device.
"""

import ctypes
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor, nn
from torch._functorch import config as functorch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

RAW = ("_fused_adamw_", "_fused_adam_", "_foreach_")
"""Operators whose CUDA kernels take the pointers of lists of tensors as they are."""


class Strict(TorchDispatchMode):
    """Refuses operators of ``RAW`` whose tensors are not all on one device."""

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        name = func.__name__.partition(".")[0]
        if name.startswith(RAW):
            devices = {t.device for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)}
            if len(devices) > 1:
                raise RuntimeError(f"{name} takes tensors on {sorted(map(str, devices))}")
        return func(*args, **kwargs)


@cache
def _guard() -> None:
    """Register a guard of CUDA devices where torch has none."""
    if torch.backends.cuda.is_built():
        return
    torch_folder = Path(torch.__file__).parent
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "guard.so"
        command = ["g++", "-std=c++20", "-shared", "-fPIC", f"-I{torch_folder / 'include'}"]
        command += [str(Path(__file__).with_name("guard.cpp")), "-o", str(library)]
        try:
            subprocess.run(
                [*command, f"-L{torch_folder / 'lib'}", "-lc10"], check=True, capture_output=True
            )
        except FileNotFoundError:
            pytest.skip("needs g++")
        ctypes.CDLL(str(library))


@contextmanager
def device(kind: str) -> Iterator[torch.device]:
    """While the block runs, tensors made on the device that is yielded are fake.

    ``kind``: ``cuda``, or ``meta`` where gradients are taken.
    """
    if kind == "cuda":
        _guard()
    with functorch.patch(fake_tensor_allow_meta=kind == "meta"), FakeTensorMode(), Strict():
        if kind == "cuda":
            yield torch.device("cuda", 0)
            return
        # torch has no autocast for meta.
        off = mock.patch.object(torch, "is_autocast_enabled", return_value=False)
        with off, mock.patch.object(torch, "autocast", return_value=nullcontext()):
            yield torch.device("meta")


def place(model: nn.Module, where: torch.device, dtype: torch.dtype | None = None) -> nn.Module:
    """Give a model fake parameters and buffers on ``where``."""

    def fake(value: Tensor) -> Tensor:
        kind = dtype if dtype is not None and value.is_floating_point() else value.dtype
        return torch.empty(value.shape, dtype=kind, device=where)

    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                module._parameters[name] = nn.Parameter(fake(parameter))
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = fake(buffer)
    return model


def devices(values: Any) -> set[str]:
    """Types of the devices of all tensors in a nest."""
    return {leaf.device.type for leaf in tree_leaves(values) if isinstance(leaf, Tensor)}
