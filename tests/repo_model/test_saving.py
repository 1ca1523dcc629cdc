"""Saved folders: self-contained, the same bytes twice, and at home in stock transformers."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import torch

import repo_model
from tests.repo_model.conftest import CLASSES

STOCK = """
import sys, torch
sys.modules["repo_model"] = None                     # not importable, installed or not
from transformers import AutoModel, AutoModelForCausalLM
ids = torch.arange(2, 18)[None]
for folder in sys.argv[1:]:
    again = folder + "-again"
    for target in (folder, again):
        model = AutoModelForCausalLM.from_pretrained(target, trust_remote_code=True)
        torch.save(model(ids).logits.detach(), target + ".pt")
        made = model.generate(ids, max_new_tokens=4, do_sample=False, eos_token_id=None)
        assert made.shape == (1, 20)
        model.save_pretrained(again)
    base = AutoModel.from_pretrained(folder, trust_remote_code=True)
    assert type(base).__name__.endswith("Model"), type(base)
    try:
        AutoModelForCausalLM.from_pretrained(folder)
    except Exception as error:
        assert "trust_remote_code" in str(error), error
    else:
        raise AssertionError("a folder with learned positions loaded as something else")
"""


def files(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def test_loads_in_stock_transformers_without_this_project(make, tmp_path: Path) -> None:
    """Every family, with GQA and YaRN, in a bare process; saved from there, the same bytes."""
    home = tmp_path / "home"
    home.mkdir()
    models = {}
    for family in CLASSES:
        model = make(family, num_key_value_heads=2, positions=["rope", "nope", "repo"])
        models[family] = repo_model.extend(model, 2)
        models[family].save_pretrained(tmp_path / family)
        shutil.copytree(tmp_path / family, tmp_path / f"{family}-again")
    env = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-I", "-c", STOCK, *(str(tmp_path / family) for family in CLASSES)]
    done = subprocess.run(command, cwd=home, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for family, model in models.items():
        with torch.no_grad():
            expected = model(torch.arange(2, 18)[None]).logits
        assert torch.equal(torch.load(tmp_path / f"{family}.pt"), expected), family
        assert files(tmp_path / f"{family}-again") == files(tmp_path / family)


def test_saving_twice_and_elsewhere_gives_the_same_bytes(make, tmp_path: Path) -> None:
    make().save_pretrained(tmp_path / "a")
    make().save_pretrained(tmp_path / "b")
    repo_model.load(tmp_path / "a").save_pretrained(tmp_path / "c")
    assert files(tmp_path / "a") == files(tmp_path / "b") == files(tmp_path / "c")
    needed = {
        "modeling_repo.py",
        "configuration_repo.py",
        "attention.py",
        "rotary.py",
        "config.json",
    }
    assert needed <= set(files(tmp_path / "a"))
    for name, content in files(tmp_path / "a").items():
        assert str(tmp_path).encode() not in content, name
