"""Training runs that several tests look at; each ``workers.run`` is one start of two processes."""

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from stages.common.files import read_json, write_json
from stages.training.launch import worker
from stages.training.moments import FILE, save_moments
from stages.training.named_state import MOMENTS
from stages.training.run import STOP, Run
from tests.stages.bytes_tokenizer import save_tokenizer
from tests.stages.training import recipes, workers
from tests.stages.training.recipes import MUON, SEEN, SHORT, STEPS, UPPER, WIDE, Runs
from tests.stages.training.small import wider_model
from tests.stages.training.workers import CPU

ZERO = {stage: replace(CPU, zero_stage=stage) for stage in (0, 1, 2, 3)}
EVERY_STEP = replace(CPU, checkpoint_steps=1)


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Two workers: uninterrupted runs, runs that were asked to stop, and some that met trouble."""
    made = Runs(tmp_path_factory.mktemp("loop"))

    def stopping(name: str, step: int, **changes: object) -> Run:
        kinds = {"sparse": recipes.few_points, "seen": recipes.looking}
        build = kinds.get(name.split()[-1], recipes.model)
        return made.run(name, partial(recipes.stop_at, step, made.folder / name, build), **changes)

    (made.folder / "mistaken").mkdir()
    base = looked_at(made.folder / "base")
    given = partial(made.run, **SHORT)
    bad = partial(recipes.poisoned, frozenset({10, 11}))
    jobs: list[workers.Job] = [
        *((made.run(f"zero{stage}"), execution) for stage, execution in ZERO.items()),
        (made.run("kept"), replace(EVERY_STEP, checkpoint_keep=3, milestone_steps=20)),
        (stopping("elastic", 17), ZERO[1]),
        (
            made.run("diverged", partial(recipes.diverging, 38), lengths=recipes.SHORT["lengths"]),
            replace(EVERY_STEP, spikes_in_a_row=5),
        ),
        partial(worker, {"run": made.run("mistaken", recipes.wrong), "execution": CPU}),
        (made.run("short", **SHORT), CPU),
        (made.run("offload", **SHORT), replace(ZERO[2], offload=True)),
        (made.run("recomputed", **SHORT), replace(CPU, gradient_checkpointing=True)),
        (made.run("masked", document_mask=True, **SHORT), CPU),
        (made.run("upper", **UPPER), replace(EVERY_STEP, milestone_steps=20)),
        (made.run("upper0", **UPPER), ZERO[0]),
        (made.run("upper3", **UPPER), replace(ZERO[3], gradient_checkpointing=True)),
        (stopping("elastic upper", 7, **UPPER), CPU),
        *(
            (made.run(f"wide{s}", **WIDE), replace(ZERO[s], micro_batch_tokens=16))
            for s in (1, 2, 3)
        ),
        (stopping("stopped wide", 9, **WIDE), replace(CPU, micro_batch_tokens=16)),
        (made.run("muon", **MUON), CPU),
        (stopping("stopped muon", 11, **MUON), CPU),
        (made.run("drained", partial(recipes.drain_at, 9, made.folder / "drained"), **SHORT), CPU),
        (made.run("sparse", recipes.few_points, **SHORT), CPU),
        (stopping("stopped sparse", 9, **SHORT), CPU),
        (replace(made.run("seen", recipes.looking, **SEEN), base=base), CPU),
        (replace(made.run("seen3", recipes.looking, **SEEN), base=base), ZERO[3]),
        (made.run("unseen", recipes.looking, **SEEN), CPU),
        (replace(stopping("stopped seen", 4, **SEEN), base=base), CPU),
        *((replace(given(f"moments{s}"), moments=moments(made.folder)), ZERO[s]) for s in (0, 3)),
        *((made.run(f"poisoned{s}", bad, **SHORT), ZERO[s]) for s in (0, 1, 3)),
        (made.run("disk", partial(recipes.disk_full, 8, 16), **SHORT), EVERY_STEP),
        (made.run("disk at the end", partial(recipes.disk_full, 16, 99), **SHORT), EVERY_STEP),
    ]
    workers.run(made.folder, [each for job in jobs for each in (job, recipes.undo)], world=2)
    asked = ("stopped muon", "stopped sparse", "stopped seen", "stopped wide")
    for name in (*asked, "elastic", "elastic upper"):
        steps = 8 if name == "stopped seen" else STEPS
        assert read_json(made.folder / name / "stopped.json")["step"] < steps
        (made.folder / name / STOP).unlink()
    return made


@pytest.fixture(scope="session")
def resumed(runs: Runs) -> Runs:
    """What was stopped or damaged, gone on with: by one worker, then by two, at another ZeRO stage."""
    alone = replace(CPU, workers=1)
    stop = partial(recipes.stop_at, 16, runs.folder / "elastic")
    upper = partial(recipes.stop_at, 8, runs.folder / "elastic upper")
    jobs: list[workers.Job] = [
        (runs.run("elastic", stop), alone),
        recipes.undo,
        (runs.run("elastic upper", upper, **UPPER), alone),
    ]
    workers.run(runs.folder, jobs, world=1)
    for name in ("elastic", "elastic upper"):
        (runs.folder / name / STOP).unlink()
    for name in ("flipped", "all flipped", "other model", "other data"):
        shutil.copytree(runs.folder / "kept", runs.folder / name)
        (runs.folder / name / "log.jsonl").unlink()
    flip(runs.folder / "flipped/checkpoints/step-00000050/rank-00001.safetensors")
    for file in (runs.folder / "all flipped").glob("checkpoints/*/rank-00000.safetensors"):
        flip(file)
    other = runs.run("other data")
    tokens = shutil.copytree(runs.tokens, runs.folder / "other tokens")
    write_json(tokens / "manifest.json", {**read_json(tokens / "manifest.json"), "eos_id": 1})
    jobs = [
        (runs.run("elastic"), ZERO[3]),
        (runs.run("elastic upper", **UPPER), ZERO[3]),
        (runs.run("stopped muon", **MUON), CPU),
        (runs.run("stopped wide", **WIDE), replace(CPU, micro_batch_tokens=16)),
        (runs.run("stopped sparse", recipes.few_points, **SHORT), CPU),
        (
            replace(runs.run("stopped seen", recipes.looking, **SEEN), base=runs.folder / "base"),
            CPU,
        ),
        (runs.run("disk at the end", **SHORT), CPU),
        (runs.run("flipped"), CPU),
        (runs.run("all flipped"), CPU),
        (runs.run("other model", wider_model), CPU),
        (replace(other, tokens=tokens), CPU),
        *(partial(recipes.read_from, runs.run("zero1"), stage, 2) for stage in (1, 2, 3)),
    ]
    workers.run(runs.folder, [each for job in jobs for each in (job, recipes.undo)], world=2)
    return runs


def moments(folder: Path) -> Path:
    """Moments of the norms alone: every other parameter is fresh, as RePo's maps would be."""
    norms = {n: p for n, p in recipes.model().named_parameters() if p.ndim == 1}
    found = {
        f"{n}|{moment}": torch.full_like(p, 0.1) for n, p in norms.items() for moment in MOMENTS
    }
    save_moments(folder, found, updates=1000)
    return folder / FILE


def looked_at(folder: Path) -> Path:
    """A base model with a tokenizer of bytes beside it."""
    recipes.model(vocabulary=300).save_pretrained(folder)  # type: ignore[operator]
    save_tokenizer(folder)
    return folder


def flip(file: Path) -> None:
    """Change one bit in the middle of a file."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
