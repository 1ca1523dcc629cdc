"""Continual pre-training: the layers, the window and the learning rate of this base, per variant."""

from collections.abc import Iterator

from stages.common import paths, recipe
from stages.common.errors import UserError
from stages.common.findings import Finding, told, warn
from stages.common.seen import Seen
from stages.train import origins
from stages.train.params import TrainParams
from stages.training import check as training


def check(seen: Seen) -> Iterator[Finding]:
    """Findings of ``train`` and of the variants."""
    shape = seen.params.base.architecture
    scratch = seen.params.base.source == "scratch"
    layers = shape.num_hidden_layers if scratch and shape else seen.base.layers
    window = shape.max_position_embeddings if scratch and shape else seen.base.window
    first = seen.params.base.training
    if scratch and first and window and first.longest > window:
        window = None  # said of base.training
    for field, params in _trainings(seen).items():
        yield from training.check(seen, field, params, window)
        if not scratch:
            yield from _rate(seen, field, params)
    if layers is not None:
        yield from _positions(seen, layers)
    yield from _origins(seen)


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


def _origins(seen: Seen) -> Iterator[Finding]:
    """Models that a ``from`` names and that are not there, or are others; what is made is made."""
    for name in seen.params.variants:
        defined, field = seen.params.definitions[name].train, f"definitions.{name}.train.from"
        for seed in seen.params.seeds if defined.origins else ():
            if (seen.root / paths.model(f"{name}-{seed}")).is_dir():
                continue
            chosen = [
                one.model_copy(update={"folder": str(seen.path(one.folder))})
                for one in defined.origins_of(seed)
            ]
            try:
                origins.verify(chosen, field)
            except UserError as error:
                found = told(str(error))
                yield warn(field, name, str(error), "make it there") if seen.elsewhere else found


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
        yield warn(
            f"{field}.lr",
            params.lr,
            f"very {much} for a pre-trained base of {shape.parameters / 1e6:,.0f} M parameters",
            f"about {wanted:g} suits its size",
        )
