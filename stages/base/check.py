"""The base model before it is loaded: files, family, frequencies."""

from collections.abc import Iterator
from pathlib import Path

from stages.base import check_config, check_weights
from stages.base.params import Architecture, BaseParams
from stages.common.findings import Finding, refuse, warn
from stages.common.seen import Seen
from stages.training import check as training

FIELD = "base.source"
MADE_HERE = "smollm2-135m"
"""What ``examples/smollm2.py`` makes."""
MOMENTS = "optim.pt"
"""Adam's state in an OLMo-native folder (``native_moments.FILE``; a test holds the two equal)."""


def check(seen: Seen) -> Iterator[Finding]:
    """Findings of ``base``."""
    base = seen.params.base
    if base.source == "scratch":
        if base.training is not None:
            assert base.architecture is not None
            window = base.architecture.max_position_embeddings
            yield from training.check(seen, "base.training", base.training, window)
        yield from _of_scratch(base)
        if base.needs != "data/tokens":
            yield refuse(
                "base.needs",
                base.needs,
                "a base from scratch is trained on the tokens and must wait for them",
                "set base.needs=data/tokens",
            )
        return
    if seen.made_here(base.source):
        yield refuse(FIELD, base.source, "made by this pipeline", "name the original model")
        return
    if base.revision is not None and (seen.root / base.source).is_dir():
        yield refuse(
            "base.revision", base.revision, "a folder on this machine has none", "leave it out"
        )
    if seen.base.folder is None:
        if not seen.base.on_hub:
            level = seen.absent(base.source)
            fix = "a hub id is OWNER/NAME"
            if Path(base.source).name == MADE_HERE:
                fix = "`python examples/smollm2.py` makes it"
            yield level(FIELD, base.source, "no such folder", fix)
        yield from seen.unreachable(FIELD, base.source, cached=False)
        return
    yield from _files(seen, seen.base.folder)
    yield from _watched(seen)
    if base.moments and not (seen.base.folder / MOMENTS).is_file():
        yield refuse(
            "base.moments",
            True,
            f"{base.source!r} has no {MOMENTS}",
            "give an OLMo-native folder, or false",
        )
    if base.architecture is not None and seen.base.config is not None:
        yield from _as_said(base.architecture, seen.base.config)


def _of_scratch(base: BaseParams) -> Iterator[Finding]:
    """What only a model that is there already can have."""
    for key, value in (("revision", base.revision), ("moments", base.moments or None)):
        if value is not None:
            yield refuse(f"base.{key}", value, "a base from scratch has none", "leave it out")
    shape, start = base.architecture, base.start
    if shape is not None and shape.tie_word_embeddings and start is not None and start.head_scale:
        yield refuse(
            "base.architecture.tie_word_embeddings",
            True,
            f"base.start.head_scale {start.head_scale:g} gives the head weights of its own",
            "set one of them to false or 0",
        )


def _watched(seen: Seen) -> Iterator[Finding]:
    base = seen.params.base
    if (seen.root / base.source).is_dir() and Path(base.needs) != Path(base.source):
        yield warn(
            "base.needs",
            base.needs,
            f"the base is the folder {base.source!r}, and DVC would not see it change",
            f"set base.needs={base.source}",
        )


def _files(seen: Seen, folder: Path) -> Iterator[Finding]:
    source, config = seen.params.base.source, seen.base.config
    if (folder / "adapter_config.json").is_file():
        yield refuse(
            FIELD, source, "an adapter (LoRA), no whole model", "merge it into its base first"
        )
        return
    if config is None:
        what = "config.json is no JSON object"
        if not (folder / "config.json").is_file():
            what = "no config.json in it; not a model folder"
        yield refuse(FIELD, source, what, "name a Hugging Face model folder")
        return
    yield from check_config.check(seen)
    if (seen.root / source).is_dir():  # the hub's cache may hold only a part yet
        yield from check_weights.check(seen, source, folder)


def _as_said(said: Architecture, config: dict[str, object]) -> Iterator[Finding]:
    """``base.architecture`` of a model that has a shape of its own."""
    for name, value in said.model_dump().items():
        found = config.get(name)
        if isinstance(value, int) and found is not None and found != value:
            yield refuse(
                f"base.architecture.{name}", value, f"the model has {found}", "leave it out"
            )
            return
