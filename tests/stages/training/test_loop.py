"""The workers' loop, two processes and DeepSpeed: against a plain loop, through stops and damage."""

import json

import pytest
import torch
from safetensors.torch import load_file

import repo_model
from stages.common.files import read_json
from stages.training.health import NEVER_STEPS
from stages.training.loop import pause
from tests.stages.training.recipes import MUON, STEPS, Runs, recipe
from tests.stages.training.small import plain_loop


@pytest.mark.parametrize("name", ["zero0", "zero1", "zero2", "zero3"])
def test_two_workers_equal_a_plain_loop(runs: Runs, name: str) -> None:
    net, losses = plain_loop(runs.tokens, recipe(), seed=7)
    assert len(losses) == STEPS
    assert losses[-1] < losses[0] - 0.1
    assert runs.losses(name) == pytest.approx(losses, abs=1e-4)
    weights = runs.weights(name)
    for parameter_name, parameter in net.named_parameters():
        value = weights[parameter_name]
        torch.testing.assert_close(value, parameter.detach(), atol=1e-3, rtol=0)


def test_offloaded_moments_change_nothing(runs: Runs) -> None:
    assert runs.losses("offload") == pytest.approx(runs.losses("short"), abs=1e-4)


def test_muon_equals_a_plain_loop_until_rounding_tells(runs: Runs) -> None:
    # Muon orthogonalises in bf16 where the cores are fast in it, which turns the sums' last bits
    # into 1e-3 within ten steps and more later.
    _, losses = plain_loop(runs.tokens, recipe(**MUON), seed=7)
    assert runs.losses("muon")[:10] == pytest.approx(losses[:10], abs=5e-3)
    assert runs.losses("muon")[-1] < losses[0] - 0.1


@pytest.mark.parametrize(
    ("stopped", "whole"),
    [("stopped muon", "muon"), ("stopped sparse", "sparse"), ("stopped wide", "wide1")],
)
def test_a_stopped_run_goes_on_to_the_same_bytes(resumed: Runs, stopped: str, whole: str) -> None:
    assert resumed.equal(stopped, whole)
    at = {"stopped muon": 11}.get(stopped, 9)  # 9 is between two points of the curve
    assert f"resumed at step {at}, token {at * 128}" in resumed.notices(stopped)


def test_two_workers_then_one_then_two_at_another_zero_stage(resumed: Runs) -> None:
    told = [line for line in resumed.notices("elastic").splitlines() if "resumed" in line]
    steps = [int(line.split()[3].rstrip(",")) for line in told]
    assert len(steps) == 2
    assert 10 < steps[0] < steps[1] < STEPS
    assert [int(line.split()[-1]) for line in told] == [128 * step for step in steps]
    assert resumed.losses("elastic") == pytest.approx(resumed.losses("zero1"), abs=1e-4)
    for name, value in resumed.weights("zero1").items():
        torch.testing.assert_close(resumed.weights("elastic")[name], value, atol=1e-4, rtol=0)


def test_a_node_that_is_about_to_go_brings_a_checkpoint(runs: Runs) -> None:
    first, last = runs.checkpoints("drained")
    assert 9 <= first < last == 24
    assert runs.equal("drained", "short")


def test_the_last_checkpoints_and_milestones_are_kept(runs: Runs) -> None:
    kept = runs.checkpoints("kept")
    assert kept[-1] == 50  # the two before depend on how fast the disk is
    assert len(kept) == 3
    assert kept[0] >= 40
    folder = runs.folder / f"kept/checkpoints/step-{kept[0]:08d}/progress.json"
    position = read_json(folder)["position"]
    assert (position["step"], position["tokens"]) == (kept[0], kept[0] * 128)
    assert (position["phase"], position["sequence"]) == (1, (kept[0] - 25) * 4)
    assert runs.losses("kept") == runs.losses("zero1")


def test_milestones_are_models_without_optimizer_state(runs: Runs) -> None:
    milestones = runs.folder / "kept/milestones"
    assert sorted(path.name for path in milestones.iterdir()) == ["step-00000020", "step-00000040"]
    model = repo_model.load(milestones / "step-00000040")
    stored = load_file(milestones / "step-00000040/model.safetensors")
    assert set(stored) == set(runs.weights("kept"))
    for name, parameter in model.named_parameters():
        assert parameter.equal(stored[name])
    assert not all(stored[name].equal(value) for name, value in runs.weights("kept").items())


def test_checkpoints_cost_at_most_their_share_and_few_bytes() -> None:
    stall_s, write_s, state = 1.0, 9.0, 18_000_000_000
    assert pause(30, stall_s + write_s, 1) == 200
    assert pause(30, 0.1, state) == 900
    assert 40 * 3600 / pause(30, 0.1, state) * state <= 3e12
    assert pause(30, 0.1, 30_000_000) == 30


@pytest.mark.parametrize("stage", [0, 1, 3])
def test_a_step_whose_gradients_are_not_finite_changes_nothing_and_is_counted(
    runs: Runs, stage: int
) -> None:
    rows = [json.loads(line) for line in (runs.folder / f"poisoned{stage}/metrics.jsonl").open()]
    assert [row["skipped"] for row in rows if 8 <= row["step"] <= 13] == [0, 0, 1, 2, 2, 2]
    assert "2 steps skipped" in runs.notices(f"poisoned{stage}")
    losses, whole = runs.losses(f"poisoned{stage}"), runs.losses("short")
    assert losses[:10] == pytest.approx(whole[:10], abs=1e-4)
    assert all(loss < 10 for loss in losses)
    progress = read_json(runs.folder / f"poisoned{stage}/checkpoints/step-00000024/progress.json")
    assert progress["skipped"] == 2
    # Adam's bias correction counts the steps that were taken, not those that were tried.
    assert losses == pytest.approx(runs.losses("poisoned0"), abs=1e-4)


def test_spikes_in_a_row_end_the_run_and_name_the_last_good_checkpoint(runs: Runs) -> None:
    said = runs.mistake("diverged")
    assert "lr is 0.01: 5 bad steps in a row up to step 4" in said
    last = runs.checkpoints("diverged")[-1]
    assert 30 < last < 40
    assert f"diverged/checkpoints/step-{last:08d}" in said
    assert not (runs.folder / "diverged" / "log.jsonl").exists()


def test_a_full_disk_is_one_line_and_costs_no_checkpoint(runs: Runs, resumed: Runs) -> None:
    said = [line for line in runs.notices("disk").splitlines() if "could not be written" in line]
    assert len(said) == 1
    assert "the earlier one stays good; training goes on" in said[0]
    assert runs.equal("disk", "short")
    said_at_the_end = runs.mistake("disk at the end")
    assert "File too large" in said_at_the_end
    assert "make room and run again" in said_at_the_end
    assert "resumed at step 1" in runs.notices("disk at the end")
    assert resumed.equal("disk at the end", "short")


def test_a_damaged_checkpoint_costs_only_itself(resumed: Runs) -> None:
    said = resumed.notices("flipped")
    assert "step-00000050: rank-00001.safetensors is damaged; going back to an earlier one" in said
    assert "resumed at step 4" in said
    assert resumed.equal("flipped", "zero1")
    assert "all 3 checkpoints are damaged; remove the folder" in resumed.mistake("all flipped")


def test_another_model_or_other_data_is_refused(resumed: Runs) -> None:
    model = resumed.mistake("other model")
    assert "is of another model: lm_head.weight is [64, 16] there, [72, 16] here" in model
    data = resumed.mistake("other data")
    assert "its data position has data '" in data
    assert "other data or another order" in data
    assert resumed.checkpoints("other data") == resumed.checkpoints("kept")


def test_masked_documents_are_another_run(runs: Runs) -> None:
    assert runs.losses("masked") != runs.losses("short")
    assert runs.losses("masked")[-1] < runs.losses("masked")[0]


def test_metrics_tell_of_speed_gradients_and_positions(runs: Runs) -> None:
    rows = [json.loads(line) for line in (runs.folder / "zero2/metrics.jsonl").open()]
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    last = rows[-1]
    assert last["tokens_per_s_per_worker"] > 0
    assert last["gradient_norm"] > 0
    assert {"z.1.range", "z.1.std", "z.1.collapsed", "z.1.gradient", "z.range"} <= set(last)
    assert 0 <= last["checkpoint_stall_share"] < 1
    # Maps of this size have not moved yet, which is told from a third of the run on; nothing else is.
    assert last["z.1.collapsed"] == 1.0 and last["z.1.std"] < 1e-3
    assert [row["alarms"] for row in rows[: NEVER_STEPS - 1]] == [0] * (NEVER_STEPS - 1)
    assert last["alarms"] == 1
    (alarm,) = [line for line in runs.notices("zero2").splitlines() if "alarm" in line]
    assert "the positions of no head have left their start" in alarm
    assert "2 workers, ZeRO 2, 1 passes a step, chunked loss" in runs.notices("zero2")


def test_a_run_starts_from_the_moments_it_is_given(runs: Runs) -> None:
    said = runs.notices("moments3").splitlines()[0]
    assert "Adam's moments of 9 of them by name after 1,000 updates and 19 without" in said
    assert runs.losses("moments3") == pytest.approx(runs.losses("moments0"), abs=1e-3)
    assert runs.losses("moments3")[0] == pytest.approx(runs.losses("short")[0], abs=1e-5)
    assert abs(runs.losses("moments3")[-1] - runs.losses("short")[-1]) > 1e-3
