"""A model card made from records: what a trained model is, what was measured, what it is not.

Every sentence comes from a file of the run: config.json of the model, dvc.lock (the params that made
it; params.yaml where DVC did not run), loss.csv, metrics.json. What no record says, the card says is
not recorded.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from stages.common import trained
from stages.common.errors import UserError
from stages.common.files import read_json, sha256
from stages.common.reading import read_yaml
from stages.evaluate.models import extension, settings, weights_sha256
from stages.report.inputs import Point, read_curve

EXTENDED = "-extended"
Z = 1.96
"""Standard errors to either side of a score: a 95 % interval."""
UNKNOWN = "not recorded"


class Records(NamedTuple):
    """What the run left of one model; a part that is not there is empty or none."""

    name: str
    """Of the model's folder: ``repo-42``, ``repo-42-extended``."""
    config: Mapping[str, Any]
    params: Mapping[str, Any]
    """Sections ``corpus``, ``base``, ``train``, ``extend`` as they made the model."""
    params_from: str
    curve: list[Point]
    metrics: Mapping[str, Any]
    hashes: list[tuple[str, str]]

    @property
    def base_on_hub(self) -> str | None:
        """The base's hub id; none: made from scratch, a local folder, or not recorded."""
        source = self.params.get("base", {}).get("source")
        local = source in (None, "scratch") or str(source).startswith((".", "/", "~"))
        return source if not local and str(source).count("/") == 1 else None


def read(folder: Path) -> Records:
    """Records of ``<run>/models/<item>``; ``UserError`` where other weights made them."""
    folder = folder.absolute()
    config, name = settings(folder), folder.name
    if "positions" not in config:
        raise UserError(
            f"{folder}/config.json names no positions: not a model that this project trained; "
            "give models/<variant>-<seed>, or its -extended folder"
        )
    if name == "base":
        raise UserError(f"{folder} is the base, as it was taken over; give models/<variant>-<seed>")
    run, item = folder.parent.parent, name.removesuffix(EXTENDED)
    metrics_file, curve_file = (run / "results" / item / f for f in ("metrics.json", "loss.csv"))
    metrics = read_json(metrics_file) if metrics_file.is_file() else {}
    measured = folder.parent / item
    if metrics and not (measured / "config.json").is_file():
        raise UserError(
            f"{measured}: no such model, so whether {metrics_file} is of these weights cannot be "
            f"told; run dvc pull {measured.relative_to(run)}"
        )
    if metrics and metrics["model"] != weights_sha256(measured):
        raise UserError(
            f"{metrics_file} was measured on other weights than {measured} has; "
            f"run the stage evaluate@{item}"
        )
    extends = name != item and not config.get("extension_steps")
    if metrics and extends and metrics["model"] != weights_sha256(folder):
        raise UserError(f"{folder} has other weights than {measured}; run the stage extend@{item}")
    params, source = _params(run, item)
    weights = sorted(folder.glob("*.safetensors"))
    return Records(
        name,
        config,
        params,
        source,
        read_curve(curve_file) if curve_file.is_file() else [],
        metrics,
        [(file.name, sha256(file)) for file in weights],
    )


def _params(run: Path, item: str) -> tuple[Mapping[str, Any], str]:
    """Sections of params as DVC recorded them stage by stage, else as they stand now."""
    if (run / "dvc.lock").is_file():
        stages = (read_yaml(run / "dvc.lock") or {}).get("stages", {})
        if f"train@{item}" in stages:
            found: dict[str, Any] = {}
            for stage in ("corpus", "base", f"train@{item}", f"extend@{item}"):
                found |= stages.get(stage, {}).get("params", {}).get("params.yaml", {})
            overrides = found.get(f"definitions.{item.rpartition('-')[0]}.train", {})
            found["train"] = {**found.get("train", {}), **(overrides.get("overrides") or {})}
            return found, "dvc.lock"
    if (run / "params.yaml").is_file():
        found = dict(read_yaml(run / "params.yaml") or {})
        return found, "params.yaml as it stands now (no dvc.lock tells which made the model)"
    return {}, UNKNOWN


def write(records: Records, licence: str | None) -> str:
    """The card: the hub's metadata, then Markdown."""
    parts = [_metadata(records, licence), f"# {records.name}", "", *_what(records)]
    for title, lines in (
        ("Use", _use()),
        ("How it was made", _making(records)),
        ("Scores", _scores(records)),
        ("Validation loss", _losses(records)),
        ("Limits", _limits(records)),
        ("Licence", _licence(records, licence)),
        ("Records", _hashes(records)),
    ):
        body = list(lines)
        if body:
            parts += ["", f"## {title}", *body]
    return "\n".join(parts) + "\n"


def _metadata(records: Records, licence: str | None) -> str:
    from huggingface_hub import ModelCardData

    corpus = records.params.get("corpus", {})
    data = ModelCardData(
        license=licence,
        base_model=records.base_on_hub,
        datasets=[corpus["dataset"]] if corpus.get("dataset") else None,
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["repo", "learned-positions", "custom_code"],
    )
    return f"---\n{data.to_yaml()}\n---"


def _what(records: Records) -> Iterator[str]:
    kinds = list(records.config["positions"])
    counts = ", ".join(f"{kinds.count(kind)} x {kind}" for kind in dict.fromkeys(kinds))
    yield (
        f"A causal language model of {len(kinds)} layers with positions {counts}. In a `repo` layer "
        "the position of a token is a real number that the layer computes, for each head "
        "([arXiv 2512.14391](https://arxiv.org/abs/2512.14391)); `rope` counts tokens, `nope` has none."
    )


def _use() -> list[str]:
    return [
        "```python",
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        'name = "..."  # this folder, or its hub id',
        "model = AutoModelForCausalLM.from_pretrained(name, trust_remote_code=True)",
        "tokenizer = AutoTokenizer.from_pretrained(name)",
        "```",
    ]


def _making(records: Records) -> Iterator[str]:
    base, corpus = records.params.get("base", {}), records.params.get("corpus", {})
    train = records.params.get("train", {})
    source = base.get("source", UNKNOWN)
    if source == "scratch":
        tokens = (base.get("training") or {}).get("tokens")
        text = f"trained from scratch with RoPE on {_count(tokens)} tokens"
    else:
        text = _name(source) + (f" at {base['revision']}" if base.get("revision") else "")
    yield f"- Base: {text}."
    data = corpus.get("dataset") or corpus.get("path") or corpus.get("source", UNKNOWN)
    generated = " and generated documents" if corpus.get("generated") else ""
    config = f", configuration {corpus['config']}" if corpus.get("config") else ""
    yield f"- Data: {_name(data)}{config}{generated}."
    for stretch in train.get("lengths", []):
        sources = stretch.get("sources")
        named = f", from {', '.join(sources)}" if sources else ""
        length, share = stretch["length"], stretch["share"]
        yield f"- Sequences of {length:,} tokens for {share:.0%} of the run{named}."
    if records.curve:
        last = records.curve[-1]
        done = f"{last.step:,} steps, {last.tokens:,} tokens"
        yield f"- Trained for {done}; last loss {last.loss:.4f} nats."
    else:
        yield f"- Steps: {UNKNOWN}; the params ask for {_count(train.get('tokens'))} tokens."
    told = [
        f"{k} {train[k]}" for k in ("lr", "batch_tokens", "weight_decay", "precision") if k in train
    ]
    told.append(f"seed {records.metrics.get('seed', UNKNOWN)}")
    yield f"- Settings: {', '.join(told)}."
    yield f"- Params from {records.params_from}."


def _name(source: Any) -> str:
    """A source without a path of the machine: the folder's own name."""
    text = str(source)
    return f"a local copy named {Path(text).name}" if text.startswith((".", "/", "~")) else text


def _count(tokens: Any) -> str:
    return f"{tokens:,}" if isinstance(tokens, int) else UNKNOWN


def _scores(records: Records) -> Iterator[str]:
    if not records.metrics:
        yield f"No scores: {UNKNOWN}."
        return
    yield "Points of 100 with the 95 % interval of sampling; n: answers behind a number."
    base = records.metrics.get("base", {})
    for suite, tasks in records.metrics["cells"].items():
        before = base.get("cells", {}).get(suite, {})
        yield from ("", f"### {suite}", "| task | tokens | score | base | n | YaRN |")
        yield "|---|--:|--:|--:|--:|--:|"
        for task, lengths in tasks.items():
            for length in sorted(lengths, key=int):
                cell, was = lengths[length], before.get(task, {}).get(length)
                score, old = interval(cell, "score", 1), interval(was, "score", 1)
                yield (
                    f"| {task} | {int(length):,} | {score} | {old} | {cell['n']} "
                    f"| {cell['yarn_factor']:g} |"
                )
        for length, mean in sorted(
            records.metrics.get("suites", {}).get(suite, {}).get("mean", {}).items(), key=_by_length
        ):
            if mean:
                score = interval(mean, "score", 1)
                yield f"| **mean of {mean['tasks']} tasks** | {int(length):,} | {score} |  |  |  |"


def _by_length(entry: tuple[str, Any]) -> int:
    return int(entry[0])


def interval(cell: Mapping[str, Any] | None, figure: str, digits: int) -> str:
    """``43.0 [33.3, 52.7]``; without a scatter the figure alone; a dash for no cell."""
    if not cell or cell.get(figure) is None:
        return "–"
    value, error = cell[figure], cell.get("stderr")
    if not error:  # a scatter of nil over a few answers is no certainty
        return f"{value:.{digits}f}"
    low, high = value - Z * error, value + Z * error
    if figure == "score":
        low, high = max(low, 0.0), min(high, 100.0)
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def _losses(records: Records) -> Iterator[str]:
    sources = records.metrics.get("validation", {})
    before = records.metrics.get("base", {}).get("validation", {})
    if not sources:
        return
    yield "Nats a token on held-out text, with the 95 % interval; the base on the same windows."
    yield from ("", "| text | tokens | loss | base | windows |", "|---|--:|--:|--:|--:|")
    for source, lengths in sources.items():
        for length in sorted(lengths, key=int):
            cell, was = lengths[length], before.get(source, {}).get(length)
            yield (
                f"| {source} | {int(length):,} | {interval(cell, 'loss', 4)} "
                f"| {interval(was, 'loss', 4)} | {cell['windows']} |"
            )


def _limits(records: Records) -> Iterator[str]:
    length = trained.of_config(records.config)
    yield f"- Beyond {length.said()} the model has seen nothing in training."
    rope = extension(records.config)
    if rope:
        steps = int(records.config.get("extension_steps") or 0)
        how = f"fine-tuned for {steps:,} steps" if steps else "without further training"
        yield f"- This folder reads {rope['factor']:g} times that by YaRN, {how}."
    elif records.metrics and any(int(n) > length.length for n in _lengths(records.metrics)):
        yield "- Scores at longer lengths are of the extended model (YaRN), not of this folder."
    if "repo" in records.config["positions"]:
        yield "- Engines that know only integer positions cannot run it: the code here is needed."
    if records.params.get("corpus", {}).get("generated"):
        yield "- Much of the training text is generated, of the kind that the needle tests ask for."
    yield "- This is one training: intervals are of sampling, and say nothing about another seed."
    yield "- No safety training was added: what the base does wrong, this model does too."


def _lengths(metrics: Mapping[str, Any]) -> set[str]:
    cells = (lengths for tasks in metrics["cells"].values() for lengths in tasks.values())
    return {length for lengths in cells for length in lengths}


def _licence(records: Records, licence: str | None) -> Iterator[str]:
    yield licence or f"{UNKNOWN.capitalize()}. Ask before you use the weights."
    if records.base_on_hub:
        yield f"The licence of the base, {records.base_on_hub}, binds these weights as well."


def _hashes(records: Records) -> Iterator[str]:
    yield from ("| file | SHA-256 |", "|---|---|")
    for name, value in records.hashes:
        yield f"| {name} | `{value}` |"
