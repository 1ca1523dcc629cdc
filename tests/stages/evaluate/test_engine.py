"""Decoding in batches gives the tokens of single runs; losses are the model's own."""

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import GenerationConfig

import repo_model
from stages.common.errors import UserError
from stages.evaluate import engine, generate_batch

EOS = 0


def prompts(*lengths: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(7)
    return [torch.randint(2, 300, (n,), generator=generator).tolist() for n in lengths]


def alone(model, prompt: list[int], budget: int) -> list[int]:
    """One prompt by plain full passes, no cache: the definition of greedy decoding."""
    ids = list(prompt)
    for _ in range(budget):
        with torch.inference_mode():
            following = int(model(torch.tensor([ids])).logits[0, -1].argmax())
        if following == EOS:
            break
        ids.append(following)
    return ids[len(prompt) :]


@pytest.mark.parametrize("positions", ["rope", "nope", "repo", ["rope", "nope"]])
@pytest.mark.parametrize("factor", [None, 2.0])
def test_a_batch_equals_single_runs(make_model, positions, factor) -> None:
    model = make_model(positions)
    if factor and positions != "nope":
        repo_model.extend(model, factor)
    batch = prompts(40, 7, 23, 23, 1 + 1, 61)
    found = engine.generate(model, batch, 12, EOS)
    assert [completion.ids for completion in found] == [alone(model, p, 12) for p in batch]
    assert len({tuple(completion.ids) for completion in found}) == len(batch)


def test_transformers_own_generate_agrees(make_model) -> None:
    model = make_model("repo")
    for prompt in prompts(30, 11):
        ids = torch.tensor([prompt])
        config = GenerationConfig(
            do_sample=False, max_new_tokens=9, eos_token_id=EOS, pad_token_id=EOS
        )
        expected = model.generate(
            ids, attention_mask=torch.ones_like(ids), generation_config=config
        )
        (found,) = engine.generate(model, [prompt], 9, EOS)
        assert found.ids == expected[0, len(prompt) :].tolist()[: len(found.ids)]
        assert len(found.ids) == 9 or found.ended


def test_a_prompt_of_one_token(make_model) -> None:
    model = make_model()
    batch = [[5], *prompts(6)]
    found = engine.generate(model, batch, 5, EOS)
    assert [completion.ids for completion in found] == [alone(model, p, 5) for p in batch]


def test_the_end_is_cut_off_and_told(make_model) -> None:
    model = make_model()
    (prompt,) = prompts(20)
    written = engine.generate(model, [prompt], 8, EOS)[0]
    assert not written.ended
    assert len(written.ids) == 8
    end = written.ids[4]
    first = written.ids.index(end)
    stopped = engine.generate(model, [prompt, *prompts(9)], 8, end)[0]
    assert stopped.ended
    assert stopped.ids == written.ids[:first]


def test_a_checkpoints_generation_settings_are_not_used(make_model) -> None:
    model = make_model()
    batch = prompts(20, 12)
    plain = engine.generate(model, batch, 8, EOS)
    model.generation_config.do_sample = True
    model.generation_config.temperature = 5.0
    model.generation_config.repetition_penalty = 50.0
    assert engine.generate(model, batch, 8, EOS) == plain


@pytest.mark.parametrize("limit", [1 << 25, 300 * 3 * 7, 1])
def test_losses_are_the_models_own(make_model, monkeypatch, limit: int) -> None:
    monkeypatch.setattr(engine, "_LOGITS", limit)
    model = make_model("repo")
    windows = prompts(32, 32, 32)
    with torch.inference_mode():
        ids = torch.tensor(windows)
        logits = model(ids).logits
        expected = [
            float(cross_entropy(row[:-1], target[1:]))
            for row, target in zip(logits, ids, strict=True)
        ]
    assert engine.window_losses(model, windows) == pytest.approx(expected, rel=1e-5)
    for row, loss in zip(engine.window_rows(model, windows), expected, strict=True):
        predicted = len(windows[0]) - 1
        assert len(row["places"]) == min(engine.PLACES, predicted)
        sizes = [len(p) for p in torch.arange(predicted).tensor_split(len(row["places"]))]
        whole = sum(n * part for n, part in zip(sizes, row["places"], strict=True)) / predicted
        assert whole == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("positions", ["rope", "nope", "repo"])
def test_engines_give_equal_tokens(make_model, positions: str) -> None:
    model = make_model(positions)
    batch = prompts(40, 7, 23, 61, 300)
    expected = [alone(model, prompt, 12) for prompt in batch]
    end = expected[1][4]  # one ends by itself, one is stopped, the others spend the budget
    stop = lambda row, ids: row == 2 and len(ids) == 3  # noqa: E731
    own = engine.generate(model, batch, 12, end, stop)
    assert own[1].ended
    assert own[2].stopped
    assert any(len(completion.ids) == 12 for completion in own)
    assert engine.by_generate(model, batch, 12, end, stop) == own
    assert generate_batch.generate(model, batch, 12, end, stop) == own
    assert engine.generate(model, batch, 12, end, stop) == own  # the model is left as it was


def test_a_failed_continuous_batch_is_one_line(make_model) -> None:
    model = make_model()
    model.generate_batch = lambda inputs, **more: {}
    with pytest.raises(UserError, match="--engine continuous: it gave no answer; leave it out"):
        generate_batch.generate(model, prompts(5), 3, EOS)
