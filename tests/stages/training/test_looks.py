"""When a run looks, what it reads for it, and that the probe and the losses are what they say."""

from pathlib import Path

import pytest

from stages.common.encoder import Encoder
from stages.training import health, held_out, probe
from stages.training.looks import FORWARD, PROMPTS, SHARE, Due, reading
from tests.stages.bytes_tokenizer import save_tokenizer
from tests.stages.training.recipes import recipe


@pytest.mark.parametrize(
    ("steps", "every", "looks"), [(15, 1, 15), (488, 2, 50), (12_000, 60, 120), (7, 3, 2)]
)
def test_looks_are_spread_and_the_last_is_at_the_end(steps: int, every: int, looks: int) -> None:
    due = Due(steps, every, looks)
    found = [step for step in range(1, steps + 1) if due.at(step)]
    assert found[-1] == steps
    assert len(found) <= looks
    assert len(found) >= min(looks, steps // every)
    assert all(step % every == 0 for step in found[:-1])


def test_looks_at_positions_come_at_the_old_cadence() -> None:
    assert [health.looks(steps) for steps in (3, 488, 12_000)] == [3, 50, 120]


@pytest.mark.parametrize("sources", [1, 7])
@pytest.mark.parametrize("tokens", [10**6, 10**8, 50 * 10**9])
@pytest.mark.parametrize("length", [256, 4096])
def test_reading_costs_less_than_a_hundredth(tokens: int, length: int, sources: int) -> None:
    params = recipe(
        tokens=tokens, batch_tokens=4 * length, lengths=({"length": length, "share": 1.0},)
    )
    chosen = reading(params, sources)
    if chosen is None:
        assert tokens == 10**6
        return
    read = (PROMPTS + sources * chosen.windows) * chosen.length * (chosen.looks + 1)
    assert read * FORWARD <= SHARE * tokens
    assert chosen.looks >= 2
    assert chosen.length == length or tokens < 10**9


def test_a_prompt_has_its_answer_once_among_others_and_is_as_long_as_asked(tmp_path: Path) -> None:
    save_tokenizer(tmp_path)
    encoder = Encoder(tmp_path)
    found = probe.prompts(encoder, 256)
    assert len(found) == PROMPTS
    depths = []
    for prompt in found:
        assert len(prompt.ids) + len(prompt.answer) == 256
        text, answer = encoder.text(prompt.ids), encoder.text(prompt.answer)
        key = text.split()[-2]
        assert text.count(f"The number of {key} is{answer}.") == 1
        assert text.count("The number of ") == probe.KEYS_EACH + 1
        depths.append(text.index(f"{key} is{answer}") / len(text))
    assert depths[0] < 0.2 and depths[-1] > 0.8
    assert len({round(depth, 1) for depth in depths}) >= 8
    assert len(set(map(str, found))) == PROMPTS
    assert found == probe.prompts(encoder, 256)
    assert probe.prompts(encoder, 128) == []


def test_what_is_worse_than_the_base_or_than_it_was_is_named() -> None:
    base = {"probe": 0.9, "held_out.a": 2.0}
    fine = {"probe": 0.8, "held_out.a": 2.01}

    def rung(now: dict[str, float], lowest: dict[str, float], settled: bool) -> list[str]:
        return [n for n, bad, _ in held_out.troubles(now, base, lowest, settled) if bad]

    assert rung(fine, fine, settled=True) == []
    worse = {"probe": 0.6, "held_out.a": 2.1}
    assert rung(worse, fine, settled=False) == []
    assert rung(worse, fine, settled=True) == ["probe", "held_out.a"]
    assert rung({"held_out.a": 2.3}, fine, settled=False) == ["held_out.a.grew"]
