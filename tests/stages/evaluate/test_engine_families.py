"""Every kind of causal model: the tokens of ``generate`` one by one, or a named way that gives them.

A family is built tiny from its config, with windows and chunks of 24 tokens, and reads ragged prompts
around that length, two of which share their beginning.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import CONFIG_MAPPING, AutoModelForCausalLM
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from stages.common.errors import UserError
from stages.evaluate import engine, generate_batch

WINDOW, VOCABULARY, NEW = 24, 200, 10
SIZES: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "dim", "word_embed_proj_dim"), 32),
    **dict.fromkeys(("attention_hidden_size", "embedding_size", "lru_width"), 32),
    **dict.fromkeys(("intermediate_size", "n_inner", "ffn_dim", "decoder_ffn_dim"), 64),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), 4),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), 4),
    **dict.fromkeys(("decoder_attention_heads", "encoder_attention_heads"), 4),
    **dict.fromkeys(("decoder_layers", "encoder_layers", "moe_k", "num_experts_per_tok"), 2),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "context_length"), 512),
    **dict.fromkeys(("sliding_window", "window_size", "attention_chunk_size"), WINDOW),
    **dict.fromkeys(("local_attention", "attention_window_size", "index_topk"), WINDOW),
    **dict.fromkeys(("pad_token_id", "eos_token_id"), 0),
    **dict.fromkeys(
        ("linear_key_head_dim", "linear_value_head_dim", "hidden_size_per_layer_input"), 8
    ),
    **dict.fromkeys(("head_dim", "qk_head_dim", "v_head_dim", "state_size", "index_head_dim"), 8),
    **dict.fromkeys(("qk_rope_head_dim", "qk_nope_head_dim", "rotary_dim"), 4),
    **dict.fromkeys(("num_key_value_heads", "linear_num_key_heads", "index_n_heads"), 2),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank", "chunk_size", "mamba_head_dim"), 16),
    **dict.fromkeys(("n_group", "topk_group", "bos_token_id", "max_window_layers"), 1),
    **dict.fromkeys(("n_groups", "mamba_n_groups", "n_shared_experts", "first_k_dense_replace"), 1),
    **dict.fromkeys(("use_sliding_window", "is_decoder"), True),
    **dict.fromkeys(("vocab_size", "vocab_size_per_layer_input"), VOCABULARY),
    "moe_intermediate_size": 32,
    "linear_num_value_heads": 4,
    "mamba_num_heads": 4,
    "num_kv_shared_layers": 0,
    "tie_word_embeddings": False,
}
OWN = (
    "llama",
    "qwen3",
    "gpt2",
    "opt",
    "gpt_neox",
    "olmo2",
    "deepseek_v3",
    "biogpt",
    "bloom",
    "falcon",
)
STATIC = {
    "mistral": "DynamicSlidingWindowLayer",
    "gemma3_text": "DynamicSlidingWindowLayer",
    "olmo3": "DynamicSlidingWindowLayer",
    "gemma2": "DynamicSlidingWindowLayer",
    "gpt_oss": "DynamicSlidingWindowLayer",
    "llama4_text": "DynamicSlidingWindowLayer",  # chunks
    "gpt_neo": "window_size",
    "qwen3_next": "LinearAttention",
    "lfm2": "LinearAttention",
    "mamba": "LinearAttention",
    "nemotron_h": "DummyLayer",
    "camembert": "ragged batch",
}
ALONE = {"bart": "ragged batch", "rwkv": "ragged batch", "deepseek_v4": "index", "hy_v4": "index"}
MORE = {
    "gpt_neo": {"attention_types": [[["global", "local"], 2]]},
    "deepseek_v3": {"qk_rope_head_dim": 8, "head_dim": 8, "num_key_value_heads": 4},
    "lfm2": {"layer_types": ["conv", "full_attention"] * 2},
    "qwen3_next": {"layer_types": ["linear_attention", "full_attention"] * 2},
    "mistral": {"sliding_window": WINDOW},
}


def build(family: str) -> Any:
    """A random model of four layers whose tokens depend on positions; one of each kind of layer."""
    given = CONFIG_MAPPING[family]().to_dict()
    plain = (list, tuple, dict)
    sizes = {k: v for k, v in SIZES.items() if k in given and not isinstance(given[k], plain)}
    for name in ("layer_types", "mlp_layer_types", "layers_block_type"):
        if isinstance(given.get(name), list):
            sizes[name] = (list(dict.fromkeys(given[name])) * 4)[:4]
    torch.manual_seed(0)
    config = CONFIG_MAPPING[family](**sizes | MORE.get(family, {}))
    model = AutoModelForCausalLM.from_config(config).eval().float()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() >= 2:
                weight.normal_(0, 0.25)
    return model


def batch() -> list[list[int]]:
    generator = torch.Generator().manual_seed(3)

    def ids(count: int) -> list[int]:
        return torch.randint(2, VOCABULARY, (count,), generator=generator).tolist()

    begin = ids(270)
    return [
        *map(ids, (40, 7, WINDOW - 1, WINDOW, WINDOW + 1, 61, 110)),
        begin + ids(9),
        begin + ids(30),
    ]


def alone(model: Any, prompt: list[int]) -> list[int]:
    ids = torch.tensor([prompt])
    out = model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=engine.greedy(NEW, 0)
    )[0, len(prompt) :].tolist()
    return out[: out.index(0)] if 0 in out else out


def agrees(model: Any) -> None:
    prompts = batch()
    expected = [alone(model, prompt) for prompt in prompts]
    assert [found.ids for found in engine.generate(model, prompts, NEW, 0)] == expected
    assert [found.ids for found in engine.by_generate(model, prompts, NEW, 0)] == expected


@pytest.mark.parametrize("family", OWN)
def test_full_attention_is_read_by_the_own_engine(family: str) -> None:
    model = build(family)
    agrees(model)
    assert engine.way(model) == ("own", "")


@pytest.mark.parametrize(("family", "reason"), STATIC.items())
def test_what_counts_places_of_the_cache_steps_aside(family: str, reason: str) -> None:
    model = build(family)
    agrees(model)
    assert engine.way(model).way == "static"
    assert reason in engine.way(model).reason


@pytest.mark.parametrize(("family", "reason"), ALONE.items())
def test_what_takes_no_notice_of_padding_reads_alone(family: str, reason: str) -> None:
    model = build(family)
    agrees(model)
    assert engine.way(model).way == "alone"
    assert reason in engine.way(model).reason


@pytest.mark.parametrize("family", ["mistral", "bloom"])
def test_continuous_batches_refuse_what_they_would_get_wrong(family: str) -> None:
    with pytest.raises(UserError, match="--engine continuous: not for this model"):
        generate_batch.generate(build(family), batch(), NEW, 0)


@pytest.mark.parametrize("family", ["gemma2", "cohere", "granite", "llama"])
def test_losses_cap_and_scale_as_the_model_does(family: str) -> None:
    model = build(family)
    windows = [prompt[:20] for prompt in batch() if len(prompt) > 20]
    with torch.inference_mode():
        ids = torch.tensor(windows)
        logits = model(ids).logits
        expected = [
            float(cross_entropy(row[:-1], target[1:]))
            for row, target in zip(logits, ids, strict=True)
        ]
    assert engine.window_losses(model, windows) == pytest.approx(expected, rel=1e-4)


def _others() -> Iterator[str]:
    known = {*OWN, *STATIC, *ALONE}
    return (family for family in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES if family not in known)


@pytest.mark.stress
@pytest.mark.parametrize("family", _others())
def test_all_other_families_of_transformers(family: str) -> None:
    try:
        model = build(family)
        if sum(weight.numel() for weight in model.parameters()) > 30_000_000:
            pytest.skip("this family is not tiny by these sizes")
        alone(model, batch()[0])
    except Exception as error:  # sizes that do not fit one another, images, other inputs
        pytest.skip(f"no tiny text model of these sizes: {type(error).__name__}")
    agrees(model)
