"""Which position a layer uses: `rope` (integer), `nope` (none) or `repo` (learned), per layer.

The presets are the paper's variants (PAPER.md section 3); everything downstream reads the resolved
list in `config.positions` and never a preset's name.
"""

from collections.abc import Iterable

POSITION_TYPES = ("rope", "nope", "repo")
PRESETS = ("rope", "nope", "r2n1", "n2r1", "repo")


def layer_types(
    preset: str | Iterable[str],
    num_layers: int,
    start_layer: int | None = None,
    layers: Iterable[int] | None = None,
) -> list[str]:
    """Resolve a preset, or check an explicit list, into one position type per layer.

    Args:
        preset: `rope` and `nope` put one type on every layer; `r2n1` is two RoPE layers then one
            NoPE, `n2r1` the opposite; `repo` is RePo from `start_layer` on and RoPE below it.
            Or the list itself, one of `rope`, `nope`, `repo` per layer.
        num_layers: depth of the model.
        start_layer: first RePo layer, counted from 0; only with `repo`. Default `num_layers // 3`,
            which is the paper's 5 of 16 and 10 of 32 (the code counts from 0, the paper from 1).
        layers: restricts `repo` to these layers that are also >= `start_layer`.

    Returns:
        list of length `num_layers`.

    Raises:
        ValueError: unknown preset or type, wrong length, start layer or layer outside the model.
    """
    if not isinstance(preset, str):
        return _checked(list(preset), num_layers, start_layer, layers)
    if preset not in PRESETS:
        raise ValueError(
            f"positions={preset!r} is unknown; choose one of {', '.join(PRESETS)}, "
            "or give one type per layer"
        )
    if preset != "repo":
        if start_layer is not None or layers is not None:
            raise ValueError(
                f"start_layer and layers belong to positions='repo', not to {preset!r}"
            )
        return _periodic(preset, num_layers)
    start = num_layers // 3 if start_layer is None else start_layer
    if not 0 <= start < num_layers:
        raise ValueError(
            f"start_layer={start} is outside the model; its layers are 0..{num_layers - 1}"
        )
    chosen = set(range(num_layers)) if layers is None else set(layers)
    if beyond := sorted(i for i in chosen if not 0 <= i < num_layers):
        raise ValueError(
            f"layers={beyond} are outside the model; its layers are 0..{num_layers - 1}"
        )
    chosen = {i for i in chosen if i >= start}
    if not chosen:
        raise ValueError(
            f"no layer is left for RePo: none of the given layers is >= start_layer={start}"
        )
    return ["repo" if i in chosen else "rope" for i in range(num_layers)]


def _periodic(preset: str, num_layers: int) -> list[str]:
    period = {
        "rope": ["rope"],
        "nope": ["nope"],
        "r2n1": ["rope", "rope", "nope"],
        "n2r1": ["nope", "nope", "rope"],
    }[preset]
    return [period[i % len(period)] for i in range(num_layers)]


def _checked(
    types: list[str], num_layers: int, start_layer: int | None, layers: Iterable[int] | None
) -> list[str]:
    if start_layer is not None or layers is not None:
        raise ValueError(
            "start_layer and layers belong to positions='repo', not to an explicit list"
        )
    for i, name in enumerate(types):
        if name not in POSITION_TYPES:
            raise ValueError(
                f"positions[{i}]={name!r} is unknown; choose one of {', '.join(POSITION_TYPES)}"
            )
    if len(types) != num_layers:
        raise ValueError(f"positions has {len(types)} entries for {num_layers} layers")
    return types
