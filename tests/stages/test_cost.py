"""Costs by arithmetic, against PERFORMANCE.md, published sizes and the models themselves."""

import subprocess
import sys
from pathlib import Path

import pytest

import repo_model
from pipeline.use import profiles
from stages.benchmarks import cost as benchmarks
from stages.common import shape as shapes
from stages.common.cost import Layout, base_shape
from stages.common.shape import FORWARD, TRAINING, Shape, known
from stages.evaluate import cost as evaluate
from stages.params import Params, load
from stages.tokenize import cost as tokenize
from stages.train import cost as train
from stages.training import cost as training
from stages.training import objective
from stages.training.cost import LOGITS

ON_8 = Layout(8, 1, 16384, False, 16384)
ALONE = Layout(1, 1, 16384, False, 16384)


@pytest.fixture
def paper(tmp_path: Path) -> Params:
    file = tmp_path / "params.yaml"
    file.write_text(profiles()["olmo2-1b"])
    return load(file)


@pytest.mark.parametrize(
    ("source", "parameters"),
    [
        ("allenai/OLMo-2-0425-1B", 1_484_916_736),
        ("allenai/OLMo-2-1124-7B", 7_298_617_344),
        ("meta-llama/Llama-3.2-1B", 1_235_814_400),
        ("meta-llama/Llama-3.1-8B", 8_030_261_248),
        ("Qwen/Qwen3-0.6B-Base", 596_049_920),
        ("Qwen/Qwen3-8B-Base", 8_190_735_360),
    ],
)
def test_the_table_gives_the_published_sizes(source: str, parameters: int) -> None:
    shape = known(source)
    assert shape is not None
    assert shape.parameters == parameters


def test_olmo2_1b_is_as_performance_md_has_it() -> None:
    shape = known("allenai/OLMo-2-0425-1B")
    assert shape is not None
    assert shape.active_parameters == 1_279_395_840
    assert shape.map_parameters(11) == 11_579_392
    assert shape.flops_per_token(4096) == pytest.approx(8.48e9, rel=0.001)
    assert shape.flops_per_token(16384) == pytest.approx(10.90e9, rel=0.001)
    assert shape.attention_flops(4096, TRAINING) == pytest.approx(0.805e9, rel=0.001)
    maps = shape.flops_per_token(4096, map_layers=11) - shape.flops_per_token(4096)
    assert maps == pytest.approx(0.0695e9, rel=0.002)
    assert shape.activation_bytes() * 16384 / 16 == pytest.approx(1.48e9, rel=0.01)
    assert known("allenai/OLMo-2-1124-7B").map_parameters(22) == pytest.approx(92.6e6, rel=0.001)  # type: ignore[union-attr]


def test_training_of_the_paper(paper: Params) -> None:
    cost = train.cost(paper, "repo", ON_8)
    assert (cost.steps, cost.tokens, cost.parameters) == (23_852, 50_021_269_504, 1_496_496_128)
    assert cost.flops == pytest.approx(50.02e9 * (8.48e9 + 0.0695e9), rel=0.002)
    whole = train.cost(paper, "rope", ALONE).memory
    assert whole is not None and cost.memory is not None
    assert whole.weights == pytest.approx(3.0e9, rel=0.02)
    assert whole.gradients == pytest.approx(6.0e9, rel=0.02)  # summed in fp32
    assert whole.optimizer == pytest.approx(18.0e9, rel=0.02)
    assert cost.memory.optimizer == pytest.approx(18.0e9 / 8, rel=0.02)
    assert cost.memory.weights > whole.weights  # the maps; ZeRO 1 does not share weights


def test_zero_and_recomputation_lower_memory(paper: Params) -> None:
    totals = []
    for stage in (1, 2, 3):
        memory = train.cost(paper, "rope", Layout(8, stage, 16384, False, 16384)).memory
        assert memory is not None
        totals.append(memory.total)
    assert totals == sorted(totals, reverse=True)
    again = train.cost(paper, "rope", Layout(8, 1, 16384, True, 16384)).memory
    assert again is not None
    assert again.activations < 0.15 * 23.7e9


def test_evaluation_prefill_is_as_performance_md_has_it() -> None:
    shape = known("allenai/OLMo-2-0425-1B")
    assert shape is not None
    flops = (
        13
        * 500
        * sum(
            length * (shape.flops_per_token(length, FORWARD) - FORWARD * shape.head_parameters)
            for length in (4096, 8192, 16384)
        )
    )
    for mfu, hours in ((0.5, 0.31), (0.4, 0.39)):
        assert flops / (989e12 * mfu) / 3600 == pytest.approx(hours, rel=0.02)


def test_evaluation_counts_every_cell(paper: Params) -> None:
    cost = evaluate.cost(paper, "rope", ON_8)
    ruler = 11 * 500 * (4096 + 8192 + 16384)
    assert cost.tokens is not None and cost.tokens > ruler
    wider = evaluate.cost(paper, "rope", Layout(8, 1, 16384, False, 65536))
    assert wider.decode_passes < cost.decode_passes


def test_tokenization_of_50_b_tokens_is_16_core_hours(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(profiles()["olmo2-1b-text"])
    cost = tokenize.cost(load(file), None, ON_8)
    assert cost.tokens and cost.core_seconds
    assert cost.core_seconds / cost.tokens * 50e9 / 3600 == pytest.approx(16, rel=0.05)


@pytest.mark.parametrize("family", ["olmo2", "llama", "qwen3"])
@pytest.mark.parametrize("tied", [True, False])
def test_parameters_are_those_of_the_model(family: str, tied: bool) -> None:
    """Shapes that are nobody's: grouped heads, a head wider than width / heads."""
    width, heads, kv_heads = 48, 6, 2
    config_class = {
        "olmo2": repo_model.RepoOlmo2Config,
        "llama": repo_model.RepoLlamaConfig,
        "qwen3": repo_model.RepoQwen3Config,
    }[family]
    model_class = {
        "olmo2": repo_model.RepoOlmo2ForCausalLM,
        "llama": repo_model.RepoLlamaForCausalLM,
        "qwen3": repo_model.RepoQwen3ForCausalLM,
    }[family]
    head = {} if family == "olmo2" else {"head_dim": 16}
    config = config_class(
        vocab_size=99, hidden_size=width, intermediate_size=80, num_hidden_layers=3,
        num_attention_heads=heads, num_key_value_heads=kv_heads, tie_word_embeddings=tied,
        max_position_embeddings=64, positions="repo", start_layer=1, pad_token_id=0, **head,
    )  # fmt: skip
    shape = Shape(family, width, 80, 3, heads, kv_heads, head.get("head_dim", 8), 99, tied, 64)
    layers = 2
    count = sum(parameter.numel() for parameter in model_class(config).parameters())
    assert shape.parameters + shape.map_parameters(layers) == count


def test_a_local_folder_tells_its_shape(tmp_path: Path) -> None:
    config = repo_model.RepoOlmo2Config(
        vocab_size=99, hidden_size=32, intermediate_size=80, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64, positions="rope",
    )  # fmt: skip
    config.save_pretrained(tmp_path)
    shape = known(str(tmp_path))
    assert shape == Shape("olmo2", 32, 80, 2, 4, 2, 8, 99, False, 64)
    assert known(str(tmp_path / "absent")) is None


def test_an_unknown_base_is_said_not_guessed(paper: Params) -> None:
    base = paper.base.model_copy(update={"source": "nobody/knows", "architecture": None})
    cost = train.cost(paper.model_copy(update={"base": base}), "rope", ON_8)
    assert cost.flops is None
    assert "nobody/knows" in cost.note


def test_base_shape_of_the_params_is_the_hubs(paper: Params) -> None:
    assert base_shape(paper) == known("allenai/OLMo-2-0425-1B")
    base = paper.base.model_copy(update={"source": "my/own-1b"})
    assert base_shape(paper.model_copy(update={"base": base})) == known("allenai/OLMo-2-0425-1B")


def test_constants_are_those_of_the_code() -> None:
    assert objective.CHUNK_LOGITS == LOGITS


def test_no_cost_imports_torch() -> None:
    names = sorted(p.parent.name for p in Path(shapes.__file__).parents[1].glob("*/cost.py"))
    assert {"train", "evaluate", "common"} <= set(names)
    code = "import sys\n" + "\n".join(f"import stages.{name}.cost" for name in names)
    done = subprocess.run([sys.executable, "-c", f"{code}\nassert 'torch' not in sys.modules"])
    assert done.returncode == 0


def test_what_is_frozen_costs_no_work_and_no_memory(tmp_path: Path) -> None:
    """SmolLM2 with the maps, q and k of layers 10 to 29: counted by hand."""
    import json

    from tests.stages.checks.conftest import CONFIG

    (tmp_path / "params.yaml").write_text(profiles()["smollm2-cpu"])
    (tmp_path / "config.json").write_text(json.dumps({**CONFIG, "vocab_size": 49152}))
    params = load(tmp_path / "params.yaml")
    shape = known(str(tmp_path))
    assert shape is not None and shape.parameters == 134_515_008
    part = training.trained(params.train, shape, map_layers=20)
    q_and_k = 20 * 576 * 64 * (9 + 3)
    assert part == (q_and_k + shape.map_parameters(20), 20)
    plan = Layout(2, 1, 16384, False, 16384, on_cpu=True)
    whole = params.train.model_copy(update={"trainable": "all"})
    some, everything = (training.cost(one, shape, 20, plan) for one in (params.train, whole))
    assert some.flops and everything.flops
    assert 0.55 < some.flops / everything.flops < 0.7
    assert some.memory and everything.memory
    assert some.memory.optimizer == pytest.approx(12 * part.weights / 2)  # two workers, ZeRO 1
    assert some.memory.gradients == pytest.approx(2 * part.weights)
    assert some.memory.activations == pytest.approx(everything.memory.activations * 20 / 30)
    assert some.memory.process > 0


def test_samples_of_a_task_and_its_first_length_are_reckoned(paper: Params) -> None:
    whole = paper.benchmarks.ruler
    task, (short, *longer) = whole.tasks[0], sorted(paper.benchmarks.lengths)
    ruler = whole.model_copy(update={"samples_of": {task: 1}, "from_length": {task: longer[0]}})
    fewer = paper.model_copy(
        update={"benchmarks": paper.benchmarks.model_copy(update={"ruler": ruler})}
    )
    saved = benchmarks.cost(paper, None, ALONE).tokens - benchmarks.cost(fewer, None, ALONE).tokens
    assert saved == whole.samples * short + (whole.samples - 1) * sum(longer)
    assert len([*benchmarks.cells(paper)]) == len([*benchmarks.cells(fewer)]) + 1
