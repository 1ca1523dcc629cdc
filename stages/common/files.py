"""Files that are whole or absent: JSON and JSONL written to a temporary name, then renamed."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stages.common.errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling of ``path``; it takes ``path``'s name when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def link(source: Path | str, target: Path | str) -> None:
    """Give a file a second name where the file system allows one, else copy it: 200 GB once.

    Both names share their bytes from then on: replace such a file, never edit it.
    """
    Path(target).unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def link_tree(source: Path, target: Path) -> None:
    """A folder's files under a second folder, which must not be there yet, as ``link`` does it."""
    shutil.copytree(source, target, copy_function=link)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` with sorted keys, so that equal values are equal bytes."""
    with replacing(path) as temporary:
        text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Content of a JSON file that a stage wrote."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the stage that makes it") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path} line {error.lineno}: not JSON ({error.msg})") from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path}: not JSON ({type(error).__name__})") from None


def write_jsonl(path: Path, rows: Iterable[Any]) -> None:
    """Write one JSON value a line."""
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def read_jsonl(path: Path) -> Iterator[Any]:
    """Yield the values of a JSONL file; a malformed line is named with file and line number."""
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    yield json.loads(line)
                except json.JSONDecodeError as error:
                    message = f"{path} line {number}: not JSON ({error.msg})"
                    raise UserError(message) from None


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(path: Path) -> str:
    """Hash of an out's content: of its manifest where it has one (that lists hashes), else of it all.

    A file is its own hash; a folder without a manifest is hashed over names and contents.
    """
    if path.is_file():
        return sha256(path)
    manifest = path / "manifest.json"
    if manifest.is_file():
        return sha256(manifest)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    if not files:
        raise UserError(f"{path}: missing or empty; run the stage that makes it")
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(path).as_posix()} {sha256(file)}\n".encode())
    return digest.hexdigest()
