"""Continual pre-training: the start layer, the window and the learning rate of this base."""

from collections.abc import Iterator

from stages.common import recipe
from stages.common.findings import Finding, refuse, warn
from stages.common.seen import Seen
from stages.training import check as training


def check(seen: Seen) -> Iterator[Finding]:
    """Findings of ``train`` and of the variants."""
    params = seen.params.train
    shape = seen.params.base.architecture
    scratch = seen.params.base.source == "scratch"
    layers = shape.num_hidden_layers if scratch and shape else seen.base.layers
    window = shape.max_position_embeddings if scratch and shape else seen.base.window
    yield from training.check(seen, "train", params, window)
    if layers is not None:
        yield from _layers(seen, layers)
    if not scratch:
        yield from _rate(seen)


def _layers(seen: Seen, layers: int) -> Iterator[Finding]:
    for field, start in starts(seen).items():
        if start >= layers:
            yield refuse(
                field,
                start,
                f"the base has {layers} layers: none would learn positions",
                f"give {recipe.start_layer(layers)}, a third of them",
            )
    wide = [name for name in seen.params.variants if name in ("r2n1", "n2r1")]
    if wide and layers < 3:
        yield refuse(
            "variants",
            wide[0],
            f"its pattern takes three layers, the base has {layers}",
            "leave it out",
        )


def starts(seen: Seen) -> dict[str, int]:
    """Field -> start layer, of all variants with learned positions."""
    if "repo" not in seen.params.variants:
        return {}
    return {"train.start_layer": seen.params.train.start_layer}


def _rate(seen: Seen) -> Iterator[Finding]:
    """A pre-trained base is wrecked by one step of a toy's learning rate."""
    train, shape = seen.params.train, seen.base.shape
    if shape is None:
        return
    # Below a million parameters it is a toy that tests what goes through.
    wanted = recipe.learning_rate(max(shape.parameters, 1_000_000))
    if train.lr < training.ABSURD_LR and not (
        wanted / recipe.FAR <= train.lr <= wanted * recipe.FAR
    ):
        much = "much" if train.lr > wanted else "little"
        yield warn(
            "train.lr",
            train.lr,
            f"very {much} for a pre-trained base of {shape.parameters / 1e6:,.0f} M parameters",
            f"about {wanted:g} suits its size",
        )
