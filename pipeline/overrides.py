"""``--set a.b=c``: params composed from a profile or ``params.yaml`` and a few changed values."""

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.recipe import follow
from pipeline.use import BRING_BACK, PARAMS, profiles
from stages.common.errors import UserError
from stages.common.migration import complete, migrate, reference_of
from stages.common.needs import NAMED, READ_BY, watched
from stages.common.reading import parse, read_yaml, yaml_of
from stages.common.schema import NAME
from stages.common.variables import is_whole
from stages.params import Params

FROM_LENGTH = "benchmarks.ruler.from_length"
OF_CODE = "stages/{stage}/version.py"
"""What a section's ``needs`` names when DVC has no file of the user's to watch."""


def compose(
    root: Path,
    profile: str | None,
    overrides: Sequence[str],
    notes: list[str] | None = None,
) -> str:
    """The text of a complete params file: ``profile`` (none: ``root``'s own) with ``overrides``.

    Comments stay. ``notes`` takes what was changed beside the overrides, one text each.

    Raises ``UserError`` for an unknown profile or key and for a bad value.
    """
    if profile is None:
        if not (root / PARAMS).exists():
            raise UserError(f"{root / PARAMS}: no such file; name a --profile, or {BRING_BACK}")
        if not isinstance(content := read_yaml(root / PARAMS), dict):
            parse(Params, content, PARAMS)  # names what it is and what it should be
    own = profile is None
    text = (root / PARAMS).read_text(encoding="utf-8") if own else read_profile(str(profile))
    changes = read_overrides(overrides)
    if not changes and not own:
        return text
    yaml = YAML()
    yaml.width = 4096
    document = migrate(yaml.load(text))
    before = _section(document, "corpus").get("source")
    measured = _section(document, "benchmarks").get("lengths")
    measured = list(measured) if isinstance(measured, list) else None
    for key, value in changes.items():
        _put(document, key, value)
    try:
        said = _settle(document, changes, root, before, measured)
    except (TypeError, AttributeError, KeyError, ValueError, OSError):
        # A value of another kind than its field's, or no path: the schema names it.
        parse(Params, YAML(typ="safe", pure=True).load(_dump(yaml, document)), "--set")
        raise
    if notes is not None:
        notes += said
    complete(document)
    parse(Params, YAML(typ="safe", pure=True).load(_dump(yaml, document)), "--set")
    return _dump(yaml, document)


def read_profile(name: str) -> str:
    """The text of a profile that ships."""
    known = profiles()
    if name not in known:
        raise UserError(f"profile {name!r}: unknown; there are {', '.join(known)}")
    return known[name]


def read_overrides(overrides: Sequence[str]) -> dict[str, Any]:
    """``["a.b=c"]`` -> ``{"a.b": c}``; a value is YAML, so ``[1, 2]`` is a list."""
    found: dict[str, Any] = {}
    for override in overrides:
        key, sign, value = override.partition("=")
        if not sign or not all(part.strip() for part in key.split(".")):
            raise UserError(f"--set {override!r}: write KEY=VALUE, for example train.lr=1e-4")
        try:
            found[key.strip()] = yaml_of(value)
        except YAMLError as error:
            said = " ".join(str(getattr(error, "problem", error)).split())
            fix = "put a text into quotes"
            if "duplicate key" in said:
                fix = "take one out"
            elif re.search(r"\w:[\[{]", value):
                fix = "put a space after each colon: {key: [a, b]}"
            raise UserError(f"--set {override!r}: the value is not YAML: {said}; {fix}") from None
    return found


def _put(document: Any, key: str, value: Any) -> None:
    *path, last = key.split(".")
    for depth, part in enumerate(path):
        inside = _item(document, part)
        if inside is None and isinstance(document, list):
            raise UserError(f"--set {key}: the list has no item {part!r}; count from 0")
        if inside is None:
            if not isinstance(document, dict):
                raise _no_section(key, path[:depth], part)
            document[part] = {}
            inside = document[part]
        document = inside
    if isinstance(document, list):
        if not is_whole(last) or int(last) >= len(document):
            raise UserError(f"--set {key}: the list has no item {last!r}; count from 0")
        document[int(last)] = value
    elif isinstance(document, dict):
        document[last] = value
    else:
        raise _no_section(key, path, last)


def _no_section(key: str, path: Sequence[str], part: str) -> UserError:
    return UserError(
        f"--set {key}: {'.'.join(path)} is a value and has no key {part!r}; set it whole"
    )


def _section(document: Any, key: str) -> Any:
    """A mapping of the document; what is none is left to the schema to name."""
    inside = document.get(key) if isinstance(document, dict) else None
    return inside if isinstance(inside, dict) else {}


def _item(document: Any, part: str) -> Any:
    if isinstance(document, list):
        return document[int(part)] if is_whole(part) and int(part) < len(document) else None
    return document.get(part) if isinstance(document, dict) else None


def _settle(
    document: Any, changes: Mapping[str, Any], root: Path, before: Any, measured: Any
) -> list[str]:
    """Bring along what follows from a changed source, unless it was set as well.

    One's own model and documents are three changed values (README): what DVC watches, the kind of
    the source, the shape, the recipe and the name of the documents in the training phases follow
    from them. ``before``, ``measured``: the corpus's source and the measured lengths without the
    changes. Returns what was changed beside, one text each.
    """
    base, corpus = _section(document, "base"), _section(document, "corpus")
    notes: list[str] = []
    scratch = bool(base.get("training"))
    if "base.source" in changes:
        source = str(base["source"])
        if "base.needs" not in changes:
            local = "data/tokens" if source == "scratch" else OF_CODE.format(stage="base")
            base["needs"] = source if (root / source).is_dir() else local
        if not any(key.startswith("base.architecture") for key in changes) and source != "scratch":
            base.pop("architecture", None)
        if "base.revision" not in changes:
            base.pop("revision", None)
    if "tokenizer.source" in changes and "tokenizer.revision" not in changes:
        document["tokenizer"].pop("revision", None)
    if "variants" in changes and "reference" not in changes:
        notes += _refer(document)
    named = any(key.startswith("corpus.sources") for key in changes)
    if "corpus.path" in changes and "corpus.source" not in changes:
        corpus["source"] = "local"
        if before == NAMED and not named:  # the profile's documents give way to one's own
            names = list(corpus.pop("sources"))
            notes.append(
                f"your documents alone (were {', '.join(names[:3])}, … {len(names)} sources)"
            )
    if (named or {"corpus.path", "corpus.source"} & set(changes)) and "corpus.needs" not in changes:
        corpus["needs"] = _watched(corpus)
    if corpus.get("source") != before:
        for key, sources in READ_BY.items():
            if corpus.get("source") not in sources and f"corpus.{key}" not in changes:
                corpus.pop(key, None)
        for training in (_section(document, "train"), _section(base, "training")):
            for phase in training.get("lengths") or []:
                if isinstance(phase, dict) and isinstance(phase.get("sources"), list):
                    named_ones = list(corpus.get("sources") or {})
                    own = named_ones if corpus.get("source") == NAMED else [corpus.get("source")]
                    phase["sources"] = [
                        new
                        for name in phase["sources"]
                        for new in (own if name == before else [name])
                    ]
    source = base.get("source")
    if "base.source" in changes and isinstance(source, str) and source != "scratch":
        notes += follow(document, changes, root, scratch)
    return notes + _measured(document, changes, measured)


def _measured(document: Any, changes: Mapping[str, Any], before: Any) -> list[str]:
    """RULER's tasks without those that begin beyond the lengths, where these were changed."""
    benchmarks = _section(document, "benchmarks")
    ruler, lengths = _section(benchmarks, "ruler"), benchmarks.get("lengths")
    asked = [key for key in changes if key.startswith(("benchmarks.ruler.tasks", FROM_LENGTH))]
    tasks, first = ruler.get("tasks"), _section(ruler, "from_length")
    numbers = [*(lengths or ["none"]), *first.values()] if isinstance(lengths, list) else ["none"]
    if lengths == before or asked or not all(isinstance(one, int) for one in numbers):
        return []
    beyond = [task for task in tasks or [] if first.get(task, 0) > max(lengths)]
    if not beyond or not isinstance(tasks, list):
        return []
    ruler["tasks"] = [task for task in tasks if task not in beyond]
    return [f"benchmarks.ruler.tasks without {', '.join(beyond)} (they begin at longer lengths)"]


def _refer(document: Any) -> list[str]:
    """A reference among the variants where they were changed and it is none of them any more."""
    variants, before = document["variants"], document.get("reference")
    well_named = isinstance(variants, list) and all(re.match(NAME, str(one)) for one in variants)
    if not well_named or not variants or before in variants:
        return []
    document["reference"] = reference_of(variants)
    return [f"reference {document['reference']} (was {before})"]


def _watched(corpus: Any) -> str:
    """What ``corpus.needs`` must be; a wrong entry is left to the schema to name."""
    sources = corpus.get("sources") or {}
    entries = list(sources.values()) if isinstance(sources, dict) else []
    if corpus.get("source") == "local":
        entries.insert(0, corpus)
    given = [one.get("path") or one.get("files") for one in entries if isinstance(one, dict)]
    paths = list(dict.fromkeys(path for path in given if isinstance(path, str)))
    return paths[0] if len(paths) == 1 else watched(paths)


def _dump(yaml: YAML, document: Any) -> str:
    stream = io.StringIO()
    yaml.dump(document, stream)
    return stream.getvalue()
