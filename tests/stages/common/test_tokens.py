"""Token shards: one stream across files, and a damaged shard is named."""

from pathlib import Path

import numpy as np
import pytest

from stages.common.errors import UserError
from stages.common.tokens import DTYPE, TokenStore


def test_a_stream_reads_across_shards(tokens: Path) -> None:
    stream = TokenStore(tokens).stream("train")
    files = ["train/a-00000.npy", "train/a-00001.npy", "train/b-00000.npy"]
    whole = np.concatenate([np.fromfile(tokens / name, DTYPE) for name in files])
    assert len(stream) == len(whole) == 3300
    for start, count in ((0, 10), (1495, 10), (1499, 702), (0, 3300), (3299, 1)):
        np.testing.assert_array_equal(stream.read(start, count), whole[start : start + count])
    with pytest.raises(IndexError):
        stream.read(3299, 2)


def test_splits_and_unknown_split(tokens: Path) -> None:
    store = TokenStore(tokens)
    assert store.sources("train") == ["a", "b"]
    assert store.sources("validation") == ["a"]
    with pytest.raises(UserError, match="no tokens in split"):
        store.stream("test")


@pytest.mark.parametrize("damage", ["truncated", "missing"])
def test_a_damaged_shard_is_named(tokens: Path, damage: str) -> None:
    shard = tokens / "train" / "a-00001.npy"
    if damage == "truncated":
        shard.write_bytes(shard.read_bytes()[:-5])
    else:
        shard.unlink()
    with pytest.raises(UserError, match=r"a-00001\.npy: \d+ bytes where the manifest says 2800"):
        TokenStore(tokens)
