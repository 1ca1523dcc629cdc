"""Names and shapes of a model's weights by its config.json, as transformers' classes have them.

``tests/families`` compares them with the classes themselves, for every row of the table.
"""

from collections.abc import Mapping
from typing import Any

from stages.common.shape import FAMILIES, QK_HEAD, QK_WIDTH, Shape, biased, mixture_layers

Shapes = dict[str, tuple[int, ...]]
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
FUSED = ("phi3",)
"""Families with q, k and v in one matrix, and the MLP's two."""
NORMS = {
    2: ("input_layernorm", "post_attention_layernorm"),
    4: (
        "input_layernorm",
        "post_attention_layernorm",
        "pre_feedforward_layernorm",
        "post_feedforward_layernorm",
    ),
}
"""By their number in a layer."""
POST_NORMS = ("post_attention_layernorm", "post_feedforward_layernorm")


def expected(config: Mapping[str, Any], shape: Shape) -> Shapes:
    """Every weight but the learned positions' maps; a tied head is none of its own."""
    width, rows = shape.width, shape.vocabulary
    found: Shapes = {EMBEDDING: (rows, width), "model.norm.weight": (width,)}
    mixed = set(mixture_layers(config))
    for layer in range(shape.layers):
        names = {**_attention(config, shape), **_norms(shape)}
        names |= _mixture(shape) if layer in mixed else _mlp(config, shape)
        found |= {f"model.layers.{layer}.{name}": size for name, size in names.items()}
    if not shape.tied:
        found[HEAD] = (rows, width)
    return found


def _attention(config: Mapping[str, Any], shape: Shape) -> Shapes:
    width, queries = shape.width, shape.heads * shape.head_width
    keys = shape.kv_heads * shape.head_width
    sizes = {"q_proj": queries, "k_proj": keys, "v_proj": keys}
    if shape.family in FUSED:
        sizes = {"qkv_proj": queries + 2 * keys}
    found: Shapes = {f"self_attn.{name}.weight": (rows, width) for name, rows in sizes.items()}
    found["self_attn.o_proj.weight"] = (width, queries)
    which, _ = biased(shape.family, config)
    if which != "none":
        found |= {f"self_attn.{name}.bias": (rows,) for name, rows in sizes.items()}
    if which == "all":
        found["self_attn.o_proj.bias"] = (width,)
    kind = FAMILIES[shape.family][1]
    for name, over in (("q_norm", queries), ("k_norm", keys)):
        if kind in (QK_WIDTH, QK_HEAD):
            size = over if kind == QK_WIDTH else shape.head_width
            found[f"self_attn.{name}.weight"] = (size,)
    return found


def _norms(shape: Shape) -> Shapes:
    post = shape.family in ("olmo2", "olmo3")
    names = POST_NORMS if post else NORMS[FAMILIES[shape.family][0]]
    return {f"{name}.weight": (shape.width,) for name in names}


def _mlp(config: Mapping[str, Any], shape: Shape) -> Shapes:
    width, inner = shape.width, shape.inner
    ins = {"gate_proj": inner, "up_proj": inner}
    if shape.family in FUSED:
        ins = {"gate_up_proj": 2 * inner}
    found: Shapes = {f"mlp.{name}.weight": (rows, width) for name, rows in ins.items()}
    found["mlp.down_proj.weight"] = (width, inner)
    if biased(shape.family, config)[1]:
        found |= {f"mlp.{name}.bias": (rows,) for name, rows in ins.items()}
        found["mlp.down_proj.bias"] = (width,)
    return found


def _mixture(shape: Shape) -> Shapes:
    """Expert by expert, as they are stored; all in one tensor they are as good (``stacked``)."""
    width, inner = shape.width, shape.expert_inner
    found: Shapes = {"mlp.gate.weight": (shape.experts, width)}
    for expert in range(shape.experts):
        name = f"mlp.experts.{expert}"
        found |= {f"{name}.{part}_proj.weight": (inner, width) for part in ("gate", "up")}
        found[f"{name}.down_proj.weight"] = (width, inner)
    return found


def unstacked(shapes: Mapping[str, tuple[int, ...]]) -> Shapes:
    """The weights with a mixture's tensors of all experts as one for each."""
    found: Shapes = {}
    for name, size in shapes.items():
        before, all_of, part = name.rpartition(".mlp.experts.")
        if not all_of or part not in ("gate_up_proj", "down_proj") or len(size) != 3:
            found[name] = size
            continue
        experts, rows, columns = size
        parts = ("down",) if part == "down_proj" else ("gate", "up")
        for expert in range(min(experts, 65536)):
            for one in parts:
                each = f"{before}.mlp.experts.{expert}.{one}_proj.weight"
                found[each] = (rows // len(parts), columns)
    return found
