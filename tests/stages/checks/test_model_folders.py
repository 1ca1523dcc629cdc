"""Models, tokenizers and templates of other people that a later stage would refuse."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.hostile.tokenizers import byte_level, save
from tests.stages.checks.conftest import (
    CONFIG,
    Check,
    Own,
    weights_of,
    write_model,
    write_tokenizer,
    write_weights,
)

MODELS: dict[str, tuple[dict[str, Any], str]] = {
    "family": ({"model_type": "gpt_neox"}, "model_type 'gpt_neox' is not supported"),
    "no family": ({"model_type": None}, "is not supported"),
    "quantised": ({"quantization_config": {"quant_method": "gptq"}}, r"quantised \(gptq\)"),
    "classifier": ({"architectures": ["LlamaForSequenceClassification"]}, "no causal"),
    "dynamic": ({"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, "'dynamic' is not"),
    "longrope": ({"rope_scaling": {"type": "longrope"}}, "'longrope' is not supported"),
    "partial": ({"partial_rotary_factor": 0.5}, "partial_rotary_factor is 0.5"),
    "no window": ({"max_position_embeddings": None}, "max_position_embeddings is None"),
    "heads": ({"num_key_value_heads": 4}, "does not divide"),
    "quantised, a text": ({"quantization_config": "awq"}, r"quantised \(awq\)"),
    "quantised, a list": ({"quantization_config": ["x"]}, "quantised"),
    "compressed": ({"compression_config": {"format": "int4"}}, "quantised"),
    "classifier, a text": ({"architectures": "LlamaForTokenClassification"}, "^.*LlamaForTok"),
    "few layer types": ({"layer_types": ["full_attention"]}, "for each of 30 layers"),
    "layer types": ({"layer_types": ["linear_attention"] * 30}, "layer_types must name"),
    "padding": ({"pad_token_id": 1000}, "pad_token_id 1000 is no row"),
    "several paddings": ({"pad_token_id": [0]}, r"pad_token_id is \[0\]; give a whole number"),
    "odd heads": ({"head_dim": 63}, "even width"),
}


@pytest.mark.parametrize("name", MODELS)
def test_models_that_a_later_stage_would_refuse(
    name: str, own: Own, check: Check, tmp_path: Path
) -> None:
    changes, said = MODELS[name]
    write_model(tmp_path / "my-model", **changes)
    found = [one for one in check(own) if one.field == "base.source"]
    assert found
    assert {one.level for one in found} == {"refuse"}
    assert re.search(said, found[0].line), found[0].line


def no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def broken_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def adapter(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")


def pickles(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def cut(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])


def empty(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def pointer(folder: Path) -> None:
    text = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    (folder / "model.safetensors").write_bytes(text)


def shard_gone(folder: Path) -> None:
    index = {"weight_map": {"w": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def renamed(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model.fp16.safetensors")


def weights(folder: Path, layers: int = 30, **more: tuple[int, ...]) -> None:
    """The model's weights, of so many layers, with some of other shapes."""
    named = weights_of({**CONFIG, "num_hidden_layers": layers})
    named |= {name.replace("__", "."): size for name, size in more.items()}
    write_weights(folder / "model.safetensors", named)


def fewer_layers(folder: Path) -> None:
    weights(folder, layers=29)


def more_rows(folder: Path) -> None:
    weights(folder, model__embed_tokens__weight=(1064, 576))


def other_heads(folder: Path) -> None:
    weights(folder, model__layers__0__self_attn__k_proj__weight=(576, 576))


def biased(folder: Path) -> None:
    weights(folder, model__layers__0__self_attn__q_proj__bias=(576,))


def no_head(folder: Path) -> None:
    weights(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": False}))


@pytest.mark.parametrize("head", [True, False])
def test_weights_as_config_json_says(head: bool, own: Own, check: Check, tmp_path: Path) -> None:
    weights(tmp_path / "my-model", **({"lm_head__weight": (1000, 576)} if head else {}))
    assert check(own) == []


@pytest.mark.parametrize(
    "spoil",
    [
        *(no_config, broken_config, adapter, pickles, cut, empty, pointer, shard_gone),
        *(renamed, fewer_layers, more_rows, other_heads, biased, no_head),
    ],
)
def test_model_folders_that_cannot_be_loaded(
    spoil: Callable[[Path], None], own: Own, check: Check, tmp_path: Path
) -> None:
    assert check(own) == []
    spoil(tmp_path / "my-model")
    found = check(own)
    assert [(one.level, one.field) for one in found] == [("refuse", "base.source")]


def test_tokenizers_are_compared_by_what_decides_the_ids(
    own: Own, check: Check, tmp_path: Path
) -> None:
    write_tokenizer(tmp_path / "same")
    (tmp_path / "same/tokenizer_config.json").write_text('{"eos_token": "w0", "note": "a copy"}')
    assert check({**own, "tokenizer.source": "same"}) == []
    write_tokenizer(tmp_path / "other", words=900)
    (found,) = check({**own, "tokenizer.source": "other"})
    assert found.level == "refuse" and "hashes differ" in found.why and "my-model" in found.fix
    write_tokenizer(tmp_path / "large", words=1001)
    (found,) = check({**own, "tokenizer.source": "large"})
    assert "1001 tokens" in found.why
    (tmp_path / "my-model/tokenizer_config.json").write_text('{"eos_token": "</s>"}')
    (found,) = check(own)
    assert found.level == "refuse" and "in no vocabulary" in found.why
    (tmp_path / "bare").mkdir()
    assert any("no tokenizer.json" in one.why for one in check({**own, "tokenizer.source": "bare"}))
    (tmp_path / "my-model/tokenizer_config.json").write_text('{"eos_token": null}')
    (found,) = check(own)
    assert found.level == "refuse" and "no eos token" in found.why


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "{}",
        '{"model": []}',
        '{"model": {"vocab": null}}',
        '{"model": {"vocab": {"a": "0"}}}',
        '{"model": {"vocab": {"a": -1}}}',
        '{"model": {"vocab": {"w0": 0}}, "added_tokens": {"a": 1}}',
        '{"model": {"vocab": {"w0": 0}}, "added_tokens": [{"content": "a"}]}',
    ],
)
def test_odd_tokenizers_are_one_line(content: str, own: Own, check: Check, tmp_path: Path) -> None:
    (tmp_path / "my-model/tokenizer.json").write_text(content)
    (found,) = check(own)
    assert (found.level, found.field) == ("refuse", "tokenizer.source")
    assert "tokenizer.json" in found.line


SETTINGS: dict[str, tuple[str, str, str]] = {
    "no object": ("tokenizer_config.json", "[]", "no JSON object"),
    "cut": ("special_tokens_map.json", "{", "no JSON object"),
    "end as an object": ("tokenizer_config.json", '{"eos_token": {"content": "</s>"}}', "no vocab"),
    "end elsewhere": ("special_tokens_map.json", '{"eos_token": "</s>"}', ""),
    "end as a list": ("tokenizer_config.json", '{"eos_token": ["w0"]}', "no vocabulary"),
    "end as an id": ("tokenizer_config.json", '{"eos_token": 0}', "no vocabulary"),
    "empty end": ("tokenizer_config.json", '{"eos_token": ""}', "no vocabulary"),
    "a new token": ("special_tokens_map.json", '{"pad_token": "[PAD]"}', "would be a new token"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_odd_settings_of_a_tokenizer_are_one_line(
    name: str, own: Own, check: Check, tmp_path: Path
) -> None:
    file, content, why = SETTINGS[name]
    (tmp_path / "my-model" / file).write_text(content)
    found = [one.line for one in check(own) if one.field == "tokenizer.source"]
    assert [why in line for line in found] == [True], found


def test_a_hub_id_that_nobody_can_fetch(
    own: Own, check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    given = {**own, "base.source": "no/one", "base.needs": "data/tokenizer"}
    given["tokenizer.source"] = "no/one"
    offline = {"HF_HUB_OFFLINE": "1"}
    (found,) = check(given, environment=offline)
    assert (found.level, found.field) == ("refuse", "base.source")
    assert "'no/one'" in found.line and "HF_HUB_OFFLINE" in found.line
    assert [one.level for one in check(given, environment=offline, planning=True)] == ["warn"]
    assert check(given) == []
    kept = tmp_path / "hub" / "models--no--one"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "main").write_text("abc")
    (kept / "snapshots").mkdir()
    write_model(kept / "snapshots" / "abc")
    assert check(given, environment=offline) == []


TEMPLATES = {
    "gone": (None, "No such file"),
    "twice": ("{task_template} {task_template}", "stands in it 2 times"),
    "no place": ("Question:", "no {task_template} in it"),
    "not Jinja": ("{% for m in messages %}", "line 1"),
    "not text": (b"\xff{task_template}", "not UTF-8"),
    "NVIDIA's": ("[INST] {task_template} [/INST]", ""),
    "Jinja": ("{% generation %}{{ messages[0].content }}{% endgeneration %}", ""),
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_is_looked_at_before_anything_is_built(
    name: str, check: Check, tmp_path: Path
) -> None:
    content, why = TEMPLATES[name]
    if content is not None:
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / "t.jinja").write_bytes(data)
    found = check({"benchmarks.template": "t.jinja"})
    assert [(one.level, one.field) for one in found] == [("refuse", "benchmarks.template")] * bool(
        why
    )
    assert not why or why in found[0].line


def test_the_tokenizer_s_own_template_must_be_there(own: Own, check: Check, tmp_path: Path) -> None:
    (found,) = check({"benchmarks.template": "auto"})
    assert "trained here has no chat template" in found.line
    given = {**own, "benchmarks.template": "auto"}
    (found,) = check(given)
    assert "the tokenizer has no chat template" in found.line
    (tmp_path / "my-model/chat_template.jinja").write_text("{{ messages[0].content }}")
    (found,) = check(given)  # such a tokenizer nobody can read
    assert found.field == "benchmarks.template" and "cannot be read" in found.line
    save(byte_level(), tmp_path / "my-model")
    assert check(given) == []
