"""What a run starts with and how it is executed, in words for the user."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import safe_open
from torch import nn

from stages.training.execution import Execution
from stages.training.named_state import State
from stages.training.params import TrainingParams
from stages.training.schedule import travel_words
from stages.training.trainable import frozen, trained


def start_line(model: nn.Module, base: Path | None, state: State, updates: int) -> str:
    """What is loaded from ``base`` (none: from a seed) and what is fresh, weights and moments."""
    sizes = {name: p.numel() for name, p in model.named_parameters()}
    stored = _names(base)
    fresh = [name for name in sizes if name not in stored]
    line = f"starts from {sum(sizes.values()):,} parameters"
    if base is None:
        line += ", all fresh"
    elif fresh:
        line += f" of {base.name}, {sum(sizes[name] for name in fresh):,} fresh ({_layers(fresh)})"
    else:
        line += f" of {base.name}, none fresh"
    line += _trained(model)
    moments = [state.get(f"{name}|exp_avg") for name in sizes]
    if known := sum(value is not None and bool(value.any()) for value in moments):
        line += f", Adam's moments of {known} of them by name after {updates:,} updates"
        line += f" and {len(sizes) - known} without"
    return line


def _trained(model: nn.Module) -> str:
    """How many weights are trained and which, where not all are."""
    if not any(frozen(model)):
        return ""
    names = [name.split(".") for name, _ in trained(model)]
    kinds = dict.fromkeys("maps" if n[-2].endswith("_map") else n[-2] for n in names)
    layers = [int(n[2]) for n in names]
    count = sum(p.numel() for _, p in trained(model))
    return f"; {count:,} trained ({', '.join(kinds)} of layers {min(layers)} to {max(layers)})"


def positions_line(look: Mapping[str, float], length: int, params: TrainingParams) -> str:
    """How far positions are from zero before the first step, and how far the schedule can take them.

    ``look``: ``health.positions`` on one sequence of ``length`` tokens.
    """
    found = {
        figure: [value for name, value in look.items() if name.endswith(f".{figure}")]
        for figure in ("std", "range")
    }
    return (
        f"positions at the start: std(z) {min(found['std']):.2g} to {max(found['std']):.2g} over "
        f"{len(found['std'])} layers, range up to {max(found['range']):.2g} on {length:,} tokens; "
        f"{travel_words(params)}"
    )


def execution_line(execution: Execution, workers: int, parts: int, zero: int) -> str:
    """How the run is executed, as it came out."""
    line = f"{workers} workers, ZeRO {zero}, {parts} passes a step, {execution.loss} loss"
    line += "" if execution.attention == "sdpa" else f", {execution.attention} attention"
    for chosen, words in (
        (execution.offload, "optimizer in host memory"),
        (execution.gradient_checkpointing, "activations recomputed"),
        (execution.compile, "blocks compiled"),
    ):
        line += f", {words}" if chosen else ""
    return line


def _names(base: Path | None) -> set[str]:
    """Weights that the files in ``base`` hold."""
    found: set[str] = set()
    for file in sorted(base.glob("model*.safetensors")) if base else ():
        with safe_open(file, framework="pt") as opened:
            found |= set(opened.keys())
    return found


def _layers(names: list[str]) -> str:
    """The fresh weights in short: the position maps of which layers, or the first name."""
    parts = [name.split(".") for name in names]
    if not all(part[-2].endswith("_map") for part in parts):
        return f"{names[0]}, ..." if len(names) > 1 else names[0]
    layers = sorted({int(part[2]) for part in parts})
    which = f"layers {layers[0]} to {layers[-1]}" if len(layers) > 1 else f"layer {layers[0]}"
    return f"the position maps of {which}"
