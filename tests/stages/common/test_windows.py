"""Validation windows: disjoint, spread over every source, the same for everybody."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from stages.common import windows
from stages.common.errors import UserError
from stages.common.files import read_json, write_json
from stages.common.tokens import DTYPE, SPLIT, TokenStore


def make_store(folder: Path, *shards: tuple[str, str, int]) -> TokenStore:
    """Shards of (split, source, tokens); each id is its place in its file."""
    entries = []
    folder.mkdir(parents=True, exist_ok=True)
    for number, (split, source, tokens) in enumerate(shards):
        file = f"{split}-{source}-{number}.npy"
        np.arange(tokens).astype(DTYPE).tofile(folder / file)
        entries.append({"split": split, "source": source, "file": file, "tokens": tokens})
    write_json(folder / "manifest.json", {"shards": entries, "eos_id": 0, "vocab_size": 9})
    return TokenStore(folder)


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    return make_store(
        tmp_path / "tokens",
        ("train", "a", 5000),
        ("validation", "a", 30_000),
        ("validation", "b", 700),
        ("validation", "a", 50_000),
        ("validation", "a", 20_000),
    )


@pytest.mark.parametrize("length", [64, 100, 128, 1000, 4096])
def test_windows_are_disjoint_whole_and_reach_every_part(store: TokenStore, length: int) -> None:
    total = len(store.stream(SPLIT, ["a"]))
    found = windows.windows(store, "a", length, 10**9)
    starts = sorted(window.start for window in found)
    assert all(low + length <= high for low, high in pairwise(starts))
    assert starts[-1] + length <= total
    assert starts[0] < total / 10
    assert starts[-1] > total * 0.9 - length
    assert len(found) <= windows.MOST


def test_every_beginning_of_the_list_is_spread(store: TokenStore) -> None:
    total = len(store.stream(SPLIT, ["a"]))
    for count in (4, 8, 16):
        found = windows.windows(store, "a", 256, count * 256)
        quarters = {4 * window.start // total for window in found}
        assert (len(found), quarters) == (count, {0, 1, 2, 3})


def test_each_source_has_its_own_and_a_short_one_as_many_as_it_holds(store: TokenStore) -> None:
    assert windows.sources(store) == ["a", "b"]
    assert len(windows.windows(store, "b", 64, 10**9)) == 10
    assert len(windows.windows(store, "b", 512, 10**9)) == 1
    assert windows.windows(store, "b", 600, 10**9) == [windows.Window("b", 0, 600)]
    assert windows.windows(store, "b", 1024, 10**9) == []
    assert len(windows.windows(store, "a", 1024, 10)) == 1  # one at least


def test_the_file_names_shards_of_the_source_and_places_in_them(store: TokenStore) -> None:
    windows.write(store.folder)
    content = read_json(store.folder / windows.FILE)
    assert content["format"] == windows.FORMAT
    sizes = {shard["file"]: shard for shard in store.manifest["shards"]}
    for entry in content["windows"]:
        shard = sizes[entry["shard"]]
        assert (shard["split"], shard["source"]) == (SPLIT, entry["source"])
        assert 0 <= entry["start"] < shard["tokens"]
    stream = store.stream(SPLIT, ["a"])
    listed = [e for e in content["windows"] if (e["source"], e["length"]) == ("a", 1024)]
    for entry, window in zip(listed, windows.windows(store, "a", 1024, 10**9), strict=True):
        assert stream.read(window.start, 1)[0] == entry["start"]  # ids count within a shard


def test_tokens_without_the_file_get_the_same_windows(store: TokenStore) -> None:
    before = windows.windows(store, "a", 256, 10**9)
    windows.write(store.folder)
    assert windows.windows(store, "a", 256, 10**9) == before


def test_the_file_is_what_is_read_and_a_later_format_is_refused(store: TokenStore) -> None:
    windows.write(store.folder)
    file = store.folder / windows.FILE
    content = read_json(file)
    one = next(e for e in content["windows"] if (e["source"], e["length"]) == ("a", 256))
    write_json(file, {**content, "windows": [one]})
    assert len(windows.windows(store, "a", 256, 10**9)) == 1
    write_json(file, {**content, "format": 99})
    with pytest.raises(UserError, match=r"windows\.json: format 99, this code reads 1"):
        windows.windows(store, "a", 256, 10**9)
