"""Serving engines: transformers' continuous batching, and vLLM's Transformers backend played here.

The contract is EVALUATION.md section 4: keyword arguments reach the attention function, which is
called once with q, k, v as [1, heads, T, head_dim], k after rotation; construction is
`AutoModel.from_config` on the meta device; tokens come flat, in chunks, with `use_cache=False`.
"""

import inspect
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AttentionInterface,
    AutoConfig,
    AutoModel,
    ContinuousBatchingConfig,
    GenerationConfig,
)

from tests.repo_model.conftest import CLASSES

MIXED = ["rope", "nope", "repo"]


class Engine:
    """An engine's side of one layer: it keeps the keys and values of every sequence."""

    def __init__(self) -> None:
        self.store: dict[int, list[list[torch.Tensor]]] = defaultdict(lambda: [[], []])
        self.calls = 0

    def attend(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scaling: float, owner: list[int]
    ) -> Any:
        """q [1, H, T, D], k and v [1, K, T, D]; token t belongs to sequence owner[t]."""
        self.calls += 1
        assert q.shape[0] == k.shape[0] == 1
        assert q.shape[2] == k.shape[2] == len(owner)
        rows = []
        for t, sequence in enumerate(owner):
            keys, values = self.store[sequence]
            keys.append(k[0, :, t])
            values.append(v[0, :, t])
            group = q.shape[1] // k.shape[1]
            K = torch.stack(keys, 1).repeat_interleave(group, 0)
            V = torch.stack(values, 1).repeat_interleave(group, 0)
            weight = (torch.einsum("hd,hnd->hn", q[0, :, t], K) * scaling).softmax(-1)
            rows.append(torch.einsum("hn,hnd->hd", weight, V))
        return torch.stack(rows)[None]


def vllm_attention(
    module: Any, q: Any, k: Any, v: Any, mask: Any, scaling: float = 0.0, **kwargs: Any
) -> Any:
    assert mask is None
    assert module.is_causal
    engine = kwargs["attention_instances"][module.layer_idx]
    return engine.attend(q, k, v, scaling, kwargs["owner"]), None


@pytest.mark.parametrize("family", CLASSES)
def test_a_backend_like_vllm_s(make, family: str, tmp_path: Path) -> None:
    AttentionInterface.register("vllm", vllm_attention)
    source = make(family, positions=MIXED, num_key_value_heads=2).double()
    source.save_pretrained(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path, attn_implementation="vllm")
    config._attn_implementation = "vllm"
    with torch.device("meta"):
        base = AutoModel.from_config(config, dtype=torch.float64)
    assert type(base)._supports_attention_backend
    for module in list(base.modules()):  # buffers made on the meta device are made again like this
        for name, buffer in list(module.named_buffers(recurse=False)):
            if buffer.is_meta:
                setattr(module, name, getattr(type(module)(config), name))
    base.load_state_dict(source.model.state_dict(), assign=True)
    base.eval()

    prompts = {0: torch.randint(2, 96, (11,)), 1: torch.randint(2, 96, (5,))}
    schedule = [[(0, 0, 6)], [(0, 6, 9), (1, 0, 4)], [(1, 4, 5), (0, 9, 10)], [(0, 10, 11)]]
    engines = {i: Engine() for i in range(3)}
    found: dict[int, list[torch.Tensor]] = {0: [], 1: []}
    for chunks in schedule:
        ids = torch.cat([prompts[s][a:b] for s, a, b in chunks])[None]
        position_ids = torch.cat([torch.arange(a, b) for _, a, b in chunks])[None]
        owner = [s for s, a, b in chunks for _ in range(a, b)]
        with torch.no_grad():
            hidden = base(
                input_ids=ids,
                inputs_embeds=None,
                use_cache=False,
                position_ids=position_ids,
                attention_instances=engines,
                owner=owner,
                return_dict=False,
            )[0]
        for t, s in enumerate(owner):
            found[s].append(hidden[0, t])
    assert all(engine.calls == len(schedule) for engine in engines.values())
    for s, prompt in prompts.items():
        with torch.no_grad():
            expected = source(prompt[None]).logits[0]
            logits = source.lm_head(torch.stack(found[s]))
        assert expected.dtype == torch.float64
        torch.testing.assert_close(logits, expected, rtol=0, atol=1e-6)


def test_continuous_batching_generates_the_same_tokens(make) -> None:
    model = make(positions=MIXED, num_key_value_heads=2)
    prompts = [torch.randint(2, 96, (n,)).tolist() for n in (9, 17, 4, 12)]
    options = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": -1, "pad_token_id": 1}
    alone = []
    for prompt in prompts:
        out = model.generate(torch.tensor([prompt]), **{**options, "eos_token_id": None})
        alone.append(out[0, len(prompt) :].tolist())
    fields = inspect.signature(ContinuousBatchingConfig).parameters
    size = {"page_size" if "page_size" in fields else "block_size": 16}  # renamed after 5.16
    batching = ContinuousBatchingConfig(**size, num_blocks=32, max_batch_tokens=64)
    results = model.generate_batch(
        inputs=prompts,
        generation_config=GenerationConfig(**options),
        continuous_batching_config=batching,
    )
    found = {tuple(r.prompt_ids): r.generated_tokens for r in results.values()}
    assert [found[tuple(p)] for p in prompts] == alone
