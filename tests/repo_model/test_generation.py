"""Caches, padding, decoding strategies and attention kernels give one and the same answer."""

from typing import Any

import pytest
import torch
from transformers import StaticCache

import repo_model
from tests.repo_model.conftest import CLASSES

MIXED = ["nope", "rope", "repo"]


def logits(model: Any, ids_BN: torch.Tensor, **kwargs: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(ids_BN, **kwargs).logits


@pytest.mark.parametrize("family", CLASSES)
@pytest.mark.parametrize("kv_heads", [4, 2])
def test_chunked_cache_equals_one_pass(make, ids, family: str, kv_heads: int) -> None:
    model = make(family, positions=MIXED, num_key_value_heads=kv_heads)
    full = logits(model, ids)
    cache, parts = None, []
    for chunk in (ids[:, :7], ids[:, 7:8], ids[:, 8:9], ids[:, 9:]):
        with torch.no_grad():
            out = model(chunk, past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        parts.append(out.logits)
    torch.testing.assert_close(torch.cat(parts, 1), full, rtol=0, atol=1e-5)


def test_static_cache_equals_one_pass(make, ids) -> None:
    model = make(positions=MIXED)
    full = logits(model, ids)
    cache = StaticCache(config=model.config, max_cache_len=32)
    parts = [
        logits(model, chunk, past_key_values=cache)
        for chunk in (ids[:, :12], ids[:, 12:13], ids[:, 13:])
    ]
    torch.testing.assert_close(torch.cat(parts, 1), full, rtol=0, atol=1e-5)


def test_attention_kernels_agree(make, ids) -> None:
    """SDPA against eager; flex attention is in test_compile.py."""
    model = make(positions=MIXED)
    expected = logits(model, ids)
    model.set_attn_implementation("eager")
    torch.testing.assert_close(logits(model, ids), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("positions", ["rope", "nope", "repo", MIXED])
def test_left_padding_has_no_effect(make, ids, positions: Any) -> None:
    model = make(positions=positions)
    padded = torch.cat((torch.full((2, 5), 1), ids), dim=1)
    mask = (torch.arange(25) >= 5).long().expand(2, -1)
    position_ids = (mask.cumsum(-1) - 1).clamp(min=0)
    out = logits(model, padded, attention_mask=mask, position_ids=position_ids)
    torch.testing.assert_close(out[:, 5:], logits(model, ids), rtol=0, atol=1e-5)


def test_generate_greedy_padded_static_and_beams(make, ids) -> None:
    model = make(positions=MIXED)
    options = {"max_new_tokens": 8, "do_sample": False, "eos_token_id": None, "pad_token_id": 1}
    single = [model.generate(row[None], **options)[0, 20:] for row in ids]
    by_hand = ids[:1]
    for _ in range(8):
        by_hand = torch.cat((by_hand, logits(model, by_hand)[:, -1:].argmax(-1)), dim=1)
    assert torch.equal(single[0], by_hand[0, 20:])
    short = ids[1:, 6:]
    alone = model.generate(short, **options)[0, 14:]
    batch = torch.cat((ids[:1], torch.cat((torch.full((1, 6), 1), short), 1)))
    mask = (batch != 1).long()
    both = model.generate(batch, attention_mask=mask, **options)[:, 20:]
    assert torch.equal(both[0], single[0])
    assert torch.equal(both[1], alone)
    no_compile = {"cache_implementation": "static", "disable_compile": True}
    static = model.generate(ids[:1], **options, **no_compile)[0, 20:]
    assert torch.equal(static, single[0])
    cached = model.generate(ids[:1], num_beams=3, **options)
    assert torch.equal(cached, model.generate(ids[:1], num_beams=3, use_cache=False, **options))


def test_output_attentions_cover_every_layer(make, ids) -> None:
    model = make(positions=MIXED)
    model.set_attn_implementation("eager")
    with torch.no_grad():
        out = model(ids, output_attentions=True, output_hidden_states=True)
    assert [a.shape for a in out.attentions] == [(2, 4, 20, 20)] * 3
    assert len(out.hidden_states) == 4


def test_documents_apart(make) -> None:
    """Restarting position ids keep packed documents apart, for every position type."""
    model = make(positions=MIXED)
    first, second = torch.randint(2, 96, (1, 6)), torch.randint(2, 96, (1, 9))
    eos = torch.zeros(1, 1, dtype=torch.long)
    packed = torch.cat((first, eos, second), dim=1)
    position_ids = repo_model.document_position_ids(packed, eos_token_id=0)
    assert position_ids.tolist() == [[0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4, 5, 6, 7, 8]]
    apart = logits(model, packed, position_ids=position_ids, use_cache=False)
    torch.testing.assert_close(apart[:, 7:], logits(model, second), rtol=0, atol=1e-5)
    together = logits(model, packed)
    assert (together[:, 7:] - apart[:, 7:]).abs().max() > 1e-3
