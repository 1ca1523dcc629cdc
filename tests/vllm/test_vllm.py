"""RePo folders in a real vLLM: every case of the table of families, mixed layers, plain and extended in
fp32, and every family in bf16.

vLLM stands in an environment of its own (`infra/vllm/setup.sh`, or VLLM_PYTHON names its Python).
`pytest -m vllm tests/vllm` takes minutes, most of them for 61 engines' starts.
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch

import repo_model
from tests.families.rows import CASES, stock_model, widen

pytestmark = [pytest.mark.vllm, pytest.mark.stress]
MIXED = ["rope", "repo", "nope", "repo"]
PROMPTS = [list(range(2, 22)), list(range(30, 41))]
TOKENS = 6
SIZES = {"hidden_size": 128, "head_dim": 32, "intermediate_size": 64}
"""vLLM's attention for CPUs has heads of 32 elements and more."""
UNTIED = {"tie_word_embeddings": False}
"""Gemma scales its embeddings: a random tied one says the last token again with probability 1."""
NAMES = [f"{case}{extended}" for case in CASES for extended in ("", "-yarn")]
HALF = list({family: case for case, (family, _) in reversed(CASES.items())}.values())
"""A case of each family."""


def _expected(model: Any) -> dict[str, Any]:
    """What transformers says of each prompt: tokens, their log-probabilities, z by layer [T][K]."""
    said: dict[str, Any] = {"tokens": [], "logprobs": [], "positions": []}
    for prompt in PROMPTS:
        ids = torch.tensor([prompt])
        how = {"max_new_tokens": TOKENS, "do_sample": False, "eos_token_id": None}
        made = model.generate(ids, **how)[0]
        with repo_model.record_positions(model) as recorder, torch.no_grad():
            logprobs = model(made[None]).logits[0].float().log_softmax(-1)
        new = made[len(prompt) :]
        rows = logprobs[len(prompt) - 1 : -1]
        said["tokens"].append(new.tolist())
        said["logprobs"].append(rows.gather(-1, new[:, None])[:, 0].tolist())
        z = {layer: recorder[layer][0].T[:-1].tolist() for layer in recorder.layers}
        said["positions"].append(z)
    return said


def _logprobs(folder: str, dtype: torch.dtype, tokens: list[list[int]]) -> list[torch.Tensor]:
    """Log-probabilities [tokens, vocabulary] in transformers where `tokens` follow the prompts."""
    model, found = repo_model.load(folder, dtype=dtype), []
    for prompt, new in zip(PROMPTS, tokens, strict=True):
        with torch.no_grad():
            logits = model(torch.tensor([prompt + new])).logits[0, len(prompt) - 1 : -1]
        found.append(logits.float().log_softmax(-1))
    return found


@pytest.fixture(scope="module")
def both(vllm_python: str) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """By name: what transformers says and what vLLM says; one vLLM process for all.

    `<case>-bf16`: what transformers says in fp32 and bf16 where vLLM's own tokens follow.
    """
    expected, folders = {}, {}
    with tempfile.TemporaryDirectory() as place:
        for name in NAMES:
            base, folder = Path(place) / "base" / name, Path(place) / name
            keys = {**SIZES, **(UNTIED if "gemma" in name else {})}
            stock_model(name.removesuffix("-yarn"), **keys).save_pretrained(base)
            torch.manual_seed(3)
            model = widen(repo_model.load(base, positions=MIXED))
            if name.endswith("-yarn"):
                repo_model.extend(model, 2)
            model.save_pretrained(folder)
            expected[name], folders[name] = _expected(model), (str(folder), "float32")
            if name in HALF:
                folders[f"{name}-bf16"] = (str(folder), "bfloat16")
        request = {"folders": folders, "prompts": PROMPTS, "tokens": TOKENS}
        asked, answer = Path(place) / "request.json", Path(place) / "answer.json"
        asked.write_text(json.dumps(request))
        engine = str(Path(__file__).with_name("engine.py"))
        env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
        done = subprocess.run(
            [vllm_python, engine, str(asked), str(answer)],
            cwd=place, env=env, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert answer.is_file(), done.stderr[-3000:]
        said = json.loads(answer.read_text())
        for name in [name for name in folders if name.endswith("-bf16")]:
            made = said[name].get("tokens", [])
            kinds = (torch.float32, torch.bfloat16)
            where = folders[name][0]
            expected[name] = {str(kind): _logprobs(where, kind, made) for kind in kinds if made}
    return {name: (expected[name], said[name]) for name in folders}


@pytest.mark.parametrize("name", NAMES)
def test_vllm_says_what_transformers_says(name: str, both: Any) -> None:
    """The same tokens, log-probabilities within 1e-2, and the same positions inside the engine."""
    expected, said = both[name]
    assert "error" not in said, said
    assert torch.tensor(expected["logprobs"]).amin() < -1e-2  # not certain of everything
    assert said["tokens"] == expected["tokens"]
    close = {"rtol": 0, "atol": 1e-2}
    torch.testing.assert_close(
        torch.tensor(said["logprobs"]), torch.tensor(expected["logprobs"]), **close
    )
    for layer in ("1", "3"):
        found = torch.tensor(said["positions"][layer])
        for z in expected["positions"]:
            for row in torch.tensor(z[int(layer)]):
                assert (found - row).abs().amax(-1).min() < 1e-2 + 1e-4 * row.abs().max()


@pytest.mark.parametrize("case", HALF)
def test_in_bf16_vllm_is_as_far_from_fp32_as_transformers(case: str, both: Any) -> None:
    """Log-probabilities of vLLM's tokens, beside the largest difference that bf16 makes in
    transformers anywhere in the vocabulary; each token is the likeliest but for that difference."""
    expected, said = both[f"{case}-bf16"]
    assert "error" not in said, said
    exact, half = torch.cat(expected["torch.float32"]), torch.cat(expected["torch.bfloat16"])
    noise = (half - exact).abs().max()
    tokens = torch.tensor(said["tokens"]).flatten()
    picked = exact.gather(-1, tokens[:, None])[:, 0]
    assert (torch.tensor(said["logprobs"]).flatten() - picked).abs().max() <= 1.5 * noise
    assert (exact.amax(-1) - picked).max() <= 2 * noise
