"""torch.compile: the whole model in one graph, one graph for all batch sizes and lengths.

Dynamo and AOT autograd do the tracing that can break; inductor's code generation (minutes on CPU)
is left to the benchmarks.
"""

from typing import Any

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

from tests.repo_model.conftest import CLASSES

MIXED = ["rope", "nope", "repo"]


@pytest.fixture(autouse=True)
def fresh_dynamo() -> Any:
    torch._dynamo.reset()
    yield
    torch.compiler.set_stance("default")
    torch._dynamo.reset()


def batch(B: int, N: int) -> torch.Tensor:
    return torch.randint(2, 96, (B, N), generator=torch.Generator().manual_seed(B * N))


@pytest.mark.parametrize("family", CLASSES)
def test_one_graph_for_every_batch_size(make, family: str) -> None:
    model = make(family, positions=MIXED, num_key_value_heads=2)
    counter = CompileCounterWithBackend("eager")
    compiled = torch.compile(model, backend=counter, fullgraph=True, dynamic=True)
    for B, N in ((2, 12), (3, 12), (5, 12), (7, 9)):
        ids = batch(B, N)
        with torch.no_grad():
            found = compiled(ids, use_cache=False).logits
            torch.testing.assert_close(found, model(ids).logits, rtol=0, atol=1e-5)
    assert counter.frame_count == 1


def test_gradients_in_one_graph(make) -> None:
    model = make(positions=["repo"], num_hidden_layers=1).train()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    ids = batch(2, 12)
    grads = []
    for function in (model, compiled):
        model.zero_grad()
        function(ids, labels=ids, use_cache=False).loss.backward()
        grads.append({n: p.grad.clone() for n, p in model.named_parameters()})
    for name, grad in grads[0].items():
        torch.testing.assert_close(grads[1][name], grad, rtol=1e-3, atol=1e-6)


def test_the_fused_operator_does_not_break_the_graph(make) -> None:
    from repo_model import rotary

    model = make(positions=MIXED)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    ids = batch(2, 12)
    rotary.use_rotary("fused")
    try:
        with torch.no_grad():
            found = compiled(ids, use_cache=False).logits
    finally:
        rotary.use_rotary("auto")
    with torch.no_grad():
        torch.testing.assert_close(found, model(ids).logits, rtol=0, atol=1e-5)


def test_decoding_with_a_static_cache(make) -> None:
    from transformers import StaticCache

    model = make(positions=MIXED)
    counter = CompileCounterWithBackend("eager")
    compiled = torch.compile(model, backend=counter, fullgraph=True)
    ids = batch(2, 12)
    cache = StaticCache(config=model.config, max_cache_len=32)
    with torch.no_grad():
        full = model(ids).logits
        model(ids[:, :4], past_key_values=cache)
        for i in range(4, 12):
            step = compiled(ids[:, i : i + 1], past_key_values=cache).logits
            torch.testing.assert_close(step, full[:, i : i + 1], rtol=0, atol=1e-5)
    assert counter.frame_count == 1


def test_flex_attention(make) -> None:
    """Through its eager form: compiling it for a CPU takes half a minute and tests inductor."""
    model = make(positions=MIXED, hidden_size=64, num_attention_heads=4)
    ids = batch(2, 16)
    with torch.no_grad():
        expected = model(ids).logits
        model.set_attn_implementation("flex_attention")
        torch.compiler.set_stance("force_eager")
        torch.testing.assert_close(model(ids).logits, expected, rtol=0, atol=1e-4)
