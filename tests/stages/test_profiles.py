"""The paper's recipes resolve to its numbers (PAPER.md section 3)."""

from pathlib import Path

import pytest
import torch

import repo_model
from pipeline.use import profiles
from stages.base.stage import config_of
from stages.corpus.cost import fetch_bytes, source_tokens
from stages.corpus.ready import list_of
from stages.params import Params, load
from stages.training.realised import expected

OLMO2_VOCABULARY, EOS, PAD = 100352, 100257, 100277


def resolved(name: str, folder: Path) -> Params:
    (folder / "params.yaml").write_text(profiles()[name])
    return load(folder / "params.yaml")


def parameters(params: Params, variant: str) -> int:
    assert params.base.architecture is not None
    config = config_of(params.base.architecture, OLMO2_VOCABULARY, EOS, PAD)
    layers = config.num_hidden_layers
    config.positions = params.positions(variant, layers)
    with torch.device("meta"):
        model = repo_model.RepoOlmo2ForCausalLM(config)
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("name", "base", "maps"),
    [("olmo2-1b", 1_484_916_736, 11_579_392), ("olmo2-7b", 7_298_617_344, 22 * 4_210_688)],
)
def test_parameter_counts(name: str, base: int, maps: int, tmp_path: Path) -> None:
    params = resolved(name, tmp_path)
    assert parameters(params, "rope") == base
    assert parameters(params, "repo") == base + maps


def test_the_1b_recipe_is_the_paper_s(tmp_path: Path) -> None:
    train = resolved("olmo2-1b", tmp_path).train
    assert train.steps == 23_852
    assert train.batch_tokens == 512 * 4096
    assert [(phase.length, phase.share) for phase in train.lengths] == [(4096, 1.0)]
    assert (train.lr, train.betas, train.eps) == (7.4487e-5, (0.9, 0.95), 1e-8)
    assert (train.weight_decay, train.grad_clip, train.z_loss) == (0.1, 1.0, 1e-5)
    assert (train.warmup_steps, train.decay_share, train.precision) == (0, 1.0, "bf16")
    assert train.start_layer == 5


def test_the_7b_recipe_is_the_paper_s(tmp_path: Path) -> None:
    train = resolved("olmo2-7b", tmp_path).train
    assert (train.steps, train.batch_tokens, train.lr) == (11_931, 1024 * 4096, 6.1499e-5)
    assert train.start_layer == 10


def test_the_tiny_base_has_the_weights_its_start_says(tmp_path: Path) -> None:
    from stages.base.stage import scratch

    base = resolved("tiny", tmp_path).base
    assert base.architecture is not None
    assert base.start is not None
    model = scratch(config_of(base.architecture, 1024, 0, 1), base.start, seed=3)
    again = scratch(config_of(base.architecture, 1024, 0, 1), base.start, seed=3)
    for one, other in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)
    embedding_VD = model.get_input_embeddings().weight  # type: ignore[operator]
    head_VD = model.get_output_embeddings().weight  # type: ignore[operator]
    shared_D = embedding_VD.mean(0)
    assert shared_D.square().mean().sqrt().item() == pytest.approx(1.0, abs=0.1)
    torch.testing.assert_close(head_VD, 0.02 * (embedding_VD - shared_D), atol=5e-3, rtol=0)
    values = model.model.layers[0].self_attn.v_proj.weight  # type: ignore[union-attr, index]
    torch.testing.assert_close(values @ values.T, torch.eye(96), atol=1e-5, rtol=0)


def test_the_mixture_is_the_paper_s(project_root: Path, tmp_path: Path) -> None:
    """Tokens by source as PAPER.md section 3 rounds them, by the official list and from text."""
    params = resolved("olmo2-1b", tmp_path)
    there = source_tokens(params, project_root)
    kept = 1 - params.corpus.validation_share
    said = {"dclm": 24.31e9, "flan": 8.54e9, "wiki": 3.66e9, "tinygsm_2students": 3.41e9,
            "mathcoder_synthmath": 3.09e9, "tinygsm": 3.06e9, "pes2o": 3.01e9,
            "stackexchange": 1.26e9, "mathcoder_ajibawa": 782.58e6, "personahub_math": 191.58e6,
            "metamath": 84.22e6, "tulu_math_grade": 21.80e6, "tulu_algebra": 19.74e6,
            "gsm_mind": 17.06e6, "basic_math": 9.03e6, "multiadd": 2.21e6, "gsm8k_socratic": 1.51e6,
            "gsm8k_main": 1.23e6, "gsm8k_synth": 1.08e6}  # fmt: skip
    assert there == {name: pytest.approx(count * kept) for name, count in said.items()}
    files = [f for name, one in params.corpus.ready.items() for f in list_of(name, one).files]
    assert len(files) == len(set(files)) == 576
    assert fetch_bytes(params, project_root) == pytest.approx(4 * 51.47e9, rel=1e-3)
    parts = expected(params.train, there)
    assert parts["dclm"].share == pytest.approx(24.31 / 51.472, abs=1e-3)
    text = resolved("olmo2-1b-text", tmp_path)
    weighed = expected(text.train, source_tokens(text, project_root))
    for name in ("dclm", "flan", "wiki", "pes2o", "stackexchange"):
        assert weighed[name].share == pytest.approx(parts[name].share, abs=1e-3)
    assert all(part.passes is not None and part.passes < 1.1 for part in weighed.values())
