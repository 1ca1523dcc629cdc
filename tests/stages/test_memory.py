"""The plan's activations beside what autograd keeps, counted on meta tensors: no memory, no GPU.

Flash attention's own operator stands for every fused kernel. A block is compiled as far as torch's
partitioner, which decides what is kept; no code is made. On a GPU the rotation is one operator that
keeps less than the plain one counted here.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any
from unittest import mock

import pytest
import torch
import transformers.masking_utils
from torch import Tensor
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

import repo_model
from stages.common.shape import Shape
from stages.training.engine import _Objective

TOKENS, WIDTH, HEADS = 512, 512, 16
FAMILIES = {
    "olmo2": (repo_model.RepoOlmo2Config, repo_model.RepoOlmo2ForCausalLM),
    "llama": (repo_model.RepoLlamaConfig, repo_model.RepoLlamaForCausalLM),
    "qwen3": (repo_model.RepoQwen3Config, repo_model.RepoQwen3ForCausalLM),
}


def attention(module: Any, q: Tensor, k: Tensor, v: Tensor, *_: Any, **__: Any) -> Any:
    out = torch.ops.aten._scaled_dot_product_flash_attention(q, k, v, 0.0, True)[0]
    return out.transpose(1, 2).contiguous(), None


@pytest.fixture(autouse=True)
def on_meta() -> Iterator[None]:
    """Meta tensors have no values for the look at packed documents, and torch no autocast for them."""
    ALL_ATTENTION_FUNCTIONS.register("counted", attention)
    with (
        mock.patch.object(transformers.masking_utils, "find_packed_sequence_indices"),
        mock.patch.object(torch, "is_autocast_enabled", return_value=False),
        mock.patch.object(torch, "autocast", return_value=nullcontext()),
    ):
        yield
    torch._dynamo.reset()


def kept(
    family: str, position: str, layers: int, inner: int, kv_heads: int, compiled: bool, kind: Any
) -> float:
    """Bytes a token that one forward pass keeps."""
    config, model = FAMILIES[family]
    with torch.device("meta"):
        net = model(
            config(
                positions=[position] * layers,
                vocab_size=256,
                hidden_size=WIDTH,
                intermediate_size=inner,
                num_hidden_layers=layers,
                num_attention_heads=HEADS,
                num_key_value_heads=kv_heads,
                head_dim=WIDTH // HEADS,
                max_position_embeddings=TOKENS,
                pad_token_id=None,
                bos_token_id=None,
                eos_token_id=0,
            )
        ).to(kind)
    net.config._attn_implementation = "counted"
    for layer in net.model.layers if compiled else ():
        layer.compile(backend="aot_eager_decomp_partition")
    own = {x.untyped_storage()._cdata for x in [*net.parameters(), *net.buffers()]}
    found: dict[int, tuple[int, Tensor]] = {}

    def pack(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        if storage._cdata not in own:
            found[storage._cdata] = storage.nbytes(), value  # held, so that no number comes twice
        return value

    objective = _Objective(net.train(), 1e-5, None, "chunked")
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        objective(torch.zeros(1, TOKENS, dtype=torch.long, device="meta"))
    return sum(size for size, _ in found.values()) / TOKENS


def planned(
    family: str, position: str, layers: int, inner: int, kv_heads: int, compiled: bool, kind: Any
) -> float:
    shape = Shape(family, WIDTH, inner, layers, HEADS, kv_heads, WIDTH // HEADS, 256, False, TOKENS)
    maps = layers if position == "repo" else 0
    return shape.activation_bytes(maps, kind.itemsize, compiled)


EAGER = [
    (family, position, inner, kv_heads, False, kind)
    for family in FAMILIES
    for position in ("rope", "nope", "repo")
    for inner, kv_heads in ((2048, 16), (1024, 4))
    for kind in (torch.bfloat16, torch.float32)
]
COMPILED = [
    ("olmo2", "rope", 2048, 16, True, torch.bfloat16),
    ("olmo2", "repo", 2048, 16, True, torch.bfloat16),
    ("llama", "rope", 2048, 4, True, torch.bfloat16),
]


@pytest.mark.parametrize(
    ("family", "position", "inner", "kv_heads", "compiled", "kind"), [*EAGER, *COMPILED]
)
def test_the_plan_is_within_a_tenth_of_what_autograd_keeps(
    family: str, position: str, inner: int, kv_heads: int, compiled: bool, kind: Any
) -> None:
    how = (inner, kv_heads, compiled, kind)
    one, two = (kept(family, position, layers, *how) for layers in (1, 2))
    assert planned(family, position, 1, *how) == pytest.approx(two - one, rel=0.1)
