"""Bytes of a file, unpacked by what the file is and not by what its name says."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from stages.common.errors import UserError

MAGIC = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bz2",
    **{bytes([low, 0x2A, 0x4D, 0x18]): "zstd" for low in range(0x50, 0x60)},  # a skippable frame
}
LFS = b"version https://git-lfs.github.com/spec/"
READ_BYTES = 1 << 20


def opened(file: Path) -> pa.OSFile:
    """The file as it is; its name may be in any encoding."""
    return pa.OSFile(os.fsencode(file))


@contextmanager
def unpacked(file: Path) -> Iterator[Any]:
    """Yield a stream (``read(n) -> bytes``); an archive that ends too early is a ``UserError``."""
    with _named(file), opened(file) as raw:
        head = raw.read(len(LFS))
        if head == LFS:
            raise UserError(f"{file}: a pointer of Git LFS, not the data; run `git lfs pull` there")
        packed = _packing(head, file)
        if not head and file.suffix.lower() in (".gz", ".gzip", ".zst", ".zstd", ".bz2"):
            raise UserError(f"{file}: empty, not even an archive; fetch it again")
        raw.seek(0)
        if packed is None:
            yield raw
        else:
            with pa.CompressedInputStream(raw, packed) as stream:
                yield stream


def lines(stream: Any) -> Iterator[bytes]:
    """Lines of the stream, without their ends; a line may be as long as memory allows."""
    held: list[bytes] = []
    while block := stream.read(READ_BYTES):
        *whole, rest = block.split(b"\n")
        if whole:
            held.append(whole[0])
            yield b"".join(held)
            yield from whole[1:]
            held = []
        held.append(rest)
    if last := b"".join(held):
        yield last


def _packing(head: bytes, file: Path) -> str | None:
    found = next((name for magic, name in MAGIC.items() if head.startswith(magic)), None)
    # "BZh" could begin a text: bzip2 has a digit and its block's mark behind it.
    if (
        found == "bz2"
        and file.suffix.lower() != ".bz2"
        and head[4:10] not in (b"1AY&SY", b"\x17rE8P\x90")
    ):
        return None
    return found


@contextmanager
def _named(file: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{file}: no such file any more, or not here; put it back") from None
    except PermissionError:
        raise UserError(f"{file}: Permission denied; make it readable") from None
    except (OSError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        if "too much memory" in reason:
            raise UserError(
                f"{file}: packed with a window of over 128 MB (zstd --long); pack it without --long"
            ) from None
        raise UserError(f"{file}: damaged or cut short ({reason}); fetch it again") from None
