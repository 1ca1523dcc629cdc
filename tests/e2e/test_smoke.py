"""What holds after the smoke profile went through Prefect, DVC, Ray and DeepSpeed."""

import json
import shutil
import time
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from stages.common.files import read_json
from tests.e2e.checkouts import Project, checkout

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
STAGES = 15


def test_every_link_left_its_out(project: Project) -> None:
    metrics = read_json(project.folder / "results/repo-42/metrics.json")
    assert set(metrics["cells"]["ruler"]) == {"niah_single_1", "niah_multikey_1"}
    assert metrics["cells"]["ruler"]["niah_single_1"]["512"]["yarn_factor"] == 2.0
    figures = read_json(project.folder / "report/figures.json")
    assert figures
    page = (project.folder / "report/index.html").read_text()
    assert "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org/", "")
    curve = (project.folder / "results/rope-42/loss.csv").read_text().splitlines()
    assert curve[0].startswith("step,tokens,loss,lr")
    assert float(curve[-1].split(",")[2]) < 6.5
    model = AutoModelForCausalLM.from_pretrained(
        project.folder / "models/repo-42-extended", trust_remote_code=True
    )
    assert model.config.positions == ["rope", "repo"]
    assert model.config.rope_parameters["factor"] == 4.0
    tokenizer = AutoTokenizer.from_pretrained(project.folder / "models/repo-42-extended")
    assert tokenizer.decode(tokenizer.encode("key 1234")) == "key 1234"


def test_a_second_run_does_nothing_and_starts_nothing(project: Project) -> None:
    before, started = project.models(), time.monotonic()
    done = project("repo-pipeline", "run")
    assert done.returncode == 0
    assert done.stdout.startswith(f"nothing to do: {STAGES} stages are up to date")
    assert time.monotonic() - started < 60  # a guard against a hang, not a benchmark
    assert project.models() == before
    assert "Data and pipelines are up to date" in project("dvc", "status").stdout


def test_a_changed_param_reruns_what_plan_names_and_no_other(project: Project) -> None:
    kept = (project.folder / "params.yaml").read_text()
    project.set("scope: rope_and_repo", "scope: rope")
    named, reasons = planned(project)
    both = {f"{stage}@{arm}-42" for stage in ("extend", "evaluate") for arm in ("rope", "repo")}
    assert named == {*both, "report"}
    assert "extend.scope rope_and_repo -> rope" in reasons
    (project.folder / "params.yaml").write_text(kept)
    project.set(
        "repo: {train: {}, evaluate: {}, report: {}}",
        "repo: {train: {}, evaluate: {softmax_scale: [{length: 512, scale: 1.1}]}, report: {}}",
    )
    named, _ = planned(project)
    assert named == {"evaluate@repo-42", "report"}
    done = project("dvc", "repro")
    assert done.returncode == 0, done.stdout + done.stderr
    ran = {
        line.split("'")[1] for line in done.stdout.splitlines() if line.startswith("Running stage")
    }
    assert ran == named


def planned(project: Project) -> tuple[set[str], set[str]]:
    """Stages that the plan would run, and the reasons of all."""
    stages = json.loads(project("repo-pipeline", "plan", "--json").stdout)["stages"]
    return {one["name"] for one in stages if one["run"]}, {one["why"] for one in stages}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "start_layer: 1",
            "start_layr: 1",
            "train.start_layr: unknown key; did you mean 'start_layer'",
        ),
        (
            "max_position_embeddings: 256",
            "max_position_embeddings: -1",
            "max_position_embeddings is -1",
        ),
        ("num_attention_heads: 4", "num_attention_heads: 5", "does not divide hidden_size"),
        ("source: python", "source: local", "source 'local' needs the key 'path'"),
    ],
)
def test_bad_params_are_one_line_and_nothing_is_lost(
    project: Project, old: str, new: str, expected: str
) -> None:
    before = project.models()
    kept = (project.folder / "params.yaml").read_text()
    project.set(old, new)
    try:
        for command in (("repo-pipeline", "run"), ("repo-pipeline", "plan")):
            done = project(*command)
            assert done.returncode == 2
            assert expected in done.stderr
            assert "Traceback" not in done.stderr
        assert project.models() == before
    finally:
        (project.folder / "params.yaml").write_text(kept)


def test_a_truncated_shard_is_one_line(project: Project) -> None:
    shard = project.folder / "data/tokens/train/python-00000-00000.npy"
    whole = shard.read_bytes()
    shard.unlink()  # a link into DVC's cache: the copy there must stay whole
    shard.write_bytes(whole[:-6])
    before = project.models()
    done = project("python", "-m", "stages.train", "--variant", "rope", "--seed", "42")
    assert done.returncode == 2
    assert "python-00000-00000.npy" in done.stderr
    assert "the shard is damaged" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert project.models() == before
    assert project("dvc", "checkout", "--force", "data/tokens").returncode == 0
    assert shard.read_bytes() == whole


def test_a_clone_pulls_or_refuses(project: Project, project_root: Path, tmp_path: Path) -> None:
    assert (
        project("dvc", "remote", "add", "-f", "-d", "local", str(tmp_path / "remote")).returncode
        == 0
    )
    assert project("dvc", "push", "-q").returncode == 0
    clone = checkout(project_root, tmp_path / "clone")
    for name in ("params.yaml", "dvc.lock", ".dvc/config"):
        shutil.copy(project.folder / name, clone.folder / name)
    refused = clone("repo-pipeline", "run")
    assert refused.returncode == 2
    assert "`dvc pull` fetches what dvc.lock records" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    assert clone("dvc", "pull", "-q").returncode == 0
    done = clone("repo-pipeline", "run")
    assert done.stdout.startswith("nothing to do")
    assert "Running stage" not in clone("dvc", "repro").stdout
