"""Continual pre-training: the layers, the window and the learning rate of this base, per variant."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from stages.common import paths, recipe
from stages.common.errors import UserError
from stages.common.findings import Finding, refuse, told, warn
from stages.common.seen import Base, Seen
from stages.common.shape import Shape
from stages.common.variants import PATTERNS, Origin
from stages.train import origins
from stages.train.params import TrainParams
from stages.training import check as training


def check(seen: Seen) -> Iterator[Finding]:
    """Findings of ``train`` and of the variants."""
    shape = seen.params.base.architecture
    scratch, layers = seen.params.base.source == "scratch", training.layers(seen)
    window = shape.max_position_embeddings if scratch and shape else seen.base.window
    first = seen.params.base.training
    if scratch and first and window and first.longest > window:
        window = None  # said of base.training
    said: set[tuple[str, str]] = set()
    for field, params in _trainings(seen).items():
        found = list(training.check(seen, field, params, window))
        found += [] if scratch else _rate(seen, field, params)
        for one in found:  # a variant's own training has most values from `train`: said there
            what = (one.field.removeprefix(f"{field}."), one.line.removeprefix(one.field))
            if what not in said:
                yield one
            said.add(what)
    yield from _overrides(seen)
    if layers is not None:
        yield from _positions(seen, layers)
        yield from _trained(seen, layers)
    yield from _alike(seen, layers)
    yield from _origins(seen, layers)


def _trainings(seen: Seen) -> dict[str, TrainParams]:
    """Field -> params, of the common training and of variants with values of their own."""
    found = {"train": seen.params.train}
    for name in seen.params.variants:
        if seen.params.definitions[name].train.overrides:
            found[f"definitions.{name}.train.overrides"] = seen.params.train_of(name)
    return found


def _positions(seen: Seen, layers: int) -> Iterator[Finding]:
    """Start layers and patterns that the base is not deep enough for."""
    for name in seen.params.variants:
        try:
            seen.params.positions(name, layers)
        except UserError as error:
            yield told(str(error))


def _origins(seen: Seen, layers: int | None) -> Iterator[Finding]:
    """Models that a ``from`` names and that are not there, or are others; what is made is made."""
    for name in seen.params.variants:
        defined, field = seen.params.definitions[name].train, f"definitions.{name}.train.from"
        for seed in seen.params.seeds if defined.origins else ():
            chosen = [
                one.model_copy(update={"folder": str(seen.path(one.folder))})
                for one in defined.origins_of(seed)
            ]
            made = (seen.root / paths.model(f"{name}-{seed}")).is_dir()
            if made and not all(Path(one.folder).is_dir() for one in chosen):
                continue
            try:
                origins.verify(chosen, field)
                positions = None if layers is None else seen.params.positions(name, layers)
                _like(chosen, positions, seen.base, field)
            except UserError as error:
                found = told(str(error))
                yield warn(field, name, str(error), "make it there") if seen.elsewhere else found


def _like(chosen: list[Origin], positions: list[str] | None, base: Base, field: str) -> None:
    """Raise ``UserError`` for models that are not what their variant is, by their config.json alone."""
    models = [Base.of(one.folder, None, Path()) for one in chosen]
    for place, model in enumerate(models):
        what = f"{field}.{place}.folder is {model.source!r}"
        if model.config is None or model.shape is None:
            raise UserError(
                f"{what}: no model can be read from its config.json; copy its files again"
            )
        if positions is not None:
            found = model.config.get("positions") or ["rope"] * model.shape.layers
            origins.refuse_other(found, positions, what)
        for other in (base, models[0]):
            if other.shape and model.shape.vocabulary != other.shape.vocabulary:
                raise UserError(
                    f"{what}: it has {model.shape.vocabulary:,} tokens and {other.source} has "
                    f"{other.shape.vocabulary:,}; take a model of this base"
                )
        if _weights(model) != _weights(models[0]):
            raise UserError(
                f"{what}: it is of another shape than {models[0].source}; a mean needs models of one"
            )


def _weights(model: Base) -> Shape | None:
    return model.shape and replace(model.shape, window=0)


def _overrides(seen: Seen) -> Iterator[Finding]:
    """What a variant says elsewhere."""
    for name in seen.params.variants:
        start = seen.params.definitions[name].train.overrides.get("start_layer")
        if start is not None:
            yield refuse(
                f"definitions.{name}.train.overrides.start_layer",
                start,
                "nothing reads it there",
                f"set definitions.{name}.train.start_layer",
            )


def _trained(seen: Seen, layers: int) -> Iterator[Finding]:
    """Something to train in every variant, where not everything is."""
    asked: dict[str, list[str]] = {}
    for name in seen.params.variants:
        defined = seen.params.definitions[name].train
        if not defined.origins:
            own = "trainable" in defined.overrides
            asked.setdefault(f"definitions.{name}.train.overrides" if own else "train", []).append(
                name
            )
    for field, names in asked.items():
        yield from training.trained(seen, field, seen.params.train_of(names[0]), names, layers)


def _alike(seen: Seen, layers: int | None) -> Iterator[Finding]:
    """The same thing under two names is paid for twice.

    Equal definitions are refused; definitions that only this depth makes equal are told, for a toy of
    two layers may go through all arms.
    """
    known: dict[str, str] = {}
    for name in seen.params.variants:
        one = seen.params.definitions[name]
        train, rest = one.train.model_dump(exclude={"overrides"}), one.evaluate.model_dump()
        rest |= {"train": seen.params.train_of(name).model_dump()}
        train["positions"] = _pattern(one.train.positions or name)
        keys = {"": repr((train, rest))}
        if layers is not None:
            with suppress(UserError):  # told by the positions
                train["positions"] = seen.params.positions(name, layers)
                del train["start_layer"]
                keys[f" in {layers} layers"] = repr((train, rest))
        for where, key in keys.items():
            if key in known:
                level = warn if where else refuse
                yield level(
                    "variants",
                    list(seen.params.variants),
                    f"{known[key]} and {name} are the same model{where}, trained and measured alike",
                    "drop one, or give several seeds",
                )
                break
        known |= {key: name for key in keys.values() if key not in known}


def _pattern(positions: str | tuple[str, ...]) -> tuple[str, ...]:
    """A preset's or a list's types, without what only repeats them."""
    types = PATTERNS.get(positions, ()) if isinstance(positions, str) else positions
    every = next(n for n in range(1, len(types) + 1) if types == types[:n] * (len(types) // n))
    return types[:every]


def _rate(seen: Seen, field: str, params: TrainParams) -> Iterator[Finding]:
    """A pre-trained base is wrecked by one step of a toy's learning rate."""
    shape = seen.base.shape
    if shape is None:
        return
    # Below a million parameters it is a toy that tests what goes through.
    wanted = recipe.learning_rate(max(shape.parameters, 1_000_000))
    sane = wanted / recipe.FAR <= params.lr <= wanted * recipe.FAR
    if not sane:
        much = "much" if params.lr > wanted else "little"
        level = refuse if params.lr > wanted * recipe.ABSURD else warn
        yield level(
            f"{field}.lr",
            params.lr,
            f"very {much} for a pre-trained base of {shape.parameters / 1e6:,.0f} M parameters",
            f"about {wanted:g} suits its size",
        )
