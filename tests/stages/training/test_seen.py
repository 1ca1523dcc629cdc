"""What a run reads of held-out text and of the probe, and that reading changes nothing."""

import json
from pathlib import Path

import pytest
import torch

from stages.common.files import read_json, read_jsonl
from stages.evaluate import any_model
from stages.train.stage import write_curve
from stages.training import held_out, record
from tests.stages.training.recipes import Runs

FIGURES = ("held_out.a", "probe")


def test_reading_changes_no_weight(runs: Runs) -> None:
    left, right = runs.weights("seen"), runs.weights("unseen")
    assert all(torch.equal(value, right[name]) for name, value in left.items())
    assert runs.losses("seen") == runs.losses("unseen")


def test_every_zero_stage_reads_the_same(runs: Runs) -> None:
    one, three = runs.log("seen"), runs.log("seen3")
    assert [point["step"] for point in one if "probe" in point] == [4, 8]
    for left, right in zip(one[3::4], three[3::4], strict=True):
        assert [left[name] for name in FIGURES] == pytest.approx(
            [right[name] for name in FIGURES], abs=1e-3
        )
        assert left["base.held_out.a"] == one[3]["base.held_out.a"]


def test_a_resumed_run_has_the_same_series(runs: Runs, resumed: Runs) -> None:
    assert resumed.equal("stopped seen", "seen")
    assert "resumed at step 4" in resumed.notices("stopped seen")


@pytest.mark.parametrize("name", ["seen", "base"])
def test_the_figures_are_those_of_evaluate_on_the_written_samples(
    runs: Runs, name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    model = runs.folder / "base" if name == "base" else runs.folder / name / "final"
    samples = runs.folder / "seen" / held_out.FILE
    with pytest.raises(SystemExit) as ended:
        any_model.main([str(model), "--data", str(samples), "--out", str(tmp_path)])
    assert not ended.value.code, capsys.readouterr()
    found = read_json(tmp_path / "metrics.json")["figures"]
    last = runs.log("seen")[-1]
    before = "base." if name == "base" else ""
    assert {n: found[n]["value"] for n in FIGURES} == {n: last[before + n] for n in FIGURES}
    assert [found[n]["n"] for n in FIGURES] == [2, 50]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"ids": [1]}, "line 1: ids must be a list"),
        ({"prompt_ids": [1], "answer_ids": "x"}, "line 1: answer_ids must be a list"),
        ({"ids": [1, 900]}, "the id 900 is none of the model's 300 tokens"),
    ],
)
def test_samples_that_are_none_are_one_line(
    runs: Runs, line: object, said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text(json.dumps(line) + "\n")
    with pytest.raises(SystemExit) as ended:
        any_model.main([str(runs.folder / "base"), "--data", str(file)])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_what_looking_cost_is_said_and_execution_is_kept_apart(
    runs: Runs, resumed: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPO_RUNS", str(tmp_path))
    assert "looks at held-out text and the probe took " in runs.notices("seen")
    assert "the base: held-out loss " in runs.notices("seen")
    record.keep(runs.folder / "seen", "repo-1")
    record.keep(resumed.folder / "stopped seen", "repo-1")
    kept = read_json(tmp_path / "execution/repo-1.json")
    assert set(kept) == {"seen", "stopped seen"}
    assert [row["first_step"] for row in kept["stopped seen"]["attempts"]] == [0, 4]
    assert kept["seen"]["attempts"][0]["execution"]["zero_stage"] == 1
    assert kept["seen"]["hours"] >= 0
    assert len(list(read_jsonl(tmp_path / "execution/repo-1.samples.jsonl"))) == 52
    write_curve(tmp_path / "loss.csv", runs.log("seen"))
    header, *rows = (tmp_path / "loss.csv").read_text().splitlines()
    assert header.startswith("step,tokens,loss,lr,base.held_out.a,base.probe,gradient_norm")
    assert len(rows) == 8
    assert not {"seconds", "tokens_per_s_per_worker", "machine"} & set(header.split(","))
