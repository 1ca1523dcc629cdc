"""The table of ``REPO_*`` variables: every value both ways, slips of the pen, and nothing left out."""

import re
from pathlib import Path

import pytest

from pipeline.cluster_file import read
from stages.common import variables
from stages.common.errors import UserError

RIGHT = {"whole": "7", "number": "989.5", "flag": "1", "span": "2-4", "folder": "/x", "text": "x"}
WRONG = {
    "whole": ["abc", "-1", "1.5", "9" * 30, "9" * 5000],
    "number": ["fast", "-1", "nan"],
    "flag": ["2", "yes", "True"],
    "span": ["abc", "0", "4-2", "2-", "-4", f"1-{'9' * 5000}"],
    "folder": ["s3://bucket/runs"],
    "choice": ["fastest"],
    "text": [],
}


@pytest.mark.parametrize("name", sorted(variables.table()))
def test_every_variable_both_ways(name: str) -> None:
    variable = variables.table()[name]
    right = variable.choices[0] if variable.choices else RIGHT[variable.kind]
    if variable.kind == "whole":
        right = f"{variable.least:.0f}"
    assert not list(variables.check({name: right}))
    assert not list(variables.check({name: ""}))
    for wrong in WRONG[variable.kind]:
        (found,) = variables.check({name: wrong})
        assert (found.level, found.field, found.value) == ("refuse", name, wrong)
        assert found.fix
        with pytest.raises(UserError, match=f"{name} is {re.escape(repr(wrong))}"):
            variables.value(name, {name: wrong})


@pytest.mark.parametrize("name", ["REPO_ZERO", "REPO_CHECKPOINT_KEEP", "REPO_CPUS"])
def test_beyond_the_range_is_wrong(name: str) -> None:
    most = variables.table()[name].most
    assert not list(variables.check({name: f"{most:.0f}"}))
    assert list(variables.check({name: f"{most + 1:.0f}"}))


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("REPO_WOKERS", "REPO_WORKERS"),
        ("REPO_WORKER", "REPO_WORKERS"),
        ("REPO_ZEROS", "REPO_ZERO"),
        ("REPO_EVAL_ACTROS", "REPO_EVAL_ACTORS"),
        ("REPO_PARALLEL_STAGE", "REPO_PARALLEL_STAGES"),
    ],
)
def test_a_slip_of_the_pen_is_refused_with_what_was_meant(misspelt: str, meant: str) -> None:
    (found,) = variables.check({misspelt: "1"})
    assert found.level == "refuse" and meant in found.fix


@pytest.mark.parametrize("name", [
    "REPO_URL", "REPO_OWNER", "REPO_BRANCH_NAME", "REPOSITORY",
    "repo_gpu", "repo_logs", "repo_worker", "Repo-Rums",
])  # fmt: skip
def test_another_program_s_variable_is_none_of_our_business(name: str) -> None:
    assert not list(variables.check({name: "x"}))
    assert variables.unknown({name: "x"}) == ([name] if name.startswith("REPO_") else [])


def test_a_cluster_file_is_checked_by_the_same_table(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    for entry, said in (
        ("REPO_WORKERS: abc", "environment.REPO_WORKERS is 'abc'"),
        ("REPO_WOKERS: '8'", "use REPO_WORKERS"),
        ("REPO_ZERO: '9'", "from 0 to 3"),
    ):
        file.write_text(f"gpu: h100\ngpus: 8\nenvironment: {{{entry}}}\n")
        with pytest.raises(UserError, match=said):
            read(file)
    file.write_text("gpu: h100\ngpus: 8\nenvironment: {REPO_WORKERS: '4-8'}\n")
    assert read(file).environment == {"REPO_WORKERS": "4-8"}


def test_every_name_in_the_code_is_in_the_table(project_root: Path) -> None:
    used: set[str] = set()
    for folder in ("stages", "pipeline"):
        for file in (project_root / folder).rglob("*.py"):
            used |= set(re.findall(r"[\"'](REPO_[A-Z_]+)[\"']", file.read_text(encoding="utf-8")))
    assert not used - set(variables.table())
    assert len(used) > 20


def test_the_guide_s_defaults_are_the_table_s(project_root: Path) -> None:
    guide = (project_root / "docs/guide.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| `(REPO_[A-Z_]+)` \| `?(\w+)`? \|", guide, flags=re.MULTILINE)
    assert len(found) >= 2
    for name, default in found:
        known = variables.table()[name].default
        if known is not None:
            assert str(known) == default, name
