"""The tokenizer: there, with an end of text, and the one that the base model was trained with."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.common.config_numbers import odd_number
from stages.common.errors import UserError
from stages.common.findings import Finding, refuse, warn
from stages.common.seen import Seen, is_hub_id, model_folder
from stages.common.tokenizer_file import NAMED, SETTINGS, token_of
from stages.corpus.cost import text_bytes

FIELD = "tokenizer.source"
MOST_IDS = 1 << 32
"""Ids are kept as uint32."""
BYTES_FOR_A_WORD = 20
"""Of text for each token of a trained vocabulary, at the least."""
FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model")


def check(seen: Seen) -> Iterator[Finding]:
    """Findings of ``tokenizer``."""
    params = seen.params.tokenizer
    folder = None
    if params.source == seen.base.source and _is_refused(seen):
        return
    if params.source != "train" and seen.made_here(params.source):
        yield refuse(FIELD, params.source, "made by this pipeline", "name the original, or `train`")
        return
    local = (seen.root / params.source).is_dir()
    of_base = (params.source, params.revision) == (seen.base.source, seen.params.base.revision)
    if params.revision is not None and (params.source == "train" or (local and not of_base)):
        what = "a tokenizer that is trained here" if params.source == "train" else "a folder"
        yield refuse("tokenizer.revision", params.revision, f"{what} has none", "leave it out")
    if params.source == "train":
        yield from _trained(seen)
    else:
        folder = model_folder(params.source, params.revision, seen.root)
        if folder is None and not is_hub_id(params.source):
            level = seen.absent(params.source)
            yield level(
                FIELD, params.source, "no such folder", "a hub id is OWNER/NAME, or `train`"
            )
            return
        if params.source != seen.base.source:  # else the base's own check says it
            yield from seen.unreachable(FIELD, params.source, cached=folder is not None)
        if local:
            found = list(_files(params.source, seen.root / params.source))
            yield from found
            if found:
                return
    yield from _of_the_base(seen, folder)


def _is_refused(seen: Seen) -> bool:
    """Whether the base's own check says that its folder is none."""
    base = seen.base
    return seen.made_here(base.source) or (
        not base.on_hub if base.folder is None else not base.config
    )


def _trained(seen: Seen) -> Iterator[Finding]:
    """A merge needs a pair of tokens in the text; a vocabulary as large as the text is a mistake."""
    wanted, size = seen.params.tokenizer.vocab_size or 0, text_bytes(seen.params, seen.root)
    if size and wanted * BYTES_FOR_A_WORD > size:
        yield refuse(
            "tokenizer.vocab_size",
            wanted,
            f"the text has {size:,.0f} bytes, too few to learn so many tokens from",
            f"give {max(300, int(size / 100)):,} at most",
        )


def _files(source: str, folder: Path) -> Iterator[Finding]:
    if not any((folder / name).is_file() for name in FILES):
        yield refuse(FIELD, source, "no tokenizer.json in it", "save the tokenizer there")
        return
    for name in SETTINGS:
        if (folder / name).is_file() and _json(folder / name) is None:
            yield refuse(FIELD, source, f"{name} is no JSON object", "copy the file again")
            return
    file = folder / "tokenizer.json"
    content = _json(file)
    if file.is_file() and content is None:
        yield refuse(FIELD, source, "tokenizer.json is no JSON object", "copy the file again")
        return
    if content is not None and (what := _odd(content)):
        yield refuse(FIELD, source, f"tokenizer.json: {what}", "copy the file again")
        return
    settings = [_json(folder / name) or {} for name in SETTINGS]
    said = [one["eos_token"] for one in settings if "eos_token" in one]
    given = next((one for one in said if one is not None), None)
    # Some classes have an end of text of their own; only an explicit null is sure.
    if said and given is None:
        yield refuse(
            FIELD, source, "it has no eos token, documents need one", "set it in its config"
        )
    elif given is not None and (
        token_of(given) is None or (content and token_of(given) not in _words(content))
    ):
        yield refuse(
            FIELD, source, f"its eos token {given!r} is in no vocabulary", "correct its config"
        )
    elif not said and (why := _unnamed(folder)):
        yield refuse(FIELD, source, why, "name its eos_token in tokenizer_config.json")


def _unnamed(folder: Path) -> str | None:
    """Why a tokenizer whose files name no end of text cannot be taken; its class may know one.

    Only then transformers is asked, which takes seconds.
    """
    from stages.tokenizer.stage import fetch

    try:
        fetch(str(folder), None)
    except UserError as error:
        return str(error).partition(": ")[2]
    return None


def _odd(content: dict[str, Any]) -> str | None:
    """What in a tokenizer.json can be no tokenizer; the ids are whole numbers from 0 up."""
    model, added = content.get("model"), content.get("added_tokens") or []
    if not isinstance(model, dict):
        return "it has no model"
    words = model.get("vocab")
    if not isinstance(words, dict | list) or not words:
        return "its model has no vocabulary"
    if not isinstance(added, list) or not all(isinstance(row, dict) for row in added):
        return "added_tokens is no list of tokens"
    ids = [*(words.values() if isinstance(words, dict) else ()), *(row.get("id") for row in added)]
    wrong = [one for one in ids if type(one) is not int or not 0 <= one < MOST_IDS]
    return f"{wrong[0]!r} is no id" if wrong else None


def _words(content: dict[str, Any]) -> set[str]:
    """All tokens of a tokenizer.json."""
    words = content["model"]["vocab"]
    known = set(words) if isinstance(words, dict) else {str(row[0]) for row in words if row}
    return known | {str(row.get("content")) for row in content.get("added_tokens") or []}


def _of_the_base(seen: Seen, folder: Path | None) -> Iterator[Finding]:
    """A pre-trained base reads the ids it was trained on, and no others."""
    base, params = seen.base, seen.params.tokenizer
    if base.source == "scratch" or (base.config is None and not base.on_hub):
        return
    if seen.made_here(base.source) or (base.config and odd_number(base.config)):
        return  # the base's own check says so
    if params.source == "train":
        yield refuse(
            FIELD,
            params.source,
            f"the base {base.source!r} was trained on the ids of its own tokenizer",
            f"set tokenizer.source={base.source}",
        )
        return
    its_own, other = seen.base.folder, folder
    rows = (
        seen.base.shape.vocabulary
        if seen.base.shape
        else (seen.base.config or {}).get("vocab_size")
    )
    if isinstance(rows, int) and other is not None and (size := _size(other)) and size > rows:
        yield refuse(
            FIELD,
            params.source,
            f"it has {size} tokens, the base's embedding only {rows} rows",
            f"set tokenizer.source={base.source}",
        )
        return
    more = [] if other is None else _unlisted(other)
    if (
        more
        and other is not None
        and isinstance(rows, int)
        and (_size(other) or 0) + len(more) > rows
    ):
        yield refuse(
            FIELD,
            params.source,
            f"{more[0]!r} of its settings is in no vocabulary and would be a new token, but the "
            f"base's embedding has no row left (of {rows})",
            "take it out of tokenizer_config.json and special_tokens_map.json",
        )
        return
    if (params.source, params.revision) == (base.source, seen.params.base.revision) or (
        its_own is not None and other is not None and its_own.resolve() == other.resolve()
    ):
        return
    if its_own is not None and not (its_own / "tokenizer.json").is_file():
        yield warn(
            FIELD,
            params.source,
            f"the base {base.source!r} has no tokenizer.json to compare it with",
            "make sure that it is the one that the base was trained with",
        )
        return
    if its_own is not None and other is not None:
        if vocabulary_hash(its_own) != vocabulary_hash(other):
            yield refuse(
                FIELD,
                params.source,
                f"not the tokenizer of the base {base.source!r} (their hashes differ)",
                f"set tokenizer.source={base.source}",
            )
    elif params.source != base.source:
        yield refuse(
            FIELD,
            params.source,
            f"the base is {base.source!r}, and the two tokenizers cannot be compared here",
            f"set tokenizer.source={base.source}",
        )


def vocabulary_hash(folder: Path) -> str | None:
    """Of what decides the ids: the model, its tokens and what is done to the text before."""
    content = _json(folder / "tokenizer.json")
    if content is None or _odd(content):
        return None
    deciding = {key: content.get(key) for key in ("model", "normalizer", "pre_tokenizer")}
    added = [[row.get("id"), row.get("content")] for row in content.get("added_tokens") or []]
    text = json.dumps([deciding, added], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _size(folder: Path) -> int | None:
    """Highest id and one; none where the file is odd."""
    content = _json(folder / "tokenizer.json")
    if content is None or _odd(content):
        return None
    words = content["model"]["vocab"]
    ids = list(words.values()) if isinstance(words, dict) else list(range(len(words)))
    ids += [row["id"] for row in content.get("added_tokens") or []]
    return max(ids) + 1 if ids else None


def _unlisted(folder: Path) -> list[str]:
    """Control tokens of the settings that tokenizer.json lacks: transformers adds them at the end."""
    content = _json(folder / "tokenizer.json")
    if content is None or _odd(content):
        return []
    settings = [_json(folder / name) or {} for name in SETTINGS]
    named = {token_of(one.get(key)) for one in settings for key in (*NAMED, "unk_token")}
    return sorted(token for token in named if token and token not in _words(content))


def _json(file: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
