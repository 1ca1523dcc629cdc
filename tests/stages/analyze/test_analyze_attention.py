"""Attention mass while answering, against the eager attention maps of a small model."""

import pytest
import torch

import repo_model
from stages.analyze.attention import mean_mass, sample_mass

PROMPT = [5, 6, 7, 8, 9, 10, 11, 12]


@pytest.fixture(scope="module", params=["rope", "nope", "repo"])
def model(request):
    config = repo_model.RepoOlmo2Config(
        positions=request.param,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        vocab_size=50,
        max_position_embeddings=64,
        eos_token_id=0,
        initializer_range=0.2,
    )
    torch.manual_seed(0)
    return repo_model.RepoOlmo2ForCausalLM(config).eval()


def _sample(**changes):
    spans = {"needle_span": [[1, 2], [4, 5]], "query_span": [[6, 8]]}
    return {"prompt_ids": PROMPT, "max_new_tokens": 3, **spans, **changes}


def _maps(model, answer_tokens):
    """Rows that choose the answer's tokens, mean over layers and heads: [row][token]."""
    ids = model.generate(
        torch.tensor([PROMPT]), max_new_tokens=answer_tokens, do_sample=False, pad_token_id=0
    )
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    maps = torch.stack(model(ids, output_attentions=True).attentions)[:, 0].mean((0, 1))
    model.set_attn_implementation(before)
    return maps[len(PROMPT) - 1 : ids.shape[1] - 1].double()


def test_mass_per_token_of_each_span(model):
    with torch.inference_mode():
        rows = _maps(model, 3)
        found = sample_mass(model, _sample())
    assert found["needle"] == pytest.approx(rows[:, [1, 4]].mean().item(), abs=1e-6)
    assert found["query"] == pytest.approx(rows[:, [6, 7]].mean().item(), abs=1e-6)
    assert found["rest"] == pytest.approx(rows[:, [0, 2, 3, 5]].mean().item(), abs=1e-6)
    seen = range(len(PROMPT), len(PROMPT) + len(rows))
    assert found["uniform"] == pytest.approx(sum(1 / n for n in seen) / len(rows))


def test_an_answer_of_one_token_accounts_for_all_attention(model):
    with torch.inference_mode():
        found = sample_mass(model, _sample(max_new_tokens=1))
    assert 2 * found["needle"] + 2 * found["query"] + 4 * found["rest"] == pytest.approx(
        1, abs=1e-5
    )
    assert found["uniform"] == 1 / 8


def test_a_token_of_two_spans_counts_as_needle_and_an_empty_span_as_nothing(model):
    with torch.inference_mode():
        found = sample_mass(model, _sample(needle_span=[[0, 8]], max_new_tokens=1))
    assert found["needle"] == pytest.approx(1 / 8)
    assert (found["query"], found["rest"]) == (0.0, 0.0)


def test_means_and_errors_over_samples():
    masses = [
        {"needle": value, "query": 0.5, "rest": 0.1, "uniform": 0.2} for value in (0.1, 0.2, 0.3)
    ]
    found = mean_mass(masses)
    assert found["needle"] == pytest.approx(0.2)
    assert found["stderr"]["needle"] == pytest.approx(0.1 / 3**0.5, abs=1e-8)
    assert found["stderr"]["query"] == pytest.approx(0)
    assert found["samples"] == 3
    assert mean_mass(masses[:1])["stderr"]["needle"] == 0
    assert mean_mass([]) is None
