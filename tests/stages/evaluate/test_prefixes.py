"""What prompts share is read once, and nothing else changes."""

from random import Random

import pytest

import repo_model
from stages.evaluate import engine, prefill, prefixes
from stages.evaluate.prefixes import in_order, key, readings, shared
from tests.stages.evaluate.test_engine import EOS, alone, prompts


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beginnings as short as these tests' are worth it."""
    monkeypatch.setattr(prefixes, "_FEWEST", 1)


def keys(*texts: str) -> list[bytes]:
    return [key([ord(letter) for letter in text]) for text in texts]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("abcdef", "abcdxy", 4),
        ("abcdef", "abcdef", 5),  # one is left to read
        ("abcdef", "abcd", 3),
        ("abcd", "abcdef", 4),
        ("abcdef", "abxxxx", 0),  # not worth it
        ("abcdef", "xbcdef", 0),
        ("a", "a", 0),
    ],
)
def test_what_two_prompts_share(one: str, other: str, expected: int) -> None:
    assert shared(*keys(one, other)) == expected


def test_a_short_beginning_is_not_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefixes, "_FEWEST", 5)
    assert shared(*keys("abcdef", "abcdxy")) == 0
    assert shared(*keys("abcdef", "abcdef")) == 5


def test_large_ids_sort_as_numbers() -> None:
    assert sorted([key([256]), key([255]), key([100_000, 1]), key([1])]) == [
        key(ids) for ids in ([1], [255], [256], [100_000, 1])
    ]


def test_by_length_and_families_together() -> None:
    assert in_order(keys("ccc", "b", "aa", "dd")) == [1, 2, 3, 0]
    assert in_order(keys("aaaa1", "bb", "aaaa22", "ccccc3", "aaaa0")) == [1, 4, 0, 2, 3]


def test_readings_read_every_row_once() -> None:
    found = list(readings(keys("aaaa1", "bb", "aaaa22", "ccccc3", "aaaa0"), 12))
    assert found == [([1, 4], 0), ([0], 4), ([2], 4), ([3], 0)]
    rng = Random(3)
    some = [[rng.randrange(2) for _ in range(rng.randrange(1, 12))] for _ in range(60)]
    rows = [row for rows, _ in readings([key(ids) for ids in some], 24) for row in rows]
    assert sorted(rows) == list(range(60))
    before = -1
    for group, kept in readings([key(ids) for ids in some], 24):
        if kept:
            assert some[group[0]][:kept] == some[before][:kept]
            assert len(group) == 1
        before = group[-1]


@pytest.mark.parametrize("positions", ["rope", "nope", "repo", ["rope", "nope"]])
@pytest.mark.parametrize("factor", [None, 2.0])
def test_tokens_and_positions_are_those_of_single_runs(make_model, positions, factor) -> None:
    model = make_model(positions)
    if factor and positions != "nope":
        repo_model.extend(model, factor)
    haystack, other, *ends = prompts(50, 31, 9, 5, 14, 3, 9, 6)
    batch = [haystack[:n] + end for n, end in zip((50, 30, 50, 42, 20), ends, strict=False)]
    batch += [other, other + ends[0], haystack + ends[0], other]
    marks = [row % 2 * 10 + 12 for row in range(len(batch))]
    read: list[int] = []
    with model.base_model.register_forward_pre_hook(
        lambda module, args, more: read.append(more["input_ids"].numel()), with_kwargs=True
    ):
        found = engine.generate(model, batch, 9, EOS, marks=marks)
    before_decoding = next(i for i, size in enumerate(read) if size == len(batch))
    assert sum(read[:before_decoding]) < 0.6 * sum(len(prompt) - 1 for prompt in batch)
    assert [completion.ids for completion in found] == [alone(model, p, 9) for p in batch]
    for completion, prompt, mark in zip(found, batch, marks, strict=True):
        (single,) = engine.generate(model, [prompt], 9, EOS, marks=[mark])
        assert (completion.position is None) == (positions != "repo")
        assert completion.position == pytest.approx(single.position, abs=2e-4)


def test_a_cache_with_room_is_a_cache(make_model) -> None:
    model = make_model("repo")
    cache, _ = prefill.read(model, prompts(20, 12), [None, None], 3)
    assert cache.get_seq_length() == 19
    assert all(layer._whole[0].shape[2] == 22 for layer in cache.layers)
