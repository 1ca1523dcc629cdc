"""params.yaml: the schema refuses what is wrong, in one line that names key, value and fix."""

import ast
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import stages
from pipeline.use import profiles
from stages.common.errors import UserError
from stages.params import Params, load

MISTAKES = {
    "misspelt key": (("train", "lrr"), 1e-3, "train.lrr: unknown key; did you mean 'lr'?"),
    "unknown section": (("trian",), {}, "trian: unknown key; did you mean 'train'?"),
    "wrong type": (("train", "lr"), "fast", "train.lr is 'fast': give a number"),
    "number as text": (("train", "tokens"), "1000", "train.tokens is '1000'"),
    "negative length": (("benchmarks", "lengths"), [-256], "benchmarks.lengths.0 is -256"),
    "negative phase": (
        ("train", "lengths"),
        [{"length": -4, "share": 1.0}],
        "train.lengths.0.length is -4",
    ),
    "heads": (
        ("base", "architecture", "num_attention_heads"),
        5,
        "base.architecture: num_attention_heads is 5 and does not divide hidden_size",
    ),
    "odd head": (
        ("base", "architecture", "num_attention_heads"),
        "hidden_size",
        "is an odd head size",
    ),
    "start layer": (("train", "start_layer"), 99, "train.start_layer is 99"),
    "newer schema": (("schema",), 3, "schema is 3"),
    "schema as text": (("schema",), "two", "schema is 'two'"),
    "name for a shell": (("variants",), ["rope", "a; touch x"], "variants.1 is 'a; touch x'"),
    "the base's name": (("variants",), ["rope", "base"], "variants has 'base'"),
    "preset redefined": (
        ("definitions", "rope", "train"),
        {"positions": "nope"},
        "definitions.rope.train.positions is 'nope', but rope is a preset",
    ),
    "unknown preset": (
        ("definitions", "nope", "train"),
        {"positions": "alibi"},
        "'alibi' is no preset",
    ),
    "override's key": (
        ("definitions", "repo", "train"),
        {"overrides": {"lrr": 1.0}},
        "definitions.repo.train.overrides.lrr",
    ),
    "override's value": (
        ("definitions", "repo", "train"),
        {"overrides": {"lr": -1.0}},
        "definitions.repo.train.overrides.lr",
    ),
    "variant's start layer": (
        ("definitions", "repo", "train"),
        {"start_layer": 2},
        "definitions.repo.train.start_layer is 2, but the model has 2 layers",
    ),
    "reference": (("reference",), "sliding", "reference is 'sliding'"),
    "softmax scale": (
        ("definitions", "repo", "evaluate"),
        {"softmax_scale": [{"length": 333, "scale": 1.1}]},
        "softmax_scale has length 333",
    ),
    "unknown variant": (
        ("variants",),
        ["rope", "alibi"],
        "definitions.alibi.train.positions: missing",
    ),
    "variant twice": (("variants",), ["rope", "rope"], "variants names one twice"),
    "shares": (("train", "lengths"), [{"length": 64, "share": 0.5}], "add up to 0.5, not to 1"),
    "window": (("benchmarks", "lengths"), [65536], "beyond the extended window"),
    "window of a variant": (
        ("definitions", "repo", "train"),
        {"overrides": {"lengths": [{"length": 128, "share": 1.0}]}},
        "beyond the extended window of 512 (the longest of definitions.repo.train.overrides.lengths",
    ),
    "reference that is no variant here": (("reference",), "n2r1", "reference is 'n2r1'"),
    "a part named as the source": (
        ("corpus", "generated", "python"),
        {"kinds": {"lists": 1.0}, "words": [10, 50], "bytes": 300000},
        "generated.python: another source has that name",
    ),
    "a part named as a path": (
        ("corpus", "generated", "a/b"),
        {"kinds": {"lists": 1.0}, "words": [10, 50], "bytes": 300000},
        "corpus.generated has the key 'a/b': give a name of letters",
    ),
    "neither kind of a value": (("train", "start_layer"), "Auto", "give a whole number or 'auto'"),
    "one kind, wrong inside": (
        ("train", "trainable"),
        {"maps": True, "attention": ["x"]},
        "train.trainable.attention.0 is 'x': give 'q', 'k', 'v' or 'o'",
    ),
    "one kind, nothing in it": (
        ("train", "trainable"),
        {"maps": False, "attention": []},
        "train.trainable: maps is false and attention is empty",
    ),
    "all of a section": (("extend", "training"), {}, "extend.training.tokens: missing, like"),
    "no list": (("variants",), "rope", "variants is 'rope': give a list, [a, b]"),
    "an empty list": (("variants",), [], "variants is []: give a list of 1 or more"),
    "no section": (("train",), 5, "train is 5: give keys with values"),
    "a name of ours alone": (("schema_version",), 2, "unknown key; did you mean 'schema'?"),
    "origins": (
        ("definitions", "repo", "train"),
        {"form": []},
        "definitions.repo.train.form: unknown key; did you mean 'from'?",
    ),
    "no hash": (
        ("definitions", "repo", "train"),
        {"from": [{"folder": "a", "sha256": "AB"}]},
        "from.0.sha256 is 'AB': give 64 digits",
    ),
    "beyond a bound": (("seeds",), [2**32], "seeds.0 is 4294967296: give less than 4294967296"),
    "a preset of more layers": (
        ("definitions", "repo", "train"),
        {"positions": ["repo"]},
        "positions is ['repo'], but repo is a preset",
    ),
}


def test_every_refusal_of_the_schema_ends_with_a_fix() -> None:
    """Read from the source: what the validators raise has a semicolon, and the fix behind it."""
    without = []
    for file in sorted(Path(stages.__file__).parent.rglob("*.py")):
        if file.name not in ("params.py", "variants.py"):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                said = ast.unparse(node.exc.args[0])
                if (
                    "; " not in said and "{str(error)" not in said
                ):  # another's refusal, with its own
                    without.append(f"{file}:{node.lineno} {said}")
    assert without == []


def written(folder: Path, content: Any) -> Path:
    path = folder / "params.yaml"
    with open(path, "w") as file:
        YAML().dump(content, file)
    return path


@pytest.fixture
def tiny() -> Any:
    return YAML(typ="safe").load(profiles()["tiny"])


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_with_the_key(name: str, tiny: Any, tmp_path: Path) -> None:
    keys, value, expected = MISTAKES[name]
    place = tiny
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = place[value] if value == "hidden_size" else value
    with pytest.raises(UserError) as caught:
        load(written(tmp_path, tiny))
    assert expected in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_missing_key_and_bad_yaml_are_named(tiny: Any, tmp_path: Path) -> None:
    del tiny["train"]["lr"]
    with pytest.raises(UserError, match=r"train\.lr: missing"):
        load(written(tmp_path, tiny))
    (tmp_path / "params.yaml").write_text("a: [1,\nb: 2")
    with pytest.raises(UserError, match=r"line \d+: not YAML"):
        load(tmp_path / "params.yaml")
    with pytest.raises(UserError, match="no such file"):
        load(tmp_path / "absent.yaml")


OLMO2 = {"olmo2-1b", "olmo2-1b-text", "olmo2-7b"}


def test_every_profile_is_complete_and_params_yaml_is_tiny(
    project_root: Path, tmp_path: Path
) -> None:
    found = profiles()
    assert set(found) == {"smoke", "tiny", "small", "one-gpu", "smollm2-cpu", *OLMO2}
    for name, content in found.items():
        (tmp_path / name).write_text(content)
        assert load(tmp_path / name).profile == name
    assert (project_root / "params.yaml").read_text() == found["tiny"]


def test_yaml_numbers_are_read_as_dvc_reads_them(tiny: Any, tmp_path: Path) -> None:
    path = written(tmp_path, tiny)
    path.write_text(path.read_text().replace("lr: 0.003", "lr: 3e-3"))
    assert load(path).train.lr == load(written(tmp_path, tiny)).train.lr


def test_a_file_of_schema_1_is_read_as_it_was_meant(tiny: Any, tmp_path: Path) -> None:
    now = load(written(tmp_path, tiny))
    for key in ("schema", "reference", "definitions"):
        del tiny[key]
    assert load(written(tmp_path, tiny)) == now


def test_sections_are_frozen(tiny: Any, tmp_path: Path) -> None:
    params = load(written(tmp_path, tiny))
    with pytest.raises(Exception, match="frozen"):
        params.train.lr = 1.0  # type: ignore[misc]
    assert isinstance(params, Params)
