"""A ``tokenizer.json`` made to give the same ids wherever it comes from.

Published files carry truncation, padding and BPE dropout: settings of somebody's training or
serving. They are switched off here. Strings of control tokens inside a text stay text.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from stages.common.errors import UserError
from stages.common.files import read_json

NAMED = ("eos_token", "bos_token", "pad_token", "cls_token", "sep_token", "mask_token")
"""Keys of tokenizer_config.json whose tokens are control tokens, whatever tokenizer.json says."""
SETTINGS = ("tokenizer_config.json", "special_tokens_map.json")


@dataclass(frozen=True)
class Settled:
    """A tokenizer without accidents, and what its control tokens are."""

    tokenizer: Tokenizer
    controls: frozenset[int]
    """Ids that no text may become."""
    strings: re.Pattern[str] | None
    """Finds the strings of those ids in a text; none where there are none."""
    splits: bool
    """Whether it has a pre-tokenizer: what stands before a piece then does not change the piece."""


def settled(folder: Path) -> Settled:
    """The tokenizer of ``folder``; raises ``UserError`` where there is none."""
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise UserError(f"{file}: no such file; a fast tokenizer's folder is needed")
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises nothing narrower
        raise UserError(f"{file}: not a tokenizer ({error})") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    for sampling in ("dropout", "alpha", "nbest_size"):  # of BPE and of Unigram: random ids
        if getattr(tokenizer.model, sampling, None) is not None:
            setattr(tokenizer.model, sampling, None)
    # A control token may be listed as an ordinary one; only special ones can be kept out of texts.
    for token in sorted(_named(folder)):
        if tokenizer.token_to_id(token) is not None:
            tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False)])
    tokenizer.encode_special_tokens = True
    added = tokenizer.get_added_tokens_decoder()
    special = {i: token.content for i, token in added.items() if token.special and token.content}
    unknown = _unknown(folder, tokenizer)
    strings = sorted(special.values(), key=len, reverse=True)
    return Settled(
        tokenizer=tokenizer,
        controls=frozenset(i for i in special if i != unknown),
        strings=re.compile("|".join(map(re.escape, strings))) if strings else None,
        splits=tokenizer.pre_tokenizer is not None,
    )


def identity(folder: Path) -> str:
    """Hash of what decides a text's ids: vocabulary with added tokens, and merges (16 hex digits).

    The same for a file that was saved again by another version of the library.
    """
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise UserError(f"{file}: no such file; a fast tokenizer's folder is needed")
    content = settings(file)
    model = content.get("model") or {}
    vocab = model.get("vocab") or {}
    pieces = sorted(vocab.items()) if isinstance(vocab, dict) else vocab
    added = sorted((t["id"], t["content"]) for t in content.get("added_tokens") or ())
    merges = [m if isinstance(m, str) else " ".join(m) for m in model.get("merges") or ()]
    told = json.dumps([pieces, added, merges], ensure_ascii=True)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def settings(file: Path) -> dict[str, Any]:
    """Content of a JSON file beside the tokenizer; empty where there is none."""
    try:
        content = read_json(file) if file.is_file() else {}
    except (UnicodeDecodeError, RecursionError):
        raise UserError(f"{file}: not JSON; copy the tokenizer's files again") from None
    return content if isinstance(content, dict) else {}


def token_of(value: Any) -> str | None:
    """A token's string, written plainly or as the object of its settings."""
    value = value.get("content") if isinstance(value, dict) else value
    return value if isinstance(value, str) and value else None


def unlisted(folder: Path) -> bool:
    """Whether files beside tokenizer.json name tokens that it lacks: transformers adds them to it."""
    content = settings(folder / "tokenizer.json")
    model = content.get("model")
    vocab = model.get("vocab") if isinstance(model, dict) else None
    known = set(vocab) if isinstance(vocab, dict) else {p[0] for p in vocab or () if p}
    known |= {token_of(each) for each in content.get("added_tokens") or ()}
    said = set(settings(folder / "added_tokens.json")) | _named(folder)
    for name in SETTINGS:
        own = settings(folder / name)
        said.add(token_of(own.get("unk_token")) or "")
        for key in ("added_tokens_decoder", "extra_special_tokens", "additional_special_tokens"):
            more = own.get(key) or ()
            listed = more.values() if isinstance(more, dict) else more
            said |= {token_of(each) or "" for each in listed} if listed else set()
    return not said - {""} <= known


def _named(folder: Path) -> set[str]:
    found = {token_of(settings(folder / name).get(key)) for name in SETTINGS for key in NAMED}
    return {token for token in found if token is not None}


def _unknown(folder: Path, tokenizer: Tokenizer) -> int | None:
    """Id that stands for what the vocabulary lacks: ordinary text may become it."""
    model = settings(folder / "tokenizer.json").get("model", {})
    if isinstance(model.get("unk_id"), int):
        return int(model["unk_id"])
    token = model.get("unk_token")
    return tokenizer.token_to_id(token) if token else None
