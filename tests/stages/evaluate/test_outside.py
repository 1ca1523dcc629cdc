"""A suite of an installed package, by its entry point: from its files to scores, and its mistakes."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from stages.benchmarks import kept, official, outside, structured
from stages.benchmarks.params import BenchmarksParams, LongBenchParams, OutsideParams, field_of
from stages.common.errors import UserError
from stages.common.files import read_json, read_jsonl
from stages.evaluate import pool
from tests.stages.checks.conftest import Check, check  # noqa: F401 - a fixture
from tests.stages.evaluate.asked import call, scored, tiny_llama
from tests.stages.evaluate.without_ray import in_this_process

DOCS = (Path(__file__).parents[3] / "docs" / "extending.md").read_text(encoding="utf-8")
SUITE = DOCS.partition('"""Sums: ')[2].partition("\n```")[0].partition('"""\n')[2]
"""The suite of docs/extending.md."""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages with one that brings a suite."""
    found = tmp_path / "site"
    made = found / "sums-1.0.dist-info"
    made.mkdir(parents=True)
    (made / "METADATA").write_text("Name: sums\nVersion: 1.0\n")
    (made / "entry_points.txt").write_text(
        f"[{outside.GROUP}]\nsums = sums_suite\nbroken = no_such_module\nruler = sums_suite\n"
    )
    write(found, SUITE)
    monkeypatch.syspath_prepend(str(found))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REPO_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(pool, "_compute", in_this_process)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "sums.json").write_text("[[1, 2], [3, 4], [5, 1]]")
    return found


def write(site: Path, code: str) -> None:
    (site / "sums_suite.py").write_text(code)
    sys.modules.pop("sums_suite", None)
    outside._loaded.cache_clear()


def test_from_its_files_to_scores(site: Path, capsys: Any, tmp_path: Path) -> None:
    assert outside.names() == ["broken", "sums"]  # none takes the name of ours
    llama = tiny_llama(tmp_path / "llama")
    code, text = call(capsys, llama, "--suite", "sums", "--data", "data", "--out", "out")
    assert code == 0, text
    metrics = read_json(Path("out/metrics.json"))
    assert set(metrics["cells"]) == {"sums", "signs"}
    assert metrics["corpora"]["outside"]["sums"].keys() == {"sums.json", "code/sums_suite.py"}
    rows = list(read_jsonl(next(Path("out/samples").glob("sums-*.jsonl"))))
    assert [row["outputs"] for row in rows] == [["3"], ["7"], ["6"]]
    assert [row["output_tokens"] <= 4 for row in rows] == [True] * 3
    for row in rows:
        apart = abs(len(row["prediction"]) - int(row["outputs"][0]))
        assert row["score"] == pytest.approx(1 / (1 + apart), abs=1e-6)
    # Its records are scored again like ours.
    file = next(Path("out/samples").glob("sums-*.jsonl"))
    code, text = scored(capsys, file, "--json")
    assert code == 0, text
    expected = 100 * sum(row["score"] for row in rows) / 3
    assert json.loads(text)["score"] == pytest.approx(expected, abs=0.01)


def test_other_code_makes_other_samples(site: Path, tmp_path: Path) -> None:
    llama = tiny_llama(tmp_path / "llama")
    params = _params(OutsideParams(path="data", tasks=("sums",)))
    (one,) = kept.samples([params], llama)
    assert next(iter(read_jsonl(one.path)))["input"].startswith("Text. 1 and 2")
    write(site, SUITE.replace("Text. ", "Other text. "))
    (other,) = kept.samples([params], llama)
    assert other.path != one.path
    assert next(iter(read_jsonl(other.path)))["input"].startswith("Other text. 1 and 2")


def test_a_package_of_several_files_is_known_by_all_of_them(site: Path, tmp_path: Path) -> None:
    package = site / "sums_suite"
    (site / "sums_suite.py").unlink()
    package.mkdir()
    head, _, rest = SUITE.partition("def files(path):")
    (package / "__init__.py").write_text(
        f"{head}\nfrom sums_suite.ask import questions, files, score\n"
    )

    def asks(word: str) -> None:
        code = f"import json\ndef files(path):{rest}".replace("Text. ", word)
        (package / "ask.py").write_text(code)
        for name in [name for name in sys.modules if name.startswith("sums_suite")]:
            del sys.modules[name]
        importlib.invalidate_caches()
        outside._loaded.cache_clear()

    llama = tiny_llama(tmp_path / "llama")
    params = _params(OutsideParams(path="data", tasks=("sums",)))
    found = []
    for word in ("Text. ", "Another. "):
        asks(word)
        (one,) = kept.samples([params], llama)
        found.append(next(iter(read_jsonl(one.path)))["input"])
    assert found == ["Text. 1 and 2 are", "Another. 1 and 2 are"]
    digests = structured.digests(params)["outside"]["sums"]
    assert set(digests) == {"sums.json", "code/sums_suite/__init__.py", "code/sums_suite/ask.py"}


def test_an_object_of_a_class(site: Path) -> None:
    head, _, rest = SUITE.partition("TASKS = ")
    for name in ("files", "questions", "score"):
        rest = rest.replace(f"def {name}(", f"def {name}(self, ")
    body = "TASKS = " + rest.replace("\n", "\n    ")
    made = f"{head}\nclass Sums:\n    {body}\n"
    write(site, made)
    (site / "sums-1.0.dist-info" / "entry_points.txt").write_text(
        f"[{outside.GROUP}]\nsums = sums_suite:Sums\nMy Suite = sums_suite\n"
    )
    assert outside.names() == ["sums"]
    with pytest.raises(UserError, match="suite sums: TypeError"):  # the class, and no object of it
        structured.suite("sums").look(OutsideParams(path="data"))
    (site / "sums_suite.py").write_text(f"{made}\nsums = Sums()\n")
    (site / "sums-1.0.dist-info" / "entry_points.txt").write_text(
        f"[{outside.GROUP}]\nsums = sums_suite:sums\n"
    )
    sys.modules.pop("sums_suite", None)
    outside._loaded.cache_clear()
    importlib.invalidate_caches()
    section = OutsideParams(path="data")
    structured.suite("sums").look(section)
    assert set(structured.suite("sums").digest(section)) == {"sums.json", "code/sums_suite.py"}


def _params(section: OutsideParams) -> BenchmarksParams:
    return BenchmarksParams(
        seed=1,
        lengths=(200,),
        ruler=official.ruler("nvidia", [], None, None, True),
        longbench=LongBenchParams(tasks=()),
        outside={"sums": section},
    )


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (SUITE.replace("def score", "def other"), "suite sums: sums_suite has no score"),
        ("raise RuntimeError('no licence')", "suite sums: RuntimeError: no licence"),
        (
            SUITE.replace("a + b)]", "a + b)[9]]"),
            "suite sums: IndexError: string index out of range",
        ),
        (
            SUITE.replace("[str(a + b)]", "[a]"),
            "suite sums, sums, question 1: it needs a text 'prompt'",
        ),
        (SUITE.replace('"sum": a + b', '"sum": {a}'), "question 1: no JSON"),
        (SUITE.replace("return 1 /", "return 7 /"), "suite sums: its score is "),
        (SUITE.replace('("sums", "signs")', "None"), "suite sums: TASKS is None, no list of names"),
        (SUITE.replace('("sums", "signs")', "()"), "suite sums: TASKS is (), no list of names"),
        (SUITE.replace('"signs")', '"a/../b")'), "no list of names"),
        (SUITE.replace('"signs": 2', '"sign": 2'), "NEW_TOKENS is None for signs, no whole number"),
        (SUITE.replace('"signs": 2', '"signs": -5'), "NEW_TOKENS is -5 for signs, no whole number"),
        (SUITE.replace('"sum": a + b', '"question": 3'), "question 1: question is 3, no text"),
        (
            SUITE.replace('"sum": a + b', '"shortcut": "x"'),
            "question 1: shortcut is 'x', no number",
        ),
        (SUITE.replace("Text. ", "\\ud800"), "question 1: no JSON in UTF-8"),
        (SUITE.replace('[path / "sums.json"]', "[3]"), "suite sums: TypeError"),
        (
            SUITE.replace("for a, b", "raise SystemExit(3)\n    for a, b"),
            "suite sums: SystemExit: 3",
        ),
        (SUITE.replace("return 1 / (", "raise KeyError('x') #"), "suite sums: KeyError: 'x'"),
        (SUITE.replace('"sums.json"]', '"none.json"]'), "no none.json in it"),
        (
            SUITE.replace(".read_text())", ".read_text())[:0]"),
            "suite sums, sums: no questions in 'data'",
        ),
    ],
)
def test_what_a_package_does_wrong_is_one_line(
    code: str, message: str, site: Path, capsys: Any, tmp_path: Path
) -> None:
    write(site, code)
    llama = tiny_llama(tmp_path / "llama")
    ended, text = call(capsys, llama, "--suite", "sums", "--data", "data", "--tasks", "sums")
    told = [line for line in text.splitlines() if line.startswith("repo-pipeline")]
    assert (ended, len(told)) == (2, 1), text
    assert message in told[0], text


def test_a_run_names_it_in_its_params(
    site: Path,
    check: Check,  # noqa: F811
    tmp_path: Path,
) -> None:
    asked = {"benchmarks.outside": {"sums": {"path": "data"}}}
    assert check(asked) == []
    (found,) = check({"benchmarks.outside": {"nobody_s": {"path": "data"}}})
    assert (
        "no installed package brings this suite" in found.line
        and "known are broken, sums" in found.line
    )
    (found,) = check({"benchmarks.outside": {"sums": {"path": "data", "tasks": ["products"]}}})
    assert "known are sums, signs" in found.line
    (found,) = check({"benchmarks.outside": {"sums": {"path": "nowhere"}}})
    assert found.field == "benchmarks.outside.sums.path"
    with pytest.raises(
        ValueError, match="outside has 'ruler', which is a suite of this project's own"
    ):
        check({"benchmarks.outside": {"ruler": {"path": "data"}}})
    assert field_of("sums") == "benchmarks.outside.sums"
    with pytest.raises(UserError, match="suite broken: ModuleNotFoundError"):
        structured.suite("broken")
