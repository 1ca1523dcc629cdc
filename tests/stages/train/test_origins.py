"""Variants that are not trained: a kept milestone, or the mean of several models."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from ruamel.yaml import YAML

import repo_model
from pipeline.use import profiles
from stages.common import paths, trained
from stages.common.cost import Layout
from stages.common.errors import UserError
from stages.common.files import fingerprint, read_json
from stages.common.seen import Seen
from stages.common.stage import Job
from stages.params import Params, load
from stages.train import cost, origins
from stages.train.check import _origins
from stages.train.stage import STAGE, run
from tests.stages.training.small import model


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a base and three models, of which the third has RoPE throughout."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("base", "a", "b", "other")):
        net = model()
        torch.manual_seed(number)
        with torch.no_grad():
            for weight in net.parameters():
                weight.add_(0.1 * torch.randn_like(weight))
        if name == "other":
            net.config.positions = ["rope", "rope"]
            net = repo_model.RepoOlmo2ForCausalLM(net.config)
        folder = paths.BASE if name == "base" else Path("kept") / name
        net.save_pretrained(tmp_path / folder)  # type: ignore[operator]
    (tmp_path / paths.BASE / "tokenizer.json").write_text("{}")
    trained.record(tmp_path / "kept" / "a", 24)
    return tmp_path


def params(project: Path, chosen: list[dict[str, Any]], **train: Any) -> Params:
    content = YAML(typ="safe").load(profiles()["smoke"])
    content["variants"] = [*content["variants"], "mine"]
    defined = {"positions": "repo", "start_layer": 1, "from": chosen, **train}
    content["definitions"]["mine"] = {"train": defined, "evaluate": {}, "report": {}}
    with open(project / "params.yaml", "w") as file:
        YAML().dump(content, file)
    return load(project / "params.yaml")


def origin(name: str, **more: Any) -> dict[str, Any]:
    return {"folder": f"kept/{name}", "sha256": fingerprint(Path("kept") / name), **more}


def take(read: Params, seed: int = 1) -> Path:
    run(Job(STAGE, read, "mine", seed, read.definitions["mine"].train))
    return paths.model(f"mine-{seed}")


def test_one_is_taken_as_it_is(project: Path) -> None:
    read = params(project, [origin("a", seed=1), origin("b", seed=2)])
    out = take(read)
    expected = dict(repo_model.load("kept/a").named_parameters())
    for name, weight in repo_model.load(out).named_parameters():
        assert torch.equal(weight, expected[name])
    assert trained.of_folder(out).length == 24
    assert (out / "tokenizer.json").is_file() and (out / "modeling_repo.py").is_file()
    assert paths.curve("mine-1").read_text() == "step,tokens,loss,lr\n"
    found = cost.cost(read, "mine", Layout(1, 1, 16384, False, 16384))
    assert not found.flops and found.parameters
    expected = dict(repo_model.load("kept/b").named_parameters())
    other = repo_model.load(take(read, 2))
    assert all(torch.equal(weight, expected[name]) for name, weight in other.named_parameters())
    assert trained.of_folder(paths.model("mine-2")).length == read.train.longest
    with pytest.raises(UserError, match="none of them is for this seed"):
        take(read, 3)


def test_several_are_their_mean(project: Path) -> None:
    out = take(params(project, [origin("a"), origin("b")]))
    a, b = (dict(repo_model.load(f"kept/{name}").named_parameters()) for name in "ab")
    for name, weight in repo_model.load(out).named_parameters():
        torch.testing.assert_close(weight, (a[name] + b[name]) / 2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"folder": "kept/c"}, "kept/c is no model folder; milestones stand in"),
        ({"sha256": "0" * 64}, "kept/a has sha256 [0-9a-f]{64}, not 0000"),
    ],
)
def test_what_is_not_there_or_another_is_said_before_a_run(
    project: Path, change: dict[str, Any], words: str
) -> None:
    read = params(project, [{**origin("a"), **change}])
    with pytest.raises(UserError, match=words):
        take(read)
    (found,) = {one.line for one in _origins(Seen(read, project), 2)}
    assert found.startswith("definitions.mine.train.from: ")
    for seed in read.seeds:
        paths.model(f"mine-{seed}").mkdir(parents=True)
    told = list(_origins(Seen(read, project), 2))
    assert bool(told) == ("sha256" in change)  # made already; but is it what is asked for now?


def edited(name: str, **keys: Any) -> None:
    """A model whose config.json says something else."""
    file = Path("kept") / name / "config.json"
    file.write_text(json.dumps({**read_json(file), **keys}))


OTHERS: dict[str, tuple[dict[str, Any], str]] = {
    "layers": ({"positions": ["rope", "rope"]}, "layers are rope, rope, the definition's rope, repo"),
    "depth": ({"positions": ["rope"] * 3, "num_hidden_layers": 3}, "its layers are rope, rope, rope"),
    "kind": ({"model_type": "bert"}, "no model can be read from its config.json"),
    "tokens": ({"vocab_size": 7}, "it has 7 tokens and"),
    "width": ({"intermediate_size": 8}, "it is of another shape than"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_a_model_that_is_another_is_said_before_a_run(name: str, project: Path) -> None:
    keys, words = OTHERS[name]
    edited("b", **keys)
    seen = Seen(params(project, [origin("a"), origin("b")]), project)
    (found,) = {one.line for one in _origins(seen, 2)}
    assert words in found and "from.1.folder is " in found and "; " in found
    seen = Seen(params(project, [origin("a"), origin("a", seed=42)]), project)
    assert list(_origins(seen, 2)) == []


def test_a_model_of_other_layers_is_refused(project: Path) -> None:
    with pytest.raises(UserError, match=r"its layers are rope, rope, the definition's rope, repo"):
        take(params(project, [origin("a"), origin("other")]))
    with pytest.raises(UserError, match="nothing is trained where there is a 'from'"):
        params(project, [origin("a")], overrides={"lr": 1e-3})


def test_its_hash_is_told(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    origins.main(["kept/a"])
    told = YAML(typ="safe").load(capsys.readouterr().out)
    assert told == [origin("a")]
    assert read_json(Path("kept/a/config.json"))["positions"] == ["rope", "repo"]
