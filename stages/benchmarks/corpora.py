"""Corpora from the network: only where the settings ask for it, and only the bytes they name.

``download`` is SQuAD's or HotpotQA's file at its public home; any other file is asked for as
``https://host/file#sha256=<64 hexadecimal digits>``, such as the mirror that RULER itself reads
HotpotQA from since f954952. Many independent projects publish these two digests of the files at
their homes; neither file could be fetched where this was written. Other content is refused.

Paul Graham's essays are no file anywhere: RULER's ``download_paulgraham_essay.py`` gathers them from
many pages, and what it makes depends on its libraries. They are given by path or by such an
address.
"""

import hashlib
import re
from pathlib import Path
from urllib.parse import urldefrag, urlsplit

from stages.common import runs
from stages.common.errors import UserError
from stages.common.files import replacing

GENERATED = "generated"
DOWNLOAD = "download"
_HOMES = {
    "squad": "https://rajpurkar.github.io/SQuAD-explorer/dataset/dev-v2.0.json"
    "#sha256=80a5225e94905956a6446d296ca1093975c4d3b3260f1d6c8f68bc2ab77182d8",
    "hotpotqa": "http://curtis.ml.cmu.edu/datasets/hotpot/hotpot_dev_distractor_v1.json"
    "#sha256=4e9ecb5c8d3b719f624d66b60f8d56bf227f03914f5f0753d6fa1b359d7104ea",
}
_DIGEST = re.compile(r"sha256=([0-9a-f]{64})")
_TIMEOUT_S = 30.0
"""Of connecting, and between two pieces of the file."""


def digest(kind: str) -> str:
    """SHA-256 of the official file of ``squad`` or ``hotpotqa``."""
    return _HOMES[kind].partition("#sha256=")[2]


def is_file(source: str) -> bool:
    """Whether a corpus is a file of the user's: neither made nor fetched."""
    return source not in (GENERATED, DOWNLOAD) and not source.startswith(("http://", "https://"))


def local(kind: str, source: str) -> Path | None:
    """The file of a corpus (``prose``, ``squad``, ``hotpotqa``); none: it is generated.

    What was fetched before is not fetched again.
    """
    if source == GENERATED:
        return None
    field = f"benchmarks.ruler.{kind} is {source!r}"
    if source == DOWNLOAD:
        if kind not in _HOMES:
            raise UserError(
                f"{field}: Paul Graham's essays are no single file; give the PaulGrahamEssays.json "
                "that RULER's download_paulgraham_essay.py makes, or https://...#sha256=..."
            )
        source = _HOMES[kind]
    if is_file(source):
        return Path(source)
    address, fragment = urldefrag(source)
    digest = _DIGEST.fullmatch(fragment)
    if digest is None:
        raise UserError(f"{field}: add #sha256= and the file's 64 hexadecimal digits to it")
    name = Path(urlsplit(address).path).name or "file"
    kept = runs.root() / "corpora" / digest[1] / name
    if not kept.is_file():
        _fetch(field, address, digest[1], kept)
    return kept


def _fetch(field: str, address: str, digest: str, kept: Path) -> None:
    import httpx  # half of this module's start: only where something is fetched

    found = hashlib.sha256()
    with replacing(kept) as temporary:
        try:
            with (
                httpx.stream("GET", address, follow_redirects=True, timeout=_TIMEOUT_S) as response,
                open(temporary, "wb") as file,
            ):
                response.raise_for_status()
                for piece in response.iter_bytes():
                    found.update(piece)
                    file.write(piece)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UserError(
                f"{field}: {address} cannot be read ({reason}); try again with a network, or give "
                "the path of a copy"
            ) from None
        if found.hexdigest() != digest:
            raise UserError(
                f"{field}: {address} is another file than it was (sha256 {found.hexdigest()}, "
                f"expected {digest}); nothing of it was kept"
            )
