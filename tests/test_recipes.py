"""docs/extending.md: every recipe is carried out with the page's own blocks."""

import re
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from pipeline.use import profiles
from stages.benchmarks.longbench import Source, samples
from stages.benchmarks.params import LongBenchParams
from stages.common.encoder import Encoder
from stages.common.files import read_json, write_jsonl
from stages.common.stage import Job, Stage
from stages.evaluate.scorers import score
from stages.params import Params, load
from stages.report.formats import label
from stages.report.inputs import read_items
from stages.report.metrics import collect
from tests.stages.bytes_tokenizer import save_tokenizer
from tests.stages.report.fabricated_results import write_run


@pytest.fixture
def recipes(project_root: Path) -> dict[str, list[str]]:
    """Title -> its code blocks."""
    page = (project_root / "docs/extending.md").read_text(encoding="utf-8")
    parts = re.split(r"^## ", page, flags=re.MULTILINE)[1:]
    return {
        part.partition("\n")[0]: re.findall(r"```\w+\n(.*?)```", part, flags=re.DOTALL)
        for part in parts
    }


def test_there_are_six(recipes: dict[str, list[str]]) -> None:
    """That of a suite is run in tests/stages/evaluate/test_outside.py."""
    assert list(recipes) == [
        "A task", "A variant", "A family", "A stage", "A suite of benchmarks", "A section of the report"
    ]  # fmt: skip
    assert all(recipes.values())


def test_a_task(recipes: dict[str, list[str]], tmp_path: Path, monkeypatch: Any) -> None:
    settings, rows, params = recipes["A task"]
    monkeypatch.chdir(tmp_path)
    Path("my-tasks").mkdir()
    Path("my-tasks/tasks.json").write_text(settings)
    Path("my-tasks/colour_of.jsonl").write_text(rows)
    save_tokenizer(tmp_path)
    chosen = LongBenchParams(**yaml.safe_load(params)["longbench"])
    (sample,) = samples(Source(chosen), chosen.tasks[0], 512, Encoder(tmp_path))
    assert sample["input"].endswith("Question: What colour is the door?\nAnswer:")
    assert score(sample, "green") == 1.0
    assert score(sample, "red") == 0.0


def test_a_variant(recipes: dict[str, list[str]], tmp_path: Path) -> None:
    (block,) = recipes["A variant"]
    written = {**yaml.safe_load(profiles()["tiny"]), **yaml.safe_load(block)}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(written))
    params = load(tmp_path / "params.yaml")
    assert params.positions("every_other", 4) == ["rope", "repo", "rope", "repo"]


def test_a_family(recipes: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    from repo_model import family_facts

    monkeypatch.setattr(family_facts, "FACTS", dict(family_facts.FACTS))
    (block,) = recipes["A family"]
    exec(block, {})
    config = type("Config", (), {"model_type": "repo_my_llama"})()
    assert family_facts.facts_of(config) == family_facts.FACTS["llama"]


def test_a_stage(
    recipes: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_jsonl(Path("data/corpus/train/a.jsonl"), [{"text": "one two"}, {"text": "three"}])
    code, entry = recipes["A stage"]
    space: dict[str, Any] = {}
    exec(code, space)
    stage = space["STAGE"]
    assert isinstance(stage, Stage)
    stage.run(Job(stage, Params.model_construct()))
    assert read_json(Path("data/words/words.json")) == {"words": 3}
    (told,) = yaml.safe_load(entry).values()
    assert told["cmd"] == f"python -m stages.{stage.name}"
    assert [name for name in told["params"] if isinstance(name, str)] == list(stage.reads)
    assert [next(iter(out)) for out in told["outs"]] == [space["OUT"].as_posix()]


def test_a_section(
    recipes: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(("rope", "repo"), (1,))
    metrics = collect(read_items(("rope", "repo"), (1,)), "rope")
    code, block = recipes["A section of the report"]
    space: dict[str, Any] = {}
    exec(code, space)
    found = space["longest_answers"](metrics)
    cells = read_json(Path("results/repo-1/metrics.json"))["cells"]
    assert found["repo"] == sum(
        cell["unended"] for tasks in cells.values() for c in tasks.values() for cell in c.values()
    )
    shown = (
        jinja2.Environment(autoescape=True).from_string(block).render(unended=found, label=label)
    )
    assert f"<li>RePo: {found['repo']}</li>" in shown
