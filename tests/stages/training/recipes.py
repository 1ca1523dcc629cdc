"""Runs for tests: one recipe, starting models that do something to their run, and what a run left."""

import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import load_file
from torch import nn

from stages.common.errors import UserError
from stages.common.files import read_jsonl, write_json
from stages.training import checkpoint, curve, looks, meeting, notices
from stages.training.engine import Engine
from stages.training.execution import Execution
from stages.training.objective import next_token_loss
from stages.training.params import TrainingParams
from stages.training.run import SAVE, STOP, Run
from tests.stages.conftest import make_tokens
from tests.stages.training.small import model

STEPS = 50
SHORT_STEPS = 24
SHORT: dict[str, object] = {
    "tokens": SHORT_STEPS * 128,
    "lengths": ({"length": 16, "share": 1.0},),
}
UPPER: dict[str, object] = {
    **SHORT,
    "trainable": {"maps": True, "attention": ["q", "k"], "from_layer": 1},
    "map_lr": 0.03,
}
"""Maps, q and k of the second of two layers."""
SEEN: dict[str, object] = {
    "tokens": 8 * 512,
    "batch_tokens": 512,
    "lengths": ({"length": 256, "share": 1.0, "sources": ("a",)},),
}
"""Long enough for a prompt of the probe."""
WIDE: dict[str, object] = {
    **SHORT,
    "tokens": 14 * 128,  # many small passes in bf16: the dearest steps of all
    "precision": "bf16",
    "gradients": "fp32",
}
MUON: dict[str, object] = {**SHORT, "optimizer": "muon", "muon_lr": 0.02}


def recipe(**changes: object) -> TrainingParams:
    """50 steps in two phases of length."""
    fields: dict[str, object] = {
        "tokens": STEPS * 128,
        "batch_tokens": 128,
        "lengths": ({"length": 16, "share": 0.5}, {"length": 32, "share": 0.5}),
        "lr": 1e-2,
        "betas": (0.9, 0.95),
        "eps": 1e-8,
        "weight_decay": 0.1,
        "grad_clip": 1.0,
        "z_loss": 1e-4,
        "warmup_steps": 2,
        "decay_share": 0.5,
        "precision": "fp32",
    }
    return TrainingParams(**{**fields, **changes})


class Runs:
    """Runs of the recipe, each in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tokens = make_tokens(folder / "tokens")

    def run(self, name: str, build: Callable[[], nn.Module] = model, **changes: object) -> Run:
        return Run(recipe(**changes), 7, self.tokens, self.folder / name, build)

    def log(self, name: str) -> list[dict[str, float]]:
        return list(read_jsonl(self.folder / name / "log.jsonl"))

    def losses(self, name: str) -> list[float]:
        return [point["loss"] for point in self.log(name)]

    def weights(self, name: str) -> dict[str, torch.Tensor]:
        return load_file(self.folder / name / "final" / "model.safetensors")

    def checkpoints(self, name: str) -> list[int]:
        found = (self.folder / name / "checkpoints").glob("step-*")
        return sorted(int(path.name.removeprefix("step-")) for path in found)

    def notices(self, name: str) -> str:
        return (self.folder / name / notices.FILE).read_text()

    def mistake(self, name: str) -> str:
        """What the user was told by the last run of that name."""
        return (self.folder / name / "mistake.json").read_text().strip()

    def equal(self, one: str, other: str) -> bool:
        """Whether both ended with the same curve and the same weights, bit for bit."""
        left, right = self.weights(one), self.weights(other)
        same = all(torch.equal(value, right[name]) for name, value in left.items())
        return same and set(left) == set(right) and self.log(one) == self.log(other)


# The starting models below act through the engine, which calls them back in the worker's process.
_accumulate, _scale = Engine.accumulate, Engine.scale_learning_rates


def undo() -> None:
    """Take back what a starting model did to this process."""
    Engine.accumulate, Engine.scale_learning_rates = _accumulate, _scale  # type: ignore[method-assign]
    curve.POINTS, meeting.SECONDS, looks.SHARE = 200, 0.5, 0.008


def _at_steps(act: Callable[[int], None]) -> None:
    """Call ``act`` with the number of each step of this process (from 1) before it is taken."""
    taken = [0]

    def scale(self: Engine, share: float) -> None:
        taken[0] += 1
        act(taken[0])
        _scale(self, share)

    Engine.scale_learning_rates = scale  # type: ignore[method-assign]


def few_points() -> nn.Module:
    """The curve has a point every second step and the ranks meet at each, so that a stop can fall
    between two points."""
    curve.POINTS, meeting.SECONDS = 12, 0.0
    return model()


def stop_at(step: int, folder: Path, build: Callable[[], nn.Module] = model) -> nn.Module:
    """The run is asked to stop while it takes ``step``, as SIGTERM asks it."""
    _at_steps(lambda taken: (folder / STOP).touch() if taken == step else None)
    return build()


def looking() -> nn.Module:
    """A model that is looked at twice, however short the run; 300 ids are those of bytes."""
    looks.SHARE = 3.4
    return model(vocabulary=300)


def drain_at(step: int, folder: Path) -> nn.Module:
    """A node is about to go while the run takes ``step``.

    Steps take so long that the ranks meet at least every ten (``meeting.SECONDS``): of a run that is
    over before they meet again nothing could be saved in between.
    """

    def act(taken: int) -> None:
        time.sleep(0.05)
        if taken == step and dist.get_rank() == 0:
            (folder / SAVE).touch()

    _at_steps(act)
    return model()


def die_once_then_signal(flag: Path, driver: int, folder: Path) -> nn.Module:
    """The last rank dies once as by kill -9; once that was, SIGTERM reaches the driver.

    The step waits until the driver has passed it on: the few steps left take less time than that.
    """

    def act(taken: int) -> None:
        if flag.exists():
            if taken == 14 and dist.get_rank() == dist.get_world_size() - 1:
                flag.unlink()
                os.kill(os.getpid(), signal.SIGKILL)
        elif taken == 6 and dist.get_rank() == 0:
            os.kill(driver, signal.SIGTERM)
            end = time.monotonic() + 60
            while not (folder / STOP).exists():
                assert time.monotonic() < end, "the driver passed nothing on"
                time.sleep(0.01)

    _at_steps(act)
    return model()


def wrong() -> nn.Module:
    """A user's mistake that only the workers find."""
    raise UserError("base.source: broken")


def freeze_at(step: int) -> nn.Module:
    """The last rank stands still at ``step``, as a machine that no longer answers."""

    def act(taken: int) -> None:
        if taken == step and dist.get_rank() == dist.get_world_size() - 1:
            os.kill(os.getpid(), signal.SIGSTOP)

    _at_steps(act)
    return model()


def freeze_once(flag: Path, step: int) -> nn.Module:
    """The same once, in the first process that finds ``flag``."""

    def act(taken: int) -> None:
        if taken == step and dist.get_rank() == dist.get_world_size() - 1 and flag.exists():
            flag.unlink()
            os.kill(os.getpid(), signal.SIGSTOP)

    _at_steps(act)
    return model()


def disk_full(first: int, last: int) -> nn.Module:
    """The system refuses files over 8 KB from step ``first`` to ``last``."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def act(taken: int) -> None:
        if taken == first:
            resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
        if taken == last:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))

    _at_steps(act)
    return model()


def poisoned(steps: frozenset[int]) -> nn.Module:
    """The gradients of some steps (from 1) are not finite, on the last rank."""
    taken = [0]

    def accumulate(self: Engine, ids_BT: torch.Tensor, *rest: object) -> torch.Tensor:
        taken[0] += 1
        if taken[0] not in steps or dist.get_rank() != dist.get_world_size() - 1:
            return _accumulate(self, ids_BT, *rest)  # type: ignore[arg-type]
        weight = self.model.model.norm.weight  # type: ignore[union-attr]
        hook = weight.register_hook(lambda gradient: gradient * torch.nan)  # type: ignore[operator, union-attr]
        loss = _accumulate(self, ids_BT, *rest)  # type: ignore[arg-type]
        hook.remove()
        return loss

    Engine.accumulate = accumulate  # type: ignore[method-assign]
    return model()


def diverging(step: int) -> nn.Module:
    """From ``step`` on the learning rate is a thousand times what it should be."""
    taken = [0]

    def scale(self: Engine, share: float) -> None:
        taken[0] += 1
        _scale(self, share * (1000.0 if taken[0] >= step else 1.0))

    Engine.scale_learning_rates = scale  # type: ignore[method-assign]
    return model()


def check_liger(device: str = "cpu") -> None:
    """Liger's loss beside the naive one in fp64; on CPU in Triton's interpreter
    (``TRITON_INTERPRET=1``)."""
    torch.manual_seed(0)
    torch.set_default_device(device)
    ids_BT = torch.randint(0, 50, (3, 9))
    for keep in (None, [True, False, True], [False, False, False]):
        keep_B = None if keep is None else torch.tensor(keep)
        for dtype, z_loss, near in ((torch.float32, 0.1, 1e-6), (torch.bfloat16, 1e-3, 4e-3)):
            hidden_BTD = torch.randn(3, 9, 8).to(dtype).requires_grad_()
            head_VD = torch.randn(50, 8).to(dtype).requires_grad_()
            found = next_token_loss(hidden_BTD, head_VD, ids_BT, z_loss, keep_B, "liger")
            (found[1] / 3).backward()  # a third: one of three passes of a step
            same = [x.detach().double().requires_grad_() for x in (hidden_BTD, head_VD)]
            expected = _naive_loss(*same, ids_BT, z_loss, keep_B)
            (expected[1] / 3).backward()
            pairs = [*zip(found, expected, strict=True)]
            pairs += [(hidden_BTD.grad, same[0].grad), (head_VD.grad, same[1].grad)]
            for mine, theirs in pairs:
                torch.testing.assert_close(mine.double(), theirs, atol=near, rtol=near)
    torch.set_default_device("cpu")


def _naive_loss(
    hidden_BTD: torch.Tensor,
    head_VD: torch.Tensor,
    ids_BT: torch.Tensor,
    z_loss: float,
    keep_B: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    logits_BTV = hidden_BTD[:, :-1] @ head_VD.T
    normaliser_BT = logits_BTV.logsumexp(-1)
    entropy_BT = normaliser_BT - logits_BTV.gather(-1, ids_BT[:, 1:, None]).squeeze(-1)
    if keep_B is not None:
        entropy_BT, normaliser_BT = entropy_BT * keep_B[:, None], normaliser_BT * keep_B[:, None]
    entropy = entropy_BT.mean()
    return entropy, entropy + z_loss * normaliser_BT.square().mean()


def check_compiled() -> None:
    """The runs before this job in this process did compile the blocks."""
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0


def read_from(run: Run, stage: int, world: int) -> None:
    """Build an engine from the run's last checkpoint and leave how much was read and is held."""
    found = checkpoint.latest(run.checkpoints)
    assert found is not None
    stored, net = checkpoint.Stored(found.folder), model()
    updates = found.progress.position.step
    execution = Execution(workers=world, use_gpu=False, zero_stage=stage)
    engine = Engine(net, run.params, execution, 1, stored, updates, 0)
    held = sum(value.nbytes for value in engine.fragments().values())
    read = {"read": stored.bytes_read, "held": held, "of": checkpoint.size(found.folder)}
    write_json(run.folder / f"read-{stage}-{dist.get_rank()}of{world}.json", read)
