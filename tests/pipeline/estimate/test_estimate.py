"""``plan``'s figures, from the command a user types to the JSON another tool reads."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.cluster_file import ClusterFile
from pipeline.estimate.estimate import estimate
from pipeline.estimate.grid import BYTES, hours, in_unit
from pipeline.estimate.machines import machine
from pipeline.estimate.planned import machines, planned, render
from pipeline.plan import Decision
from pipeline.use import profiles
from stages.common.errors import UserError
from stages.params import Params, load

H200 = ClusterFile(gpu="h200", gpus=8, price=3.0)
FIELDS = {
    "name", "run", "why", "tokens", "steps", "flops", "parameters", "memory_per_gpu_bytes", "hours",
    "cost", "disk_bytes",
}  # fmt: skip


def command(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """In a process without network (where this user may make one), as on a train."""
    offline = ["unshare", "-n"] if os.geteuid() == 0 else []
    return subprocess.run(
        [*offline, sys.executable, "-m", "pipeline.cli", "plan", *options],
        cwd=root, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(root)},
    )  # fmt: skip


def rows(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in found["stages"]}


def test_the_papers_run_on_8_h200(project_root: Path) -> None:
    before = sorted(project_root.iterdir())
    options = ("--profile", "olmo2-1b", "--gpu", "h200", "--gpus", "8", "--price", "3")
    done = command(project_root, *options, "--json")
    assert done.returncode == 0, done.stderr
    assert sorted(project_root.iterdir()) == before
    found = json.loads(done.stdout)
    assert all(set(row) == FIELDS for row in found["stages"])
    train = rows(found)["train@repo-42"]
    more = found["details"]["train@repo-42"]
    assert train["run"] is True and train["why"]
    assert train["parameters"] == 1_496_496_128
    plain = rows(found)["train@rope-42"]
    assert train["parameters"] - plain["parameters"] == pytest.approx(11.58e6, rel=0.02)
    for row, each in ((plain, 8.48e9), (train, 8.48e9 + 0.0695e9)):  # PERFORMANCE.md
        assert row["flops"] / row["tokens"] == pytest.approx(each, rel=0.02)
    parts = more["memory_parts_bytes"]
    assert parts["weights"] == pytest.approx(2.99e9, rel=0.02)
    assert parts["optimizer"] * 8 == pytest.approx(17.96e9, rel=0.02)  # ZeRO 1 on 8 GPUs
    assert parts["activations"] == pytest.approx(16 * 1.48e9, rel=0.02)
    assert sum(parts.values()) == train["memory_per_gpu_bytes"]
    assert 29.5 < more["hours_low"] < 30.5 < train["hours"] < 41.5 < more["hours_high"] < 42.5
    assert train["cost"] == pytest.approx(train["hours"] * 24)
    trained = [row["hours"] for name, row in rows(found).items() if name.startswith("train@")]
    assert len(trained) == 5
    assert found["totals"]["hours"] > sum(trained)
    assert found["totals"]["cost"] == pytest.approx(found["totals"]["hours"] * 24)
    text = command(project_root, *options).stdout
    assert "30.0-42.2 hours" in text and "MFU is assumed" in text


def test_bad_machines_are_one_line(project_root: Path, tmp_path: Path) -> None:
    for options, fix in (
        (["--gpu", "h2000"], "gpu is 'h2000': unknown; there are b200, h200"),
        (["--gpus", "8"], "name their kind too"),
        (["--gpu", "h200", "--gpus", "0"], "give at least 1"),
        (["--gpu", "h200", "--mfu", "45"], "give a share above 0"),
        (["--gpu", "h200", "--price", "-1"], "0 or more"),
        (["--profile", "olmo"], "unknown; there are"),
        (["--set", "train.lr"], "write KEY=VALUE"),
        (["trian"], "stage 'trian': unknown"),
        (["--cluster", str(tmp_path / "none.yaml")], "no such file"),
    ):
        done = command(project_root, *options)
        assert done.returncode == 2, options
        assert fix in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def params_of(tmp_path: Path, profile: str) -> Params:
    file = tmp_path / "params.yaml"
    file.write_text(profiles()[profile])
    return load(file)


def test_totals_are_of_what_would_run(tmp_path: Path) -> None:
    params = params_of(tmp_path, "olmo2-1b")
    decisions = {
        "tokenize": Decision("fresh", "nothing changed"),
        "train@rope-42": Decision("run", "train.lr 1 -> 2"),
        "evaluate@rope-42": Decision("maybe", "after train@rope-42"),
    }
    found = estimate(params, decisions, H200).as_json()
    by_name = rows(found)
    assert [row["run"] for row in found["stages"]] == [False, True, True]
    assert by_name["tokenize"]["hours"] > 0
    both = by_name["train@rope-42"]["hours"] + by_name["evaluate@rope-42"]["hours"]
    assert found["totals"]["hours"] == pytest.approx(both)


def test_the_table_has_one_unit_a_column_and_one_line_for_seeds_alike(tmp_path: Path) -> None:
    params = params_of(tmp_path, "olmo2-1b")
    names = ("corpus", "train@repo-42", "train@repo-43", "train@rope-42")
    found = estimate(params, {name: Decision("run", "new") for name in names}, H200)
    head, *lines = render(found, as_json=False).split("\n\n")[0].splitlines()
    assert head.split("  ")[0] == "stage"
    assert "tokens, B" in head and "EFLOP" in head and "disk, GB" in head
    assert [line.split()[0] for line in lines] == [
        "corpus", "train@repo-{42,43}", "train@rope-42", "total",
    ]  # fmt: skip
    both = lines[1].split()
    assert both[1:4] == ["run", "x", "2"]
    assert "23,852" in both and f"{3 * 23_852:,}" in lines[-1]
    assert not any(unit in "\n".join(lines) for unit in (" K", " M", " B", "GB"))


def test_figures_in_one_unit() -> None:
    head, cells, total = in_unit("disk, {unit}", BYTES, [None, 2.5e9, 3e5], 4e9)
    assert (head, cells, total) == ("disk, GB", ["", "2.5", "<0.1"], "4.0")
    head, cells, _ = hours("takes, {unit}", [None, (0.1, 0.1, 0.1), (0.5, 0.6, 0.7)])
    assert (head, cells) == ("takes, min", ["", "6.0", "30.0-42.0"])


def test_a_measured_mfu_gives_one_figure(tmp_path: Path) -> None:
    params = params_of(tmp_path, "olmo2-1b")
    decisions = {"train@rope-42": Decision("run", "")}
    found = estimate(params, decisions, H200.model_copy(update={"mfu": 0.5})).rows[0]
    assert found.hours == pytest.approx((29.8, 29.8, 29.8), rel=0.01)


@pytest.mark.parametrize(
    ("gpu", "gpus", "named"),
    [
        ("h200", 8, {"REPO_MICRO_BATCH_TOKENS"}),
        ("h200", 1, {"REPO_OFFLOAD"}),
        (
            "a100-40",
            4,
            {"REPO_MICRO_BATCH_TOKENS", "REPO_GRADIENT_CHECKPOINTING", "REPO_ZERO"},
        ),
    ],
)
def test_what_does_not_fit_is_said_with_settings_that_make_it_fit(
    tmp_path: Path, gpu: str, gpus: int, named: set[str]
) -> None:
    params = params_of(tmp_path, "olmo2-7b")
    decisions = {"train@repo-42": Decision("run", "")}
    small = ClusterFile(gpu=gpu, gpus=gpus)
    found = estimate(params, decisions, small)
    assert found.rows[0].fits is False
    (line,) = re.findall("does not fit into .*", render(found, as_json=False))
    settings = dict(re.findall(r"(REPO_\w+)=(\d+)", line))
    assert set(settings) == named
    able = estimate(params, decisions, small.model_copy(update={"environment": settings}))
    assert able.rows[0].fits is True and able.rows[0].remedy is None


def test_what_no_setting_makes_fit_is_said_with_how_many_gpus_would(tmp_path: Path) -> None:
    params = params_of(tmp_path, "olmo2-7b")
    decisions = {"train@repo-42": Decision("run", "")}
    for optimizer, wanted in (("adamw", "take 8 GPUs with"), ("muon", "train a part of it")):
        train = params.train.model_copy(update={"optimizer": optimizer})
        asked = params.model_copy(update={"train": train})
        row = estimate(asked, decisions, ClusterFile(gpu="l4", gpus=1)).rows[0]
        assert row.remedy is not None and "no setting makes it fit: weights" in row.remedy
        assert wanted in row.remedy
        assert ("GPUs" in row.remedy) == (optimizer == "adamw")
        if optimizer == "muon":
            continue
        settings = dict(re.findall(r"(REPO_\w+)=(\d+)", row.remedy))
        many = ClusterFile(gpu="l4", gpus=8, environment=settings)
        assert estimate(asked, decisions, many).rows[0].fits is True
        half = ClusterFile(gpu="l4", gpus=4, environment=settings)
        assert estimate(asked, decisions, half).rows[0].fits is False


def test_without_gpus_the_cores_are_reckoned(project_root: Path) -> None:
    found = planned(project_root, [], machines())
    assert found.machine.gpus == 0
    row = rows(found.as_json())["train@repo-42"]
    assert 0 < row["hours"] < 1
    assert row["cost"] is None


def test_a_cluster_file_describes_machines_and_options_override_it(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text("gpu: h100\ngpus: 16\nprice: 2.5\nenvironment: {REPO_ZERO: '2'}\n")
    assert machine(machines(file)).gpus == 16
    assert machines(file, gpu="h200").gpus == 16
    file.write_text("gpu: h100\nenvironment: {AWS_SECRET_ACCESS_KEY: abc}\n")
    with pytest.raises(UserError, match="is no REPO_\\* setting") as error:
        machines(file)
    assert "abc" not in str(error.value)


def test_an_override_changes_the_plan_and_not_the_project(project_root: Path) -> None:
    before = (project_root / "params.yaml").read_bytes()
    one = planned(project_root, [], H200, "olmo2-1b", ["train.tokens=2097152", "variants=[repo]"])
    assert rows(one.as_json())["train@repo-42"]["steps"] == 1
    assert "train@rope-42" not in rows(one.as_json())
    assert (project_root / "params.yaml").read_bytes() == before
