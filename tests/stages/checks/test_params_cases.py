"""Every finding about params, both ways: what is wrong is told with its field."""

from pathlib import Path
from typing import Any

import pytest

from tests.stages.checks.conftest import Check, Own, write_model

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
    "profile that cannot be seen": ({"profile": "a\nb"}, "refuse", "profile"),
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


@pytest.mark.parametrize("name", ["größe (v2)", "me/run:1", "实验", "tiny"])
def test_a_profile_may_have_any_name_that_can_be_seen(name: str, check: Check) -> None:
    assert check({"profile": name}) == []


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


def test_a_common_value_is_said_once_where_variants_have_values_of_their_own(
    own: Own, check: Check
) -> None:
    """A variant's training has most values from ``train``; only its own are told under its name."""
    given = {**own, "definitions.repo.train": {"overrides": {"eps": 1e-9}}}
    assert check(given) == []
    (found,) = check({**given, "train.warmup_steps": 15})
    assert found.field == "train.warmup_steps"


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


TUNED: dict[str, Any] = {
    "tokens": 8192, "batch_tokens": 256, "lengths": [PHASE], "lr": 1e-4, "betas": [0.9, 0.95],
    "eps": 1e-8, "weight_decay": 0.1, "grad_clip": 1.0, "z_loss": 0.0, "warmup_steps": 0,
    "decay_share": 1.0, "precision": "fp32",
}  # fmt: skip
"""A training after the extension."""


@pytest.mark.parametrize("section", ["train", "extend.training"])
@pytest.mark.parametrize(
    ("wanted", "family", "key"),
    [
        ({"maps": True, "attention": ["q", "k"], "from_layer": 10}, "llama", None),
        ({"from_layer": 30}, "llama", "from_layer"),
        ({"attention": []}, "llama", "attention"),
        ({"attention": ["q", "k", "v"]}, "phi3", None),
        ({"attention": ["o"]}, "phi3", None),
        ({"maps": True}, "phi3", "attention"),  # q and k, by default
        ({"attention": ["v"], "from_layer": 30}, "phi3", "attention"),
    ],
)
def test_what_is_trained_is_there_in_both_trainings(
    section: str, wanted: Own, family: str, key: str | None, own: Own, tmp_path: Path, check: Check
) -> None:
    write_model(tmp_path / "my-model", model_type=family, pad_token_id=0)
    given = {**own, "extend.training": dict(TUNED)}
    assert check(given) == []
    found = check({**given, f"{section}.trainable": wanted})
    fields = [f"{section}.trainable.{key}"] if key else []
    assert [(one.level, one.field) for one in found] == [("refuse", field) for field in fields]


@pytest.mark.parametrize(
    ("train", "layers", "level"),
    [
        ({"positions": "repo", "start_layer": "auto"}, 3, "warn"),
        ({"positions": "repo", "start_layer": 1}, 3, "warn"),
        ({"positions": ["rope", "repo"], "start_layer": 0}, 2, "warn"),
        ({"positions": "repo"}, 3, "refuse"),
        ({"positions": "repo", "start_layer": 0}, 3, None),  # another model
    ],
)
def test_two_definitions_of_the_same_layers_are_one_model(
    train: dict[str, Any], layers: int, level: str | None, check: Check
) -> None:
    given = {"train.start_layer": 1, "base.architecture.num_hidden_layers": layers}
    found = check({**given, "variants": ["rope", "repo", "x"], "definitions.x": {"train": train}})
    assert [one.level for one in found if one.field == "variants"] == ([level] if level else [])


def test_all_arms_of_the_paper_go_through_a_toy(check: Check) -> None:
    arms = ["rope", "nope", "r2n1", "n2r1", "repo"]
    every = {f"definitions.{name}": {"train": {}} for name in arms}
    three = {"base.architecture.num_hidden_layers": 3}
    assert check({"variants": arms, **every, **three}) == []
