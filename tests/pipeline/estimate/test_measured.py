"""What this machine came to is what the next plan reckons with."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.cluster_file import ClusterFile
from pipeline.estimate import estimate, measured
from pipeline.plan import Decision
from stages.common import cpu, runs
from stages.params import load

NAMES = ("base", "train@rope-42", "train@repo-42", "evaluate_base", "evaluate@rope-42")
SECONDS = 312.0


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REPO_RUNS", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(measured, "this_machine", lambda environment: measured_place(0))
    return tmp_path


def measured_place(gpus: int) -> object:
    from stages.common.seen import Place

    return Place(cores=2, gpus=gpus)


def hours(**described: int) -> dict[str, float]:
    decisions = {name: Decision("run", "never ran here") for name in NAMES}
    found = estimate.estimate(load(Path("params.yaml")), decisions, ClusterFile(**described))
    return {row.name: row.hours[1] for row in found.rows if row.hours}


def test_a_plan_reckons_with_what_was_measured() -> None:
    before, there = hours(), hours(cpus=8)
    measured.keep(Path(), "train@rope-42", SECONDS)
    after = hours()
    assert after["train@rope-42"] * 3600 == pytest.approx(SECONDS, rel=0.01)
    # The same kind of work, by a model with a few more parameters: its maps.
    assert after["train@repo-42"] * 3600 == pytest.approx(SECONDS, rel=0.1)
    assert after["evaluate@rope-42"] == before["evaluate@rope-42"]
    assert hours(cpus=8) == there, "another machine's hours changed"
    measured.keep(Path(), "train@repo-42", 2 * SECONDS)
    assert hours()["train@rope-42"] * 3600 == pytest.approx(2 * SECONDS, rel=0.1), "not the latest"


@pytest.mark.parametrize("why", ["short", "no model", "a cluster", "a GPU", "another core"])
def test_what_says_nothing_of_these_cores_is_not_reckoned_with(
    why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = hours()
    if why == "a cluster":
        monkeypatch.setenv("RAY_ADDRESS", "auto")
    if why == "a GPU":
        monkeypatch.setattr(measured, "this_machine", lambda environment: measured_place(1))
    stage = "corpus" if why == "no model" else "train@rope-42"
    measured.keep(Path(), stage, 1.0 if why == "short" else SECONDS)
    if why == "another core":
        monkeypatch.setattr(measured, "cpu_name", lambda: "some other core")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert hours() == before


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"stage": "base"}]', "null"])
def test_a_file_that_cannot_be_read_is_no_speed(here: Path, text: str) -> None:
    (here / measured.FILE).write_text(text)
    assert measured.speeds() == []
    before = hours()
    measured.keep(Path(), "base", SECONDS)
    assert hours()["base"] != before["base"]


def test_a_stage_that_goes_on_from_an_earlier_run_is_not_measured(here: Path) -> None:
    assert not measured.begun("train@rope-42")
    state = here / "train" / "0123" / runs.STATE
    state.parent.mkdir(parents=True)
    state.write_text(json.dumps({"label": "train@rope-42", "finished": False}))
    assert measured.begun("train@rope-42")
    assert not measured.begun("train@rope-43")
    assert not measured.begun("corpus")


def test_the_file_keeps_the_latest(here: Path) -> None:
    for number in range(measured.KEPT + 5):
        measured.keep(Path(), "base", SECONDS + number)
    kept = measured.speeds()
    assert len(kept) == measured.KEPT
    assert kept[0].flops < kept[-1].flops
    assert replace(kept[0], flops=0.0) != kept[0]


@pytest.mark.parametrize("begun", [False, True])
def test_a_stage_s_end_is_what_is_kept(
    begun: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only of one that ran whole and ended well."""
    from pipeline import process
    from stages.common.status import Status

    kept: list[str] = []
    monkeypatch.setattr(measured, "begun", lambda stage: begun)
    monkeypatch.setattr(measured, "keep", lambda root, stage, seconds: kept.append(stage))
    monkeypatch.setattr(process.finished, "restore", lambda root, name: False)
    monkeypatch.setattr(process.finished, "not_kept", lambda root, name: "")
    ends = [Status(0, "done"), Status(1, "it failed")]
    monkeypatch.setattr(process, "_attempt", lambda *arguments: ends.pop(0))
    for _ in range(2):
        process.run_stage(tmp_path, "train@rope-42", {}, tmp_path / "log", print)
    assert kept == ([] if begun else ["train@rope-42"])


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [("avx2", cpu.FP32_FLOPS / cpu.EMULATED), ("avx512_bf16", cpu.BF16_FLOPS),
     ("avx512_bf16 amx_bf16", cpu.AMX_FLOPS)],
)  # fmt: skip
def test_a_core_s_speed_in_bf16_is_its_instructions(
    flags: str, wanted: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu, "_said", lambda *keys: flags if "flags" in keys else "A core")
    assert cpu.core_flops(576, bf16=True) == wanted
    assert cpu.core_flops(576, bf16=False) == cpu.FP32_FLOPS
