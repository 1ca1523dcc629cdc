"""Is RePo well? What its positions and maps look like during training, at a cheap cadence.

One sequence goes through the model without gradients every so many steps, and the maps' gradients are
read once before that step: under 1 % of the time at the cadence below. Nothing of the result depends
on it. Alarms name what PAPER.md section 5 and the start of training are known to go wrong by.
"""

import math
import statistics
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from repo_model.diagnostics import position_stats
from repo_model.recording import position_taps, record_positions

POINTS, MOST_STEPS = 50, 100
"""Looks per run, and the most steps between two."""
SETTLED_SHARE = 0.2
"""A curve above the reference run's is an alarm after this share of the steps: maps disturb first."""
NEVER_SHARE, NEVER_STEPS = 1 / 3, 30
LATE_SHARE, LATE_STEPS = 0.5, 100
"""Every run starts near NoPE. Alarms, after this share of the steps and this many: positions of which
no head was ever seen away from the start (the falling rates left take them less far), and positions
that are back there; a small model was seen to leave between 10 and 50 % of its steps."""
LOOKS = 3
"""Looks in a row that make a finding; one is one sequence only."""
EXPLODED = 20.0
"""A layer's range or gradient norm this many times its median so far is unstable, if it also is
beyond what a well run can have: a range as long as the sequence (PAPER.md section 5: far below), a
norm that alone is clipped. Positions that grow from nothing to something are learning, not unstable."""
WORSE_THAN_REFERENCE = 0.02
"""Nats of loss above the reference run's at the same step that are an alarm, over
``REFERENCE_POINTS`` points."""
REFERENCE_POINTS = 5
REFERENCE = "reference"
"""Name of the alarm beside another run's curve."""
MAPS = ("gate_map", "content_map", "final_map")

Look = dict[str, float]
"""``<layer>.<figure>`` -> value: range, std, collapsed (share of heads), gradient (of the maps)."""


def looks(steps: int) -> int:
    """Looks in a run."""
    return max(min(steps, POINTS), steps // MOST_STEPS)


@torch.no_grad()
def positions(model: nn.Module, ids_1T: Tensor) -> Look:
    """Statistics of z on one sequence; every rank must call it (ZeRO 3 gathers the weights)."""
    if not position_taps(model):
        return {}
    eager = torch.compiler.set_stance("force_eager")  # compiled blocks do not see the hooks
    with eager, record_positions(model) as recorder:
        model.model(input_ids=ids_1T, use_cache=False)  # type: ignore[operator]
    found: Look = {}
    for layer in recorder.layers:
        stats = position_stats(recorder[layer])
        found[f"{layer}.range"] = stats["range"].max().item()
        found[f"{layer}.std"] = stats["std"].max().item()
        found[f"{layer}.collapsed"] = stats["collapsed"].float().mean().item()
    return found


@torch.no_grad()
def map_gradients(model: nn.Module) -> Look:
    """Gradient norm of each layer's maps before clipping; between backward and step, every rank."""
    from deepspeed.utils import safe_get_full_grad

    found: Look = {}
    for layer in position_taps(model):
        attention = model.model.layers[layer].self_attn  # type: ignore[union-attr, index]
        squares = 0.0
        for name in MAPS:
            gradient = safe_get_full_grad(getattr(attention, name).weight)  # type: ignore[union-attr]
            if gradient is not None:
                squares += gradient.float().square().sum().item()
        found[f"{layer}.gradient"] = math.sqrt(squares)
    return found


class Alarms:
    """Tells each trouble once when it begins.

    ``grad_clip``: the norm that gradients are clipped at. ``rope``: the reference run's loss by step.
    """

    def __init__(self, steps: int, grad_clip: float, rope: Mapping[int, float]) -> None:
        self._grad_clip, self._rope = grad_clip, rope
        self._settled = SETTLED_SHARE * steps
        self._never = max(NEVER_SHARE * steps, NEVER_STEPS)
        self._late = max(LATE_SHARE * steps, LATE_STEPS)
        self._history: dict[str, list[float]] = {}
        self._spread: set[str] = set()
        self._ringing: set[str] = set()

    @property
    def ringing(self) -> int:
        """Troubles that go on."""
        return len(self._ringing)

    @property
    def names(self) -> list[str]:
        """Of the troubles that go on, but the comparison with another run, which may not be there."""
        return sorted(self._ringing - {REFERENCE})

    def of_look(self, step: int, length: int, look: Look) -> list[str]:
        """Alarms of what ``positions`` and ``map_gradients`` found at ``step``, on sequences of
        ``length`` tokens."""
        lines = []
        for name, value in look.items():
            layer, _, figure = name.partition(".")
            if figure == "collapsed":
                lines += self._of_collapse(step, name, layer, value)
            elif figure in ("range", "gradient"):
                usual = self._usual(name)
                most = length if figure == "range" else self._grad_clip
                bad = not math.isfinite(value) or value > max(EXPLODED * usual, most)
                line = f"layer {layer}: unstable, {figure} is {value:.3g}, usually {usual:.3g}"
                lines += self.ring(name, bad, line)
                if math.isfinite(value):
                    self._history[name].append(value)
        return lines

    def _of_collapse(self, step: int, name: str, layer: str, share: float) -> list[str]:
        """Collapse after the heads had spread, or none that ever did."""
        shares = self._history.setdefault(name, [])
        shares.append(share)
        last = shares[-LOOKS:]
        if len(last) == LOOKS and max(last) <= 0.5:
            self._spread.add(name)
        collapsed = len(last) == LOOKS and min(last) == 1.0
        if name in self._spread:
            line = f"layer {layer}: the positions of all heads have collapsed (NoPE or RoPE)"
            return self.ring(name, collapsed, line)
        line = f"layer {layer}: the positions of no head have left their start (NoPE or RoPE)"
        late = self._never if min(shares) == 1.0 else self._late
        return self.ring(name, collapsed and step >= late, line)

    def of_curve(self, log: Sequence[Mapping[str, float]]) -> list[str]:
        """Alarm of a loss curve that stays above the reference run's."""
        last = log[-REFERENCE_POINTS:]
        known = [point for point in last if int(point["step"]) in self._rope]
        if len(known) < REFERENCE_POINTS:
            return []
        gap = statistics.fmean(p["loss"] - self._rope[int(p["step"])] for p in known)
        settled = known[-1]["step"] >= self._settled
        line = f"short-context loss is {gap:.3f} nats above the reference run's at the same steps"
        return self.ring(REFERENCE, settled and gap > WORSE_THAN_REFERENCE, line)

    def _usual(self, name: str) -> float:
        before = self._history.setdefault(name, [])
        return statistics.median(before) if len(before) >= 5 else math.inf

    def ring(self, name: str, bad: bool, line: str) -> list[str]:
        """The line of a trouble that begins; nothing of one that goes on, ends or is none."""
        if not bad:
            self._ringing.discard(name)
            return []
        if name in self._ringing:
            return []
        self._ringing.add(name)
        return [f"alarm: {line}"]
