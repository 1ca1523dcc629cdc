"""Every finding both ways: what is wrong is told with field and fix, what is right is not."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.use import profiles
from stages.common.errors import UserError
from stages.common.findings import refuse, stop, warn
from stages.common.needs import watched
from stages.common.seen import Place
from stages.evaluate.vllm_engine import VARIABLE
from tests.stages.checks.conftest import Check, Own, write_model, write_texts
from tests.stages.evaluate.fake_vllm import FakeVllm

LONGBENCH = (
    "2wikimqa musique multifieldqa_en narrativeqa triviaqa gov_report qmsum".split()  # noqa: SIM905
)
GOOD = '{"text": "some words of a document that has some more of them"}\n'
ROW = '{"input": "q", "context": "c", "answers": ["a"], "all_classes": []}\n'


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ("", "corpus.path"),
        ("plain text\n" * 9000, "corpus.path"),
        ('["a"]\n' * 90000, "corpus.path"),
        ('{"body": "a b c d"}\n' * 90000, "corpus.text_field"),
        ('{"text": "a b"}\n' * 6, "train.lengths"),
        ('{"text": ""}\n' * 9000, "corpus.text_field"),
        (GOOD + '{"text": null}\n' + GOOD * 3000, "corpus.path"),
        (GOOD + '{"text": \n' + GOOD * 3000, "corpus.path"),
    ],
)
def test_documents_are_judged_by_their_first_row_and_their_size(
    content: str, field: str, own: Own, check: Check, tmp_path: Path
) -> None:
    (tmp_path / "my.jsonl").write_text(content)
    found = [one for one in check(own) if one.level == "refuse"]
    assert [one.field for one in found] == [field], [one.line for one in found]


TEXT = "Some words. " * 60_000
FEW: dict[str, tuple[dict[str, str], dict[str, Any], str]] = {
    # files of a folder, what of the source is changed, and what its one line says
    "a text": ({"a.txt": TEXT}, {}, "of 1 document not one is held out"),
    "a text and a list": ({"a.txt": TEXT, "readme.txt": "a"}, {}, "of 1 document not one"),
    "an object": ({"a.json": json.dumps({"text": TEXT})}, {}, "of 1 document not one is held out"),
    "a limit": ({"a.jsonl": GOOD * 9000}, {"max_documents": 3}, "of 3 documents not one is held"),
    "a limit of bytes": ({"a.jsonl": GOOD * 9000}, {"max_bytes": 300_000}, ""),
    "many texts": ({f"{n}.txt": TEXT[:9000] for n in range(90)}, {}, ""),
    "another field": (
        {"a.jsonl": GOOD * 9000, "b.jsonl": '{"body": "a"}\n'},
        {},
        "b.jsonl line 1: no 'text' in it, only ['body']; name the field",
    ),
    "skipped": ({"a.jsonl": '{"text": null}\n' + GOOD * 9000}, {"on_bad_row": "skip"}, ""),
    "all skipped": (
        {"a.jsonl": GOOD * 9000},
        {"on_bad_row": "skip", "text_field": "body"},
        "a.jsonl line 1: no 'body' in it, only ['text']; name the field",
    ),
}


@pytest.mark.parametrize("name", FEW)
def test_few_documents_and_the_first_rows_of_a_folder(
    name: str, own: Own, check: Check, tmp_path: Path
) -> None:
    files, changes, expected = FEW[name]
    (tmp_path / "texts").mkdir()
    for file, content in files.items():
        (tmp_path / "texts" / file).write_text(content)
    source = {"kind": "local", "path": "texts", **changes}
    named = {"source": "named", "sources": {"own": source}, "needs": "texts", "path": None}
    given = {**own, **{f"corpus.{key}": value for key, value in named.items()}}
    found = [one.line for one in check({**given, "train.tokens": 4096})]
    assert len(found) == bool(expected) and all(expected in line for line in found), found


@pytest.mark.parametrize(
    ("path", "twice"),
    [
        ("texts", True),
        ("texts/sub/b.jsonl", True),
        ("link.jsonl", True),
        ("texts/.kept", False),
        ("other.jsonl", False),
    ],
)
def test_one_file_is_no_two_sources(
    path: str, twice: bool, own: Own, check: Check, tmp_path: Path
) -> None:
    top = tmp_path / "all"
    for folder in ("texts/sub", "texts/.kept"):
        (top / folder).mkdir(parents=True)
        write_texts(top / folder / "b.jsonl")
    write_texts(top / "other.jsonl")
    (top / "link.jsonl").symlink_to("texts/sub/b.jsonl")
    given = {
        **own,
        "corpus.path": "all/texts",
        "corpus.needs": watched(["all/texts", f"all/{path}"]),
    }
    found = check({**given, "corpus.sources": {"b": {"kind": "local", "path": f"all/{path}"}}})
    assert [one.field for one in found] == ["corpus.sources.b.path"] * twice


def test_compressed_documents_and_folders_are_read_too(
    own: Own, check: Check, tmp_path: Path
) -> None:
    write_texts(tmp_path / "my.jsonl")
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "a.jsonl.gz").write_bytes(gzip.compress((tmp_path / "my.jsonl").read_bytes()))
    given = {**own, "corpus.path": "texts", "corpus.needs": "texts", "train.tokens": 4096}
    assert check(given) == []
    (found,) = check({**given, "corpus.text_field": "body"})
    assert found.field == "corpus.text_field"
    (folder / "a.jsonl.gz").write_bytes(b"no gzip" * 9999)
    assert [one.field for one in check(given)] == ["corpus.path"]


@pytest.mark.parametrize(
    ("environment", "place", "field"),
    [
        ({"REPO_WORKERS": "16"}, Place(2, None), "REPO_WORKERS"),
        ({"REPO_WORKERS": "16"}, Place(64, 8), "REPO_WORKERS"),
        ({"REPO_WORKERS": "3"}, Place(64, 8), "REPO_WORKERS"),
        ({"REPO_EVAL_ACTORS": "3"}, Place(2, None), "REPO_EVAL_ACTORS"),
        ({"REPO_EVAL_ACTORS": "9"}, Place(64, 8), "REPO_EVAL_ACTORS"),
        ({"REPO_USE_GPU": "1"}, Place(2, 0), "REPO_USE_GPU"),
        ({"REPO_ZERO": "9"}, Place(2, None), "REPO_ZERO"),
        ({"REPO_ZERO": "1"}, Place(2, None), "REPO_ZERO"),  # smoke's base is trained with Muon
        ({"REPO_OFFLOAD": "1"}, Place(2, None), "REPO_OFFLOAD"),
        ({"REPO_ATTENTION": "flash"}, Place(2, None), "REPO_ATTENTION"),
        ({"REPO_ATTENTION": "cudnn"}, Place(64, 8), "REPO_ATTENTION"),  # fp32
        ({"REPO_LOSS": "liger"}, Place(2, None), "REPO_LOSS"),
        ({"REPO_CPUS": "two"}, Place(2, None), "REPO_CPUS"),
        ({"REPO_WOKERS": "2"}, Place(2, None), "REPO_WOKERS"),
        ({"repo_workers": "2"}, Place(2, None), "repo_workers"),
        ({"REPO-WORKERS": "2"}, Place(2, None), "REPO-WORKERS"),
        ({"REPO_WORKERS": "0"}, Place(2, None), "REPO_WORKERS"),
        ({"REPO_WORKERS": "9-2"}, Place(2, None), "REPO_WORKERS"),
        ({"REPO_RUNS": "/dev/null"}, Place(2, None), "REPO_RUNS"),
        ({"REPO_RUNS": "models/base/x"}, Place(2, None), "REPO_RUNS"),
    ],
)
def test_machines_and_variables(
    environment: dict[str, str], place: Place, field: str, check: Check
) -> None:
    found = check(environment=environment, place=place)
    assert {(one.level, one.field) for one in found} == {("refuse", field)}


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        ({}, Place(2, None)),
        ({"REPO_WORKERS": "2"}, Place(2, None)),
        ({"REPO_WORKERS": "1-64"}, Place(2, None)),
        ({"REPO_WORKERS": "8", "REPO_EVAL_ACTORS": "8"}, Place(64, 8)),
        ({"REPO_WORKERS": "8", "REPO_USE_GPU": "1"}, Place(None, None)),
        ({"REPO_EVAL_ACTORS": "2"}, Place(2, None)),
        ({"REPOSITORY": "x", "REPO_TEAM": "y", "REPORT": "z"}, Place(2, None)),
        ({"REPO_RUNS": "elsewhere/runs"}, Place(2, None)),
        ({"REPO_RUNS": "data/runs"}, Place(2, None)),
    ],
)
def test_sane_machines_have_no_finding(
    environment: dict[str, str], place: Place, check: Check
) -> None:
    assert check(environment=environment, place=place) == []


def test_gpus_that_would_stand_idle_are_a_warning(check: Check) -> None:
    (found,) = check(environment={"REPO_USE_GPU": "0"}, place=Place(64, 8))
    assert (found.level, found.field) == ("warn", "REPO_USE_GPU")
    assert check(environment={"REPO_USE_GPU": "1"}, place=Place(64, 8)) == []


def test_bf16_that_the_cores_only_emulate_is_a_warning(
    own: Own, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = {**own, "train.precision": "bf16"}
    assert check(half) == []
    monkeypatch.setattr("stages.training.check.fast_bf16", lambda: False)
    (found,) = check(half)
    assert (found.level, found.field) == ("warn", "train.precision")
    assert "fp32" in found.fix
    assert check(own) == check(half, place=Place(64, 8)) == []


@pytest.mark.parametrize("profile", sorted(profiles()))
def test_every_profile_has_no_finding(
    profile: str, check: Check, tmp_path: Path, project_root: Path
) -> None:
    (tmp_path / "pipeline").symlink_to(project_root / "pipeline")  # lists that profiles name
    if profile == "smollm2-cpu":  # examples/smollm2.py makes its base
        write_model(tmp_path / "smollm2-135m", vocab_size=49152)
    (tmp_path / "longbench").mkdir()
    for task in LONGBENCH:
        (tmp_path / "longbench" / f"{task}.jsonl").write_text(ROW)
    write_model(tmp_path / "smollm2-135m")  # as examples/smollm2.py makes it
    assert check(profile=profile, planning=True) == []


def test_a_base_that_an_example_makes_is_told_so(check: Check) -> None:
    (found,) = check(profile="smollm2-cpu", planning=True)
    assert (found.level, found.field) == ("refuse", "base.source")
    assert "python examples/smollm2.py" in found.fix


@pytest.mark.parametrize("family", ["llama", "qwen3", "olmo2", "repo_llama"])
@pytest.mark.parametrize("window", [512, 2048, 131072])
def test_sane_models_have_no_finding(
    family: str, window: int, own: Own, check: Check, tmp_path: Path
) -> None:
    write_model(tmp_path / "my-model", model_type=family, max_position_embeddings=window)
    assert check(own) == []


def test_what_may_stand_on_the_cluster_is_a_warning_there(own: Own, check: Check) -> None:
    given = {**own, "benchmarks.longbench.path": "/shared/longbench"}
    (here,) = check(given)
    (there,) = check(given, elsewhere=True)
    assert (here.level, there.level) == ("refuse", "warn")
    (there,) = check({**own, "benchmarks.longbench.path": "nowhere"}, elsewhere=True)
    assert there.level == "refuse"  # what is sent is the commit: a relative path is not there


def test_only_the_place_that_the_profiles_expect_may_wait_while_planning(check: Check) -> None:
    given = {"benchmarks.longbench.tasks": ["qmsum"]}
    for path, level in (("longbench", "warn"), ("elsewhere", "refuse")):
        (found,) = check({**given, "benchmarks.longbench.path": path}, planning=True)
        assert found.level == level
    (found,) = check({**given, "benchmarks.longbench.path": "longbench"})
    assert found.level == "refuse"


def test_refusals_are_one_line_each_and_warnings_come_back() -> None:
    soft = warn("train.lr", 3e-3, "very much", "give less")
    assert stop([soft, soft]) == [soft]
    with pytest.raises(UserError) as caught:
        stop([soft, refuse("a.b", "x\ny", "why\nso", "fix"), refuse("c", 1, "no", "fix")])
    lines = str(caught.value).splitlines()
    assert lines == ["a.b is 'x\\ny': why so; fix", "c is 1: no; fix"]


OWN_TASK = {
    "prompt": "{context}\n{input}",
    "max_new_tokens": 5,
    "metric": "qa_f1",
    "first_line": False,
}


@pytest.mark.parametrize(
    ("content", "level", "said"),
    [
        (b"[1]", "refuse", "no object of tasks"),
        (b"{", "refuse", "line 1: not JSON"),
        (b"\xff", "refuse", "not JSON"),
        ({"mine": 1}, "refuse", "mine is 1"),
        ({"mine": {**OWN_TASK, "question": "x"}}, "refuse", "question: unknown key"),
        ({"mine": {**OWN_TASK, "prompt": 3}}, "refuse", "prompt is 3"),
        ({"mine": {**OWN_TASK, "max_new_tokens": 0}}, "refuse", "max_new_tokens is 0"),
        (
            {"mine": {**OWN_TASK, "metric": "accuracy"}},
            "refuse",
            "'accuracy': mine names no metric",
        ),
        ({"mine": {**OWN_TASK, "prompt": "{text}"}}, "warn", "no {context} in the prompt of mine"),
    ],
)
def test_a_task_of_one_s_own_is_read_before_anything_is_paid_for(
    check: Check, tmp_path: Path, content: bytes | dict[str, object], level: str, said: str
) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine.jsonl").write_text(ROW)
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    (tmp_path / "own" / "tasks.json").write_bytes(text)
    given = {"benchmarks.longbench.path": "own", "benchmarks.longbench.tasks": ["mine"]}
    (found,) = check(given)
    assert (found.level, said in found.line, "\n" in found.line) == (level, True, False), found.line


def test_vllm_is_looked_for_before_anything_is_paid_for(check: Check, tmp_path: Path) -> None:
    asked = {"evaluate.engine": "vllm"}
    (found,) = check(asked, environment={VARIABLE: "/nowhere/python"})
    assert found.line == (
        "evaluate.engine is 'vllm': REPO_VLLM_PYTHON is '/nowhere/python', no Python that has vLLM; "
        "infra/vllm/setup.sh makes one, or set it to own"
    )
    there = {VARIABLE: FakeVllm(tmp_path / "vllm", []).python}
    assert check(asked, environment=there) == []
    assert check(asked, elsewhere=True) == []  # the machines of a cluster file cannot be asked
    scaled = {"definitions.repo.evaluate": {"softmax_scale": [{"length": 256, "scale": 1.1}]}}
    assert check(scaled, environment=there) == []
    (found,) = check({**asked, **scaled}, environment=there)
    assert (found.level, found.field) == ("refuse", "definitions.repo.evaluate.softmax_scale")
