"""``benchmarks/serve.py`` at toy size: it runs, and says a ratio for each length and phase."""

import sys

import pytest

from benchmarks import serve


def test_it_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    toy = {**serve.SHAPES["cpu"], "hidden_size": 32, "intermediate_size": 64}
    monkeypatch.setitem(serve.SHAPES, "cpu", {**toy, "num_hidden_layers": 3, "vocab_size": 64})
    monkeypatch.setitem(serve.LENGTHS, "cpu", (16, 24))
    monkeypatch.setattr(sys, "argv", ["serve.py", "--rounds", "1", "--steps", "2", "--batch", "2"])
    serve.main()
    _, head, *rows = (line.split() for line in capsys.readouterr().out.splitlines())
    assert head[:4] == ["tokens", "phase", "RoPE", "RePo"]
    assert [row[:2] for row in rows] == [
        [length, phase] for length in ("16", "24") for phase in serve.PHASES
    ]
    assert all(float(row[-1]) > 0 for row in rows)


def test_the_models_differ_in_the_maps_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    toy = {**serve.SHAPES["cpu"], "hidden_size": 32, "intermediate_size": 64}
    monkeypatch.setitem(serve.SHAPES, "cpu", toy)
    rope, repo = (model.state_dict() for model in serve.models("cpu", None).values())
    more = repo.keys() - rope.keys()
    assert more and min(int(name.split(".")[2]) for name in more) == 2  # a third of six layers
    assert all((repo[name] == weight).all() for name, weight in rope.items())
