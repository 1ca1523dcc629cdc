"""The stage: its files, the same bytes again, nothing built twice, and the old out kept."""

import shutil
from pathlib import Path

import pytest

from stages.benchmarks import nlgraph, stage
from stages.benchmarks.params import BenchmarksParams
from stages.benchmarks.stage import STAGE, run
from stages.common import paths
from stages.common.errors import UserError
from stages.common.files import read_json, read_jsonl, sha256
from stages.common.stage import Job
from stages.params import Params
from tests.stages.nlgraph_questions import write as write_nlgraph

SETTINGS = {
    "tasks": ["niah_single_1", "vt"],
    "samples": 3,
    "new_tokens": {"niah_single_1": 8, "vt": 8},
    "value_digits": 4,
    "word_tokens": 4,
    "prose": "generated",
    "steps": {"lines": 1, "prose": 4, "assignments": 1, "words": 1},
    "vt": {"chains": 2, "hops": 1, "name_letters": 3, "value_digits": 4, "example_tokens": None},
    "cwe": {"common": 3, "repeats": [4, 1], "example": None},
}
LONGBENCH = {"tasks": ["generated_qa"], "samples": 3}


def job(seed: int = 1, lengths: tuple[int, ...] = (300, 600), **ruler) -> Job:
    content = {"seed": seed, "lengths": lengths, "ruler": SETTINGS | ruler, "longbench": LONGBENCH}
    params = BenchmarksParams.model_validate(content)
    return Job(STAGE, Params.model_construct(benchmarks=params))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokenizer_folder: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REPO_RUNS", raising=False)
    shutil.copytree(tokenizer_folder, paths.TOKENIZER)
    return tmp_path


def test_files_and_manifest(project: Path) -> None:
    run(job())
    found = contents(paths.BENCHMARKS)
    tasks = ("ruler/niah_single_1", "ruler/vt", "longbench/generated_qa")
    samples = {f"{task}-{length}.jsonl" for task in tasks for length in (300, 600)}
    assert set(found) == samples | {"probes.jsonl", "manifest.json"}
    manifest = read_json(paths.BENCHMARKS / "manifest.json")
    assert manifest["lengths"] == [300, 600]
    assert set(manifest["hashes"]) == samples | {"probes.jsonl"}
    for name, digest in manifest["hashes"].items():
        assert sha256(paths.BENCHMARKS / name) == digest
    for name in samples:
        for index, row in enumerate(read_jsonl(paths.BENCHMARKS / name)):
            task, length = Path(name).stem.rsplit("-", 1)
            assert (row["task"], row["length"], row["index"]) == (task, int(length), index)
            assert row["id"] == f"{task}-{length}-{index:04}"
            assert len(row["prompt_ids"]) + row["max_new_tokens"] <= int(length)


def test_probes_fill_the_trained_length(project: Path, encoder) -> None:
    run(job())
    structured, noisy = read_jsonl(paths.BENCHMARKS / "probes.jsonl")
    assert (structured["id"], noisy["id"]) == ("structured", "noisy")
    for probe in (structured, noisy):
        assert 250 < len(probe["prompt_ids"]) <= 300
        assert encoder.ids(probe["text"]) == probe["prompt_ids"]
    assert "| name | size | count |" in structured["text"]


def test_again_is_the_same_and_builds_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(job())
    first = contents(paths.BENCHMARKS)
    monkeypatch.setattr(stage.Builder, "samples", None)  # a call would raise
    run(job())
    assert contents(paths.BENCHMARKS) == first
    monkeypatch.undo()
    monkeypatch.chdir(project)
    shutil.rmtree("runs")
    run(job())
    assert contents(paths.BENCHMARKS) == first
    run(job(seed=2))
    assert contents(paths.BENCHMARKS) != first


def test_an_interrupted_build_goes_on(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    original = stage.Builder.samples

    def dies_after_two(self, part):
        if len(built) == 2:
            raise RuntimeError("killed")
        built.append(part)
        return original(self, part)

    monkeypatch.setattr(stage.Builder, "samples", dies_after_two)
    with pytest.raises(RuntimeError, match="killed"):
        run(job())
    assert not paths.BENCHMARKS.exists()
    first, built[:] = list(built), []
    monkeypatch.setattr(
        stage.Builder, "samples", lambda self, part: built.append(part) or original(self, part)
    )
    run(job())
    assert not set(first) & set(built)
    assert len(first) + len(built) == 6


def test_a_refusal_keeps_the_earlier_out(project: Path) -> None:
    run(job())
    first = contents(paths.BENCHMARKS)
    with pytest.raises(UserError, match="40 is too short for niah_single_1"):
        run(job(lengths=(40, 600)))
    with pytest.raises(UserError, match=r"ruler.prose is 'nowhere.txt': no such file"):
        run(job(prose="nowhere.txt"))
    assert contents(paths.BENCHMARKS) == first


@pytest.mark.ray
def test_ray_builds_the_same_bytes(
    project: Path, monkeypatch: pytest.MonkeyPatch, ray_session
) -> None:
    run(job())
    first = contents(paths.BENCHMARKS)
    shutil.rmtree("runs")
    monkeypatch.setattr(stage, "_IN_PROCESS_TOKENS", 0)
    run(job())
    assert contents(paths.BENCHMARKS) == first


@pytest.mark.parametrize(
    ("lengths", "message"),
    [((512, 256), "must rise"), ((256, 256), "must rise"), ((-1,), "greater than or equal to 16")],
)
def test_bad_lengths_are_refused(lengths: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        job(lengths=lengths)


def test_suites_over_structured_data_are_built_where_asked(project: Path) -> None:
    folder = write_nlgraph(project / "NLGraph", nlgraph.LEVELS)
    run(job())
    before = contents(paths.BENCHMARKS)
    section = {"path": str(folder), "tasks": ("flow", "cycle"), "new_tokens": 8}
    params = job().params.benchmarks.model_dump(mode="json") | {"nlgraph": section}
    run(Job(STAGE, Params.model_construct(benchmarks=BenchmarksParams.model_validate(params))))
    after = contents(paths.BENCHMARKS)
    tasks = ("flow_easy", "flow_hard", "cycle_easy", "cycle_medium", "cycle_hard")
    assert set(after) - set(before) == {f"nlgraph/{task}-300.jsonl" for task in tasks}
    for name, content in before.items():
        assert name == "manifest.json" or after[name] == content
    manifest = read_json(paths.BENCHMARKS / "manifest.json")
    assert manifest["nlgraph"] == {
        task: sha256(folder / task / "test.json") for task in ("flow", "cycle")
    }
    assert manifest["settings"]["nlgraph"]["tasks"] == ["flow", "cycle"]


def test_a_suite_that_is_left_out_leaves_no_trace(project: Path) -> None:
    params = job().params.benchmarks
    assert {"nlgraph", "hybridqa"}.isdisjoint(params.model_dump(mode="json"))
    with pytest.raises(ValueError, match=r"nlgraph\.lengths has 512, which is not in lengths"):
        BenchmarksParams.model_validate(
            params.model_dump(mode="json") | {"nlgraph": {"path": "x", "lengths": [512]}}
        )
