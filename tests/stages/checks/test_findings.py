"""Every finding both ways: what is wrong is told with field and fix, what is right is not."""

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.use import profiles
from stages.common.errors import UserError
from stages.common.findings import refuse, stop, warn
from stages.common.seen import Place
from tests.stages.checks.conftest import Check, write_model, write_texts, write_tokenizer

Own = dict[str, Any]
LONGBENCH = (
    "2wikimqa musique multifieldqa_en narrativeqa triviaqa gov_report qmsum".split()  # noqa: SIM905
)
ROW = '{"input": "q", "context": "c", "answers": ["a"], "all_classes": []}\n'
PHASE = {"length": 256, "share": 1.0}
VT = {"chains": 1, "hops": 1, "name_letters": 3, "value_digits": 4, "example_tokens": None}
PARAMS: dict[str, tuple[dict[str, Any], str, str]] = {
    # what is changed, and level and field of the one finding that it must give
    "start layer": ({"train.start_layer": 30}, "refuse", "train.start_layer"),
    "train length": (
        {"train.lengths": [{"length": 4096, "share": 1.0}], "train.batch_tokens": 4096},
        "refuse",
        "train.lengths",
    ),
    "start layer of a variant": (
        {"definitions.repo.train": {"start_layer": 31}},
        "refuse",
        "definitions.repo.train.start_layer",
    ),
    "pattern": (
        {
            "variants": ["rope", "long"],
            "definitions.long": {"train": {"positions": ["rope", "nope"] * 16}},
        },
        "refuse",
        "definitions.long.train.positions",
    ),
    "lr of a variant": (
        {"definitions.repo.train": {"overrides": {"lr": 3e-3}}},
        "warn",
        "definitions.repo.train.overrides.lr",
    ),
    "lr of a toy": ({"train.lr": 3e-3}, "warn", "train.lr"),
    "lr of nothing": ({"train.lr": 1e-9}, "warn", "train.lr"),
    "lr beyond all": ({"train.lr": 1.0}, "refuse", "train.lr"),
    "lr that moves nothing": ({"train.lr": 1e-30}, "refuse", "train.lr"),
    "clip": ({"train.grad_clip": 1e-30}, "refuse", "train.grad_clip"),
    "z loss": ({"train.z_loss": 5.0}, "refuse", "train.z_loss"),
    "analysis of more than there is": ({"analyze.samples": 10**8}, "refuse", "analyze.samples"),
    "epsilon": ({"analyze.epsilon": 1e9}, "refuse", "analyze.epsilon"),
    "betas": ({"train.betas": [1.0, 0.95]}, "refuse", "train.betas.0"),
    "eps": ({"train.eps": 1.0}, "refuse", "train.eps"),
    "decay": ({"train.weight_decay": 5000.0}, "refuse", "train.weight_decay"),
    "chunk": ({"analyze.chunk_tokens": 512}, "refuse", "analyze.chunk_tokens"),
    "warm-up": ({"train.warmup_steps": 15}, "refuse", "train.warmup_steps"),
    "source": (
        {"train.lengths": [{**PHASE, "sources": ["books"]}]},
        "refuse",
        "train.lengths",
    ),
    "many passes": ({"train.tokens": 2_000_000}, "warn", "train.tokens"),
    "52,700 passes": ({"train.tokens": 10_000_000_000}, "refuse", "train.tokens"),
    "factor": ({"extend.factor": 64.0}, "warn", "extend.factor"),
    "factor beyond all": ({"extend.factor": 5000.0}, "refuse", "extend.factor"),
    "no such model": (
        {"base.source": "gone", "tokenizer.source": "my-model"},
        "refuse",
        "base.source",
    ),
    "unwatched": ({"base.needs": "data/tokens"}, "warn", "base.needs"),
    "no such documents": (
        {"corpus.path": "no.jsonl", "corpus.needs": "no.jsonl"},
        "refuse",
        "corpus.path",
    ),
    "field": ({"corpus.text_field": "body"}, "refuse", "corpus.text_field"),
    "own tokenizer": (
        {"tokenizer.source": "train", "tokenizer.vocab_size": 1024},
        "refuse",
        "tokenizer.source",
    ),
    "hub's tokenizer": ({"tokenizer.source": "some/other"}, "refuse", "tokenizer.source"),
    "no such tokenizer": ({"tokenizer.source": "./gone"}, "refuse", "tokenizer.source"),
    "longbench": (
        {"benchmarks.longbench.path": "nowhere"},
        "refuse",
        "benchmarks.longbench.path",
    ),
    "prose": ({"benchmarks.ruler.prose": "no.txt"}, "refuse", "benchmarks.ruler.prose"),
    "squad": ({"benchmarks.ruler.squad": "no.json"}, "refuse", "benchmarks.ruler.squad"),
    "hotpotqa": ({"benchmarks.ruler.hotpotqa": "no.json"}, "refuse", "benchmarks.ruler.hotpotqa"),
    "nlgraph": ({"benchmarks.nlgraph": {"path": "no"}}, "refuse", "benchmarks.nlgraph.path"),
    "hybridqa": ({"benchmarks.hybridqa": {"path": "no"}}, "refuse", "benchmarks.hybridqa.path"),
    "budget": (
        {"benchmarks.ruler.new_tokens": {"niah_single_1": 256, "niah_multikey_1": 8}},
        "refuse",
        "benchmarks.ruler.new_tokens.niah_single_1",
    ),
    "samples of nothing": (
        {"benchmarks.ruler.tasks": [], "benchmarks.longbench.tasks": []},
        "refuse",
        "benchmarks.ruler.tasks",
    ),
    "task": ({"benchmarks.longbench.tasks": ["nonsense"]}, "refuse", "benchmarks.longbench.tasks"),
    "task twice": (
        {"benchmarks.longbench.tasks": ["generated_qa", "generated_qa"]},
        "refuse",
        "benchmarks.longbench.tasks",
    ),
    "answers without a prompt": (
        {"benchmarks.longbench.new_tokens": 256},
        "refuse",
        "benchmarks.longbench.new_tokens",
    ),
    "common words": (
        {
            "benchmarks.ruler.tasks": ["niah_single_1", "cwe"],
            "benchmarks.ruler.cwe": {"common": 3, "repeats": [1, 1], "example": None},
        },
        "refuse",
        "benchmarks.ruler.cwe.repeats",
    ),
    "template": ({"benchmarks.template": "gone.jinja"}, "refuse", "benchmarks.template"),
    "no template": ({"benchmarks.template": "auto"}, "refuse", "benchmarks.template"),
    "address": (
        {"benchmarks.ruler.prose": "https://example.org/a.txt"},
        "refuse",
        "benchmarks.ruler.prose",
    ),
    "a phase without a step": (
        {"train.lengths": [{**PHASE, "share": 0.999}, {"length": 128, "share": 0.001}]},
        "refuse",
        "train.lengths.1.share",
    ),
    "one document": ({"corpus.max_documents": 1}, "refuse", "corpus.max_documents"),
    "held out": ({"corpus.validation_share": 1e-6}, "refuse", "corpus.validation_share"),
    "the project": ({"corpus.path": "..", "corpus.needs": ".."}, "refuse", "corpus.path"),
    "an out": (
        {"corpus.path": "data/tokens/train", "corpus.needs": "data/tokens/train"},
        "refuse",
        "corpus.path",
    ),
    "the base of the graph": ({"base.source": "models/base"}, "refuse", "base.source"),
    "its tokenizer": ({"tokenizer.source": "data/tokenizer"}, "refuse", "tokenizer.source"),
    "revision of a folder": ({"base.revision": "main"}, "refuse", "base.revision"),
    "moments": ({"base.moments": True}, "refuse", "base.moments"),
    "another shape": (
        {
            "base.architecture": {
                "hidden_size": 576,
                "intermediate_size": 1536,
                "num_hidden_layers": 31,
                "num_attention_heads": 9,
                "num_key_value_heads": 3,
                "max_position_embeddings": 2048,
                "rope_theta": 10000.0,
            }
        },
        "refuse",
        "base.architecture.num_hidden_layers",
    ),
    "one length twice": (
        {
            "definitions.repo.evaluate": {
                "softmax_scale": [{"length": 256, "scale": 1.1}, {"length": 256, "scale": 1.2}]
            }
        },
        "refuse",
        "definitions.repo.evaluate.softmax_scale",
    ),
    "one name for two": (
        {
            "definitions.rope.report": {"label": "ours"},
            "definitions.repo.report": {"label": "ours "},
        },
        "refuse",
        "definitions.repo.report.label",
    ),
    "no name": (
        {"definitions.repo.report": {"label": "  "}},
        "refuse",
        "definitions.repo.report.label",
    ),
    "no window": ({"evaluate.perplexity_tokens": 100}, "refuse", "evaluate.perplexity_tokens"),
    "few windows": ({"evaluate.perplexity_tokens": 600}, "warn", "evaluate.perplexity_tokens"),
    "nothing in tokenizer.revision": (
        {"tokenizer.revision": "main"},
        "refuse",
        "tokenizer.revision",
    ),
    "lr of a wreck": ({"train.lr": 0.05}, "refuse", "train.lr"),
    "nearly all warm-up": ({"train.warmup_steps": 9}, "refuse", "train.warmup_steps"),
    "betas that diverge": ({"train.betas": [0.95, 0.9]}, "refuse", "train.betas"),
    "a source twice": (
        {"train.lengths": [{**PHASE, "sources": ["local", "local"]}]},
        "refuse",
        "train.lengths.0.sources",
    ),
    "no source": (
        {"train.lengths": [{**PHASE, "sources": []}]},
        "refuse",
        "train.lengths.0.sources",
    ),
    "a piece longer than a sequence": (
        {"train.repetition": {"max_period": 200, "max_count": 2}},
        "refuse",
        "train.repetition.max_period",
    ),
    "nothing above the top": (
        {"train.trainable": {"from_layer": 30}},
        "refuse",
        "train.trainable.from_layer",
    ),
    "nothing to train": (
        {"train.trainable": {"attention": []}},
        "refuse",
        "train.trainable.attention",
    ),
    "frozen maps": (
        {"train.trainable": {"maps": False}, "train.map_lr": 0.01},
        "refuse",
        "train.map_lr",
    ),
    "start layer where nothing reads it": (
        {"definitions.repo.train": {"overrides": {"start_layer": 2}}},
        "refuse",
        "definitions.repo.train.overrides.start_layer",
    ),
    "warm-up of a variant": (
        {"definitions.repo.train": {"overrides": {"warmup_steps": 15}}},
        "refuse",
        "definitions.repo.train.overrides.warmup_steps",
    ),
    "the same model twice": (
        {
            "variants": ["rope", "again"],
            "definitions.again": {"train": {"positions": ["rope"] * 2}},
        },
        "refuse",
        "variants",
    ),
    "data set of local documents": ({"corpus.dataset": "a/b"}, "refuse", "corpus.dataset"),
    "documents twice": (
        {"corpus.sources": {"web": {"kind": "local", "path": "./my.jsonl"}}},
        "refuse",
        "corpus.sources.web.path",
    ),
    "no answer": (
        {
            "benchmarks.ruler.new_tokens": {"niah_single_1": 8, "niah_multikey_1": 8, "cwe": 2},
            "benchmarks.ruler.tasks": ["niah_single_1", "cwe"],
        },
        "refuse",
        "benchmarks.ruler.new_tokens.cwe",
    ),
    "tasks that never begin": (
        {"benchmarks.ruler.from_length": {"niah_single_1": 4096}},
        "refuse",
        "benchmarks.ruler.from_length",
    ),
    "no room for a prompt": (
        {"benchmarks.ruler.new_tokens": {"niah_single_1": 200, "niah_multikey_1": 8}},
        "refuse",
        "benchmarks.lengths",
    ),
    "a cut larger than a sample": (
        {"benchmarks.ruler.steps": {"lines": 1, "prose": 5000, "assignments": 1, "words": 1}},
        "refuse",
        "benchmarks.ruler.steps.prose",
    ),
    "words of an example": (
        {
            "benchmarks.ruler.tasks": ["niah_single_1", "cwe"],
            "benchmarks.ruler.cwe": {
                "common": 3,
                "repeats": [4, 1],
                "example": {"words": 2, "repeats": [3, 1]},
            },
        },
        "refuse",
        "benchmarks.ruler.cwe.example.words",
    ),
    "more variables than names": (
        {
            "benchmarks.ruler.tasks": ["niah_single_1", "vt"],
            "benchmarks.ruler.vt": {**VT, "chains": 200},
        },
        "refuse",
        "benchmarks.ruler.vt.chains",
    ),
    "names too short": (
        {
            "benchmarks.ruler.tasks": ["niah_single_1", "vt"],
            "benchmarks.ruler.vt": {**VT, "chains": 100, "hops": 4, "name_letters": 2},
            "benchmarks.lengths": [512],
            "evaluate.perplexity_tokens": 8192,
        },
        "refuse",
        "benchmarks.ruler.vt.name_letters",
    ),
    "documents as prose": (
        {"benchmarks.ruler.prose": "my.jsonl"},
        "refuse",
        "benchmarks.ruler.prose",
    ),
    "a model as RULER's files": (
        {"benchmarks.ruler.data": "my-model"},
        "refuse",
        "benchmarks.ruler.data",
    ),
    "a model as tables": (
        {"benchmarks.hybridqa": {"path": "my-model"}},
        "refuse",
        "benchmarks.hybridqa.path",
    ),
    "a model as graphs": (
        {"benchmarks.nlgraph": {"path": "my-model"}},
        "refuse",
        "benchmarks.nlgraph.path",
    ),
    "a longer prompt than the length": (
        {"benchmarks.longbench.max_length": 3500, "benchmarks.longbench.tasks": ["generated_qa"]},
        "refuse",
        "benchmarks.longbench.max_length",
    ),
    "a bare epsilon": ({"analyze.epsilon": 0.0}, "refuse", "analyze.epsilon"),
    "profile with a path": ({"profile": "../x"}, "refuse", "profile"),
    "label of another": (
        {"definitions.repo.report": {"label": "rope"}},
        "refuse",
        "definitions.repo.report.label",
    ),
    "label in two lines": (
        {"definitions.repo.report": {"label": "a\nb"}},
        "refuse",
        "definitions.repo.report.label",
    ),
}


@pytest.mark.parametrize("name", PARAMS)
def test_params_against_model_and_documents(name: str, own: Own, check: Check) -> None:
    changes, level, field = PARAMS[name]
    assert check(own) == []
    (found,) = check({**own, **changes})
    assert (found.level, found.field) == (level, field), found.line
    assert found.why and found.fix and "\n" not in found.line


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


@pytest.mark.parametrize(
    "spoil", [no_config, broken_config, adapter, pickles, cut, empty, pointer, shard_gone]
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


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ("", "corpus.path"),
        ("plain text\n" * 9000, "corpus.path"),
        ('["a"]\n' * 90000, "corpus.path"),
        ('{"body": "a b c d"}\n' * 90000, "corpus.text_field"),
        ('{"text": "a b"}\n' * 6, "train.lengths"),
    ],
)
def test_documents_are_judged_by_their_first_row_and_their_size(
    content: str, field: str, own: Own, check: Check, tmp_path: Path
) -> None:
    (tmp_path / "my.jsonl").write_text(content)
    found = [one for one in check(own) if one.level == "refuse"]
    assert found and found[0].field == field, [one.line for one in found]


def test_compressed_documents_and_folders_are_read_too(
    own: Own, check: Check, tmp_path: Path
) -> None:
    write_texts(tmp_path / "my.jsonl")
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "a.jsonl.gz").write_bytes(gzip.compress((tmp_path / "my.jsonl").read_bytes()))
    given = {**own, "corpus.path": "texts", "corpus.needs": "texts", "train.tokens": 4096}
    assert check(given) == []
    (found,) = check({**given, "corpus.text_field": "body"})
    assert found.field == "corpus.text_field"
    (folder / "a.jsonl.gz").write_bytes(b"no gzip" * 9999)
    assert [one.field for one in check(given)] == ["corpus.path"]


@pytest.mark.parametrize(
    ("environment", "place", "field"),
    [
        ({"REPO_WORKERS": "16"}, Place(2, None), "REPO_WORKERS"),
        ({"REPO_WORKERS": "16"}, Place(64, 8), "REPO_WORKERS"),
        ({"REPO_WORKERS": "3"}, Place(64, 8), "REPO_WORKERS"),
        ({"REPO_EVAL_ACTORS": "3"}, Place(2, None), "REPO_EVAL_ACTORS"),
        ({"REPO_EVAL_ACTORS": "9"}, Place(64, 8), "REPO_EVAL_ACTORS"),
        ({"REPO_USE_GPU": "1"}, Place(2, 0), "REPO_USE_GPU"),
        ({"REPO_ZERO": "9"}, Place(2, None), "REPO_ZERO"),
        ({"REPO_ZERO": "1"}, Place(2, None), "REPO_ZERO"),  # smoke's base is trained with Muon
        ({"REPO_OFFLOAD": "1"}, Place(2, None), "REPO_OFFLOAD"),
        ({"REPO_ATTENTION": "flash"}, Place(2, None), "REPO_ATTENTION"),
        ({"REPO_ATTENTION": "cudnn"}, Place(64, 8), "REPO_ATTENTION"),  # fp32
        ({"REPO_LOSS": "liger"}, Place(2, None), "REPO_LOSS"),
        ({"REPO_CPUS": "two"}, Place(2, None), "REPO_CPUS"),
        ({"REPO_WOKERS": "2"}, Place(2, None), "REPO_WOKERS"),
        ({"repo_workers": "2"}, Place(2, None), "repo_workers"),
        ({"REPO-WORKERS": "2"}, Place(2, None), "REPO-WORKERS"),
        ({"REPO_WORKERS": "0"}, Place(2, None), "REPO_WORKERS"),
        ({"REPO_WORKERS": "9-2"}, Place(2, None), "REPO_WORKERS"),
        ({"REPO_RUNS": "/dev/null"}, Place(2, None), "REPO_RUNS"),
        ({"REPO_RUNS": "models/x"}, Place(2, None), "REPO_RUNS"),
    ],
)
def test_machines_and_variables(
    environment: dict[str, str], place: Place, field: str, check: Check
) -> None:
    found = check(environment=environment, place=place)
    assert {(one.level, one.field) for one in found} == {("refuse", field)}


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        ({}, Place(2, None)),
        ({"REPO_WORKERS": "2"}, Place(2, None)),
        ({"REPO_WORKERS": "1-64"}, Place(2, None)),
        ({"REPO_WORKERS": "8", "REPO_EVAL_ACTORS": "8"}, Place(64, 8)),
        ({"REPO_WORKERS": "8", "REPO_USE_GPU": "1"}, Place(None, None)),
        ({"REPO_EVAL_ACTORS": "2"}, Place(2, None)),
        ({"REPOSITORY": "x", "REPO_TEAM": "y", "REPORT": "z"}, Place(2, None)),
        ({"REPO_RUNS": "elsewhere/runs"}, Place(2, None)),
    ],
)
def test_sane_machines_have_no_finding(
    environment: dict[str, str], place: Place, check: Check
) -> None:
    assert check(environment=environment, place=place) == []


def test_a_base_from_scratch_waits_for_the_tokens(check: Check) -> None:
    (found,) = check({"base.needs": "README.md"})
    assert (found.level, found.field) == ("refuse", "base.needs")
    assert check({"base.needs": "data/tokens"}) == []


SHORT = "corpus.generated.short"
SCRATCH: dict[str, tuple[str, Any]] = {
    "moments of nothing": ("base.moments", True),
    "revision of nothing": ("base.revision", "main"),
    "tied, and not": ("base.architecture.tie_word_embeddings", True),
    "a tokenizer's revision": ("tokenizer.revision", "main"),
    "a word for twenty bytes": ("tokenizer.vocab_size", 900_000),
    "all the world's documents": (f"{SHORT}.bytes", 10**14),
    "two documents": (f"{SHORT}.words", [100_000, 100_000]),
    "ten bytes of Python": ("corpus.python.max_bytes", 10),
    "five bytes of a part": (f"{SHORT}.bytes", 5),
    "kind": (f"{SHORT}.kinds", {"poems": 1.0}),
    "no share": (f"{SHORT}.kinds", {"lists": 0.0}),
    "words": (f"{SHORT}.words", [50, 10]),
    "held out": ("corpus.validation_share", 1e-6),
    "embedding": ("base.start.embedding_std", 1e6),
    "direction": ("base.start.shared_direction", 1e9),
}


@pytest.mark.parametrize("name", SCRATCH)
def test_generated_documents_and_first_weights(name: str, check: Check) -> None:
    field, value = SCRATCH[name]
    assert check(profile="tiny") == []
    found = [one for one in check({field: value}, profile="tiny") if one.level == "refuse"]
    assert [one.field for one in found] == [field], found


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


def test_gpus_that_would_stand_idle_are_a_warning(check: Check) -> None:
    (found,) = check(environment={"REPO_USE_GPU": "0"}, place=Place(64, 8))
    assert (found.level, found.field) == ("warn", "REPO_USE_GPU")
    assert check(environment={"REPO_USE_GPU": "1"}, place=Place(64, 8)) == []


def test_bf16_that_the_cores_only_emulate_is_a_warning(
    own: Own, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = {**own, "train.precision": "bf16"}
    assert check(half) == []
    monkeypatch.setattr("stages.training.check.fast_bf16", lambda: False)
    (found,) = check(half)
    assert (found.level, found.field) == ("warn", "train.precision")
    assert "fp32" in found.fix
    assert check(own) == check(half, place=Place(64, 8)) == []


@pytest.mark.parametrize("profile", sorted(profiles()))
def test_every_profile_has_no_finding(
    profile: str, check: Check, tmp_path: Path, project_root: Path
) -> None:
    (tmp_path / "pipeline").symlink_to(project_root / "pipeline")  # lists that profiles name
    if profile == "smollm2-cpu":  # examples/smollm2.py makes its base
        write_model(tmp_path / "smollm2-135m", vocab_size=49152)
    (tmp_path / "longbench").mkdir()
    for task in LONGBENCH:
        (tmp_path / "longbench" / f"{task}.jsonl").write_text(ROW)
    write_model(tmp_path / "smollm2-135m")  # as examples/smollm2.py makes it
    assert check(profile=profile, planning=True) == []


def test_a_base_that_an_example_makes_is_told_so(check: Check) -> None:
    (found,) = check(profile="smollm2-cpu", planning=True)
    assert (found.level, found.field) == ("refuse", "base.source")
    assert "python examples/smollm2.py" in found.fix


@pytest.mark.parametrize("family", ["llama", "qwen3", "olmo2", "repo_llama"])
@pytest.mark.parametrize("window", [512, 2048, 131072])
def test_sane_models_have_no_finding(
    family: str, window: int, own: Own, check: Check, tmp_path: Path
) -> None:
    write_model(tmp_path / "my-model", model_type=family, max_position_embeddings=window)
    assert check(own) == []


def test_a_common_value_is_said_once_where_variants_have_values_of_their_own(
    own: Own, check: Check
) -> None:
    """A variant's training has most values from ``train``; only its own are told under its name."""
    given = {**own, "definitions.repo.train": {"overrides": {"eps": 1e-9}}}
    assert check(given) == []
    (found,) = check({**given, "train.warmup_steps": 15})
    assert found.field == "train.warmup_steps"


def test_what_may_stand_on_the_cluster_is_a_warning_there(own: Own, check: Check) -> None:
    given = {**own, "benchmarks.longbench.path": "/shared/longbench"}
    (here,) = check(given)
    (there,) = check(given, elsewhere=True)
    assert (here.level, there.level) == ("refuse", "warn")
    (there,) = check({**own, "benchmarks.longbench.path": "nowhere"}, elsewhere=True)
    assert there.level == "refuse"  # what is sent is the commit: a relative path is not there


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
    assert check(given) == []


def test_only_the_place_that_the_profiles_expect_may_wait_while_planning(check: Check) -> None:
    given = {"benchmarks.longbench.tasks": ["qmsum"]}
    for path, level in (("longbench", "warn"), ("elsewhere", "refuse")):
        (found,) = check({**given, "benchmarks.longbench.path": path}, planning=True)
        assert found.level == level
    (found,) = check({**given, "benchmarks.longbench.path": "longbench"})
    assert found.level == "refuse"


def test_refusals_are_one_line_each_and_warnings_come_back() -> None:
    soft = warn("train.lr", 3e-3, "very much", "give less")
    assert stop([soft, soft]) == [soft]
    with pytest.raises(UserError) as caught:
        stop([soft, refuse("a.b", "x\ny", "why\nso", "fix"), refuse("c", 1, "no", "fix")])
    lines = str(caught.value).splitlines()
    assert lines == ["a.b is 'x\\ny': why so; fix", "c is 1: no; fix"]


def test_the_extension_has_lengths_and_sources_of_its_own(check: Check) -> None:
    """Growing lengths, each on sources that training need not read; none beyond the window."""

    def tuned(length: int, *names: str) -> dict[str, Any]:
        targets = {name: {"share": 1 / len(names)} for name in names}
        phases = [
            {"length": 512, "share": 0.5, "sources": ["long"]},
            {"length": length, "share": 0.5, "sources": targets},
        ]
        rates = {"lr": 1e-3, "betas": [0.9, 0.95], "eps": 1e-8, "weight_decay": 0.1, "z_loss": 0.0}
        more = {"grad_clip": 1.0, "warmup_steps": 0, "decay_share": 1.0, "precision": "fp32"}
        tokens = {"tokens": 32768, "batch_tokens": length}
        return {"extend.training": {**tokens, "lengths": phases, **rates, **more}}

    assert check(tuned(1024, "medium", "short")) == []
    (found,) = check(tuned(2048, "medium", "short"))
    assert (found.level, found.field) == ("refuse", "extend.training.lengths")
    assert "extended window of 1024 tokens" in found.line
    (found,) = check(tuned(1024, "medium", "nothing"))
    assert (found.level, found.field) == ("refuse", "extend.training.lengths")
