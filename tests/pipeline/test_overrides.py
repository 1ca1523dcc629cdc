"""``--set``: a changed value and what follows from it, refused where it is wrong."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.overrides import compose
from pipeline.use import profiles
from stages.common.errors import UserError


def values(text: str) -> dict:
    return YAML(typ="safe", pure=True).load(text)


def test_only_the_named_value_changes_and_comments_stay(tmp_path: Path) -> None:
    text = compose(tmp_path, "smoke", ["train.lr=1e-4", "variants=[repo]"])
    found, before = values(text), values(profiles()["smoke"])
    assert found["train"]["lr"] == 1e-4
    assert found["variants"] == ["repo"]
    before["train"]["lr"], before["variants"] = 1e-4, ["repo"]
    before["reference"] = "repo"  # RoPE is none of the variants any more
    assert found == before
    assert "# RULER's rules on a small scale" in text


def test_an_item_of_a_list_is_counted_from_zero(tmp_path: Path) -> None:
    found = values(compose(tmp_path, "smoke", ["train.lengths.0.length=512"]))
    assert found["train"]["lengths"][0]["length"] == 512


def test_one_s_own_model_and_documents_are_three_values(tmp_path: Path) -> None:
    (tmp_path / "my-model").mkdir()
    given = ["base.source=my-model", "tokenizer.source=my-model", "corpus.path=my.jsonl"]
    found = values(compose(tmp_path, "smoke", given))
    assert found["base"]["needs"] == "my-model"
    assert "architecture" not in found["base"]
    assert found["corpus"]["source"] == "local"
    assert found["corpus"]["needs"] == "my.jsonl"
    assert found["train"]["lengths"][0]["sources"] == ["local"]


def test_the_training_phases_follow_a_source_that_is_set(tmp_path: Path) -> None:
    given = ["corpus.source=hub", "corpus.dataset=some/texts"]
    found = values(compose(tmp_path, "smoke", given))
    assert found["train"]["lengths"][0]["sources"] == ["hub", "long"]


def test_ruler_s_tasks_follow_the_lengths(tmp_path: Path) -> None:
    """A task that begins beyond all lengths is left out, unless the user said where it begins."""
    notes: list[str] = []
    found = values(compose(tmp_path, "tiny", ["benchmarks.lengths=[256]"], notes))
    assert "vt" in found["benchmarks"]["ruler"]["tasks"]
    assert "fwe" not in found["benchmarks"]["ruler"]["tasks"]
    assert len(notes) == 1 and "fwe" in notes[0]
    given = ["benchmarks.lengths=[256]", "benchmarks.ruler.from_length.fwe=512"]
    assert "fwe" in values(compose(tmp_path, "tiny", given))["benchmarks"]["ruler"]["tasks"]


@pytest.mark.parametrize("section", ["base", "corpus", "benchmarks", "train", "variants"])
def test_a_section_that_is_none_is_named(section: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"{section} is 5: give"):
        compose(tmp_path, "smoke", [f"{section}=5"])


def test_a_model_from_the_hub_is_watched_by_no_folder(tmp_path: Path) -> None:
    found = values(compose(tmp_path, "olmo2-1b", ["base.source=some/model"]))
    assert found["base"]["needs"] == "stages/base/version.py"
    assert "revision" not in found["base"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("train.lr", "write KEY=VALUE"),
        ("train.lrr=1", "train.lrr: unknown key; did you mean 'lr'"),
        ("train.lr=-1", "train.lr is -1"),
        ("train.lr.x=1", "train.lr is a value and has no key 'x'"),
        ("train.lengths.3.length=1", "the list has no item"),
        ("train.lr=[", "the value is not YAML"),
        ("definitions.late.train={positions:[rope, nope]}", "put a space after each colon"),
        (f"train.lengths.{'9' * 5000}.length=1", "the list has no item"),
        ("train.lengths.\N{ARABIC-INDIC DIGIT ZERO}.length=1", "the list has no item"),
        ("definitions.repo={train: {}, train: {}}", 'duplicate key "train".*; take one out'),
        ("train.lr.x.y=1", "train.lr is a value and has no key 'x'"),
        ("train.=1", "write KEY=VALUE"),
        (".=1", "write KEY=VALUE"),
        (
            "definitions.repo.train.overrides={lrr: 1}",
            "definitions.repo.train.overrides.lrr: unknown key; did you mean 'lr'",
        ),
        (
            "definitions.repo.train.overrides={tokens: 1}",
            "definitions.repo.train.overrides.tokens is 1, less than",
        ),
        ("profile=2026-13-45", "the value is not YAML"),
        ("seeds=[&a [*a]]", "seeds.0 is "),
        (f"train.tokens={'9' * 5000}", "the value is not YAML"),
        (f"train.tokens=1{'0' * 400}", "train.tokens is a number of some 398 digits: give"),
        ('corpus.path="a\\0b"', "corpus.path is 'a\\\\x00b': it holds a zero byte; take it out"),
        (f"corpus.path={'x' * 300}", "corpus.path is 'x.*: no file has a name of over 255 bytes"),
        (f"base.source={'x/' * 3000}", "base.source is 'x/.*nor a path of over 4,000; shorten it"),
        (f"base.source={'é' * 200}", "base.source is 'é.*: no file has a name of over 255 bytes"),
        (
            "corpus.sources={%s: {kind: local, path: a}}" % ("x" * 300),
            "corpus.sources has the key 'x.*: give a name of letters, digits, _ and full stops, 100",
        ),
        (f"corpus.seed=-1{'0' * 400}", "corpus.seed is a number of some 398 digits: give"),
        (
            f"seeds={list(range(600))}",
            "seeds has 600 for each of 2 variants: 1,200 trainings; give",
        ),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, given: str, expected: str) -> None:
    with pytest.raises(UserError, match=expected.replace("[", r"\[")):
        compose(tmp_path, "smoke", [given])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["base.source=my-model", "train.tokens=10M"], "train.tokens is '10M'"),
        (["corpus.path=x.jsonl", "train.lengths=512"], "train.lengths is 512"),
        (["base.source=my-model", "train.lr=[1]"], r"train.lr is \[1\]"),
        (["base.source=my-model", "tokenizer=5"], "tokenizer is 5"),
        (["base.source=5"], r"^--set: base.source is 5: give a text$"),
        (["benchmarks.lengths=[64]", "benchmarks.ruler.tasks=5"], "benchmarks.ruler.tasks is 5"),
    ],
)
def test_a_value_of_another_kind_is_named_before_what_follows(
    tmp_path: Path, given: list[str], expected: str
) -> None:
    with pytest.raises(UserError, match=expected):
        compose(tmp_path, "tiny", given)


def test_an_unknown_profile_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="profile 'huge': unknown; there are olmo2-1b"):
        compose(tmp_path, "huge", [])


@pytest.mark.parametrize("name", ["", "TINY", "../tiny"])
def test_a_profile_of_no_name_is_no_wish_for_one_s_own_params(name: str, tmp_path: Path) -> None:
    """``--profile "$P"`` with an unset variable."""
    (tmp_path / "params.yaml").write_text(profiles()["smoke"])
    with pytest.raises(UserError, match=r"profile .*: unknown; there are olmo2-1b"):
        compose(tmp_path, name, [])
