"""Token files of a list, fetched: many at once, in pieces by range, going on where a kill left off.

A file grows as ``.part``, a piece at a time, and takes its name when its size and hash are right. Where
both ends of a piece lie does not change the bytes, so a fetch that was killed ends with the same file.
"""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Lock
from typing import Any

from stages.common.errors import TryAgain, UserError
from stages.common.files import sha256
from stages.common.progress import Progress
from stages.corpus import listed
from stages.corpus.listed import Known

FETCHERS = 16
"""Files at once: a server gives a connection some 20-50 MB/s."""
PIECE = 16 << 20
"""Bytes asked for at once, and lost by a kill at most."""
TRIES, WAIT_S = 5, 1.0
"""For each piece; the wait doubles."""
S3 = "pip install -e '.[s3]'"


def fetch(names: Sequence[str], address: str, home: Path, locks: Sequence[Path]) -> None:
    """Bring every file of ``names`` that is not in ``home`` there from ``address``.

    ``locks``: folders whose ``tokens.lock.json`` is checked and added to. Raises ``UserError`` for a
    file that is not there or is another one, ``TryAgain`` where the network fails for long.
    """
    absent = [name for name in names if not (home / name).is_file()]
    if not absent:
        return
    wanted = listed.known(*locks)
    source = _Source(address)
    progress = Progress("corpus fetch", len(absent), "files")
    stop, writing, done = Event(), Lock(), 0

    def one(name: str) -> None:
        nonlocal done
        if stop.is_set():
            return
        try:
            learned = _fetched(name, source, home, wanted, stop)
        except BaseException:
            stop.set()  # the other files stop at their next piece
            raise
        with writing:
            if learned:
                listed.learn({name: learned}, *locks)
            done += 1
            progress.update(done)

    with ThreadPoolExecutor(FETCHERS) as pool:
        running = [pool.submit(one, name) for name in absent]
        try:
            for each in running:
                each.result()
        except BaseException:
            stop.set()
            raise


def _fetched(
    name: str, source: "_Source", home: Path, wanted: Known, stop: Event
) -> dict[str, Any] | None:
    """Fetch one file; returns its size and hash, none where it was stopped."""
    target = home / name
    part = target.with_name(f".{target.name}.part")
    size = source.size(name)
    listed.check(name, size, None, wanted)
    target.parent.mkdir(parents=True, exist_ok=True)
    if part.is_file() and part.stat().st_size > size:
        part.unlink()  # of another file
    with open(part, "ab") as file:
        while (start := file.tell()) < size:
            if stop.is_set():
                return None
            file.write(source.piece(name, start, min(start + PIECE, size)))
            file.flush()
            os.fsync(file.fileno())
    digest = sha256(part)
    try:
        listed.check(name, size, digest, wanted)
    except UserError:
        part.unlink()  # a piece of an earlier file, perhaps: the next try begins anew
        raise
    part.replace(target)
    return {"bytes": size, "sha256": digest}


class _Source:
    """An address that gives sizes and ranges: https, s3, or whatever fsspec knows."""

    def __init__(self, address: str) -> None:
        import fsspec

        self.address = address.rstrip("/")
        try:
            self._files, _ = fsspec.core.url_to_fs(self.address)
        except ImportError:
            raise UserError(f"{self.address}: its package is not installed; {S3}") from None
        except ValueError as error:
            raise UserError(f"{self.address}: files cannot be had from there ({error})") from None

    def size(self, name: str) -> int:
        """Bytes of a file."""
        found = self._patiently(name, lambda url: self._files.size(url))
        if not isinstance(found, int):
            raise UserError(f"{self.address}/{name}: the server does not tell its size")
        return found

    def piece(self, name: str, start: int, end: int) -> bytes:
        """Bytes ``start`` to ``end`` of a file."""

        def read(url: str) -> bytes:
            found: bytes = self._files.cat_file(url, start=start, end=end)
            if len(found) > end - start:  # the whole file: `Range` was passed over
                raise UserError(
                    f"{url}: the server gives no ranges; take another (REPO_TOKEN_FILES)"
                )
            if len(found) < end - start:
                raise OSError(f"{len(found)} of {end - start} bytes came")
            return found

        found: bytes = self._patiently(name, read)
        return found

    def _patiently(self, name: str, ask: Any) -> Any:
        """Ask up to ``TRIES`` times: networks fail for moments, a file that is not there stays away."""
        url = f"{self.address}/{name}"
        for tried in range(TRIES):
            try:
                return ask(url)
            except UserError:
                raise
            except FileNotFoundError as error:
                # fsspec says so of every failed HEAD: what the server said is behind it.
                said = getattr(error.__cause__, "status", None)
                if said in (401, 403):
                    raise UserError(
                        f"{url}: {said}; give credentials, or another address"
                    ) from None
                if said in (404, 410) or not _over_http(error.__cause__):
                    raise UserError(
                        f"{url}: no such file there; correct the list or the address"
                    ) from None
                _wait(tried, url, error.__cause__ or error)
            except PermissionError as error:
                raise UserError(f"{url}: {error}; give credentials, or another address") from None
            except Exception as error:  # every library has its own
                _wait(tried, url, error)
        raise AssertionError("unreachable")


def _over_http(error: BaseException | None) -> bool:
    return type(error).__module__.partition(".")[0] == "aiohttp"


def _wait(tried: int, url: str, error: BaseException) -> None:
    """Until the next try; ``TryAgain`` behind the last one."""
    if tried + 1 == TRIES:
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise TryAgain(f"{url}: {said} ({TRIES} times); run again to go on from here") from error
    time.sleep(WAIT_S * 2**tried)
