"""A training's params against the model, the documents and the machine."""

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import suppress

from stages.common import variables
from stages.common.cpu import EMULATED, fast_bf16
from stages.common.errors import UserError
from stages.common.findings import Finding, refuse, warn
from stages.common.seen import Seen
from stages.corpus.cost import bytes_per_token, ready_tokens, source_tokens, text_bytes
from stages.training.params import TrainingParams
from stages.training.realised import MANY_PASSES, expected

LONGEST_WARMUP = 0.5
"""Of the steps: beyond, the learning rate is hardly ever what was asked for."""
ABSURD_DECAY = 0.01
"""Of a weight, in one step: the paper's decay takes 7e-6."""
TOO_MANY_PASSES = 100.0
"""A mistake in a number."""
FUSED, FUSED_PARTS = ("phi3",), {"q", "k", "v"}
"""Families with one matrix for three projections; a test holds them equal to ``family_facts``."""


def check(seen: Seen, field: str, params: TrainingParams, window: int | None) -> Iterator[Finding]:
    """Findings of the training at ``field``; ``window``: tokens that the model can read."""
    longest = params.longest
    if window is not None and longest > window:
        yield refuse(
            f"{field}.lengths",
            longest,
            f"beyond the model's window of {window} tokens (max_position_embeddings)",
            f"train at {window} at most",
        )
    if params.warmup_steps > LONGEST_WARMUP * params.steps > 0:
        yield refuse(
            f"{field}.warmup_steps",
            params.warmup_steps,
            f"the run has {params.steps} steps, so most of them would be warm-up",
            f"give {params.steps // 10}, or raise tokens",
        )
    for number, phase in enumerate(params.lengths):
        if params.steps_of(phase) < 1:
            yield refuse(
                f"{field}.lengths.{number}.share",
                phase.share,
                f"not one step of {params.batch_of(phase):,} tokens",
                "raise it, or leave the phase out",
            )
    yield from _optimizer(field, params)
    yield from _sources(seen, field, params)
    if not _unread(seen):
        told = list(_passes(seen, field, params, longest))
        yield from told
        for one in _of_sources(seen, field, params):
            if one.level == "refuse" or not told:
                yield one
    yield from _machine(seen, params)
    yield from _execution(seen, params)
    yield from _precision(seen, field, params)


def _optimizer(field: str, params: TrainingParams) -> Iterator[Finding]:
    """Numbers that make sense alone and none together."""
    if params.grad_clip <= params.eps:
        yield refuse(
            f"{field}.grad_clip",
            params.grad_clip,
            f"every gradient would vanish beside eps {params.eps:g}",
            "the paper's is 1",
        )
    if params.lr * params.weight_decay >= ABSURD_DECAY:
        yield refuse(
            f"{field}.weight_decay",
            params.weight_decay,
            f"each step would take {params.lr * params.weight_decay:.0%} off every weight",
            "the paper's is 0.1",
        )
    first, second = params.betas
    if first**2 >= second:
        yield refuse(
            f"{field}.betas",
            list(params.betas),
            "Adam does not converge where the first squared is not below the second",
            "the paper's are [0.9, 0.95]",
        )
    if params.repetition is not None:
        asked, longest = params.repetition, params.longest
        if asked.max_period * 2 > longest:
            yield refuse(
                f"{field}.repetition.max_period",
                asked.max_period,
                f"a sequence of {longest} tokens holds no such piece twice",
                "OLMo's is 13",
            )
        elif asked.max_count > longest:
            yield refuse(
                f"{field}.repetition.max_count",
                asked.max_count,
                f"a sequence has {longest} tokens",
                "OLMo's is 32",
            )
    frozen_maps = params.trainable != "all" and not params.trainable.maps
    if frozen_maps and params.map_lr is not None:
        yield refuse(
            f"{field}.map_lr", params.map_lr, "trainable.maps is false", "drop one of the two"
        )


def layers(seen: Seen) -> int | None:
    """Depth of the base, where it is known."""
    shape = seen.params.base.architecture
    scratch = seen.params.base.source == "scratch"
    return shape.num_hidden_layers if scratch and shape else seen.base.layers


def trained(
    seen: Seen, field: str, params: TrainingParams, variants: Sequence[str], depth: int
) -> Iterator[Finding]:
    """Something to train in every one of ``variants``, where not everything is."""
    wanted = params.trainable
    if wanted == "all":
        return
    first, family = wanted.from_layer, seen.base.shape.family if seen.base.shape else ""
    if family in FUSED and 0 < len(FUSED_PARTS & set(wanted.attention)) < len(FUSED_PARTS):
        yield refuse(
            f"{field}.trainable.attention",
            list(wanted.attention),
            f"{family} holds q, k and v in one matrix",
            "name all three or none of them",
        )
    elif first >= depth:
        yield refuse(
            f"{field}.trainable.from_layer",
            first,
            f"the model has {depth} layers: nothing would be trained",
            f"give {depth - 1} at most",
        )
    elif not wanted.attention:
        for name in variants:
            maps = True
            with suppress(UserError):  # told by the positions
                maps = "repo" in seen.params.positions(name, depth)[first:]
            if not maps:
                yield refuse(
                    f"{field}.trainable.attention",
                    [],
                    f"variant {name!r} has no position maps from layer {first} on: nothing would be "
                    "trained",
                    "name projections, e.g. [q, k]",
                )
                return


def _sources(seen: Seen, field: str, params: TrainingParams) -> Iterator[Finding]:
    for number, phase in enumerate(params.lengths):
        names = list(phase.sources) if isinstance(phase.sources, tuple) else None
        if names is not None and (not names or len(set(names)) < len(names)):
            yield refuse(
                f"{field}.lengths.{number}.sources",
                names,
                "one source twice" if names else "no source at all",
                "name each once, or leave the key out for all of them",
            )
    there = sources(seen)
    first = seen.params.base.training if field != "base.training" else None
    told = _asked(first) if first is not None else ()  # with the training before
    if unknown := [name for name in _asked(params) if name not in (*there, *told)]:
        yield refuse(
            f"{field}.lengths",
            ", ".join(unknown),
            "no source of documents of that name",
            f"there are {', '.join(there)}",
        )


def _asked(params: TrainingParams) -> list[str]:
    return list(dict.fromkeys(name for phase in params.lengths for name in phase.sources or ()))


def sources(seen: Seen) -> tuple[str, ...]:
    """Names of the sources of documents, as training phases ask for them."""
    return seen.params.corpus.names


def _unread(seen: Seen) -> bool:
    """Whether documents or token files cannot be read: they have no size, and that was said."""
    keys = (".path", ".files", ".text_field")
    said = seen.found.get("corpus", ())
    return any(one.level == "refuse" and one.field.endswith(keys) for one in said)


def _passes(seen: Seen, field: str, params: TrainingParams, longest: int) -> Iterator[Finding]:
    """Tokens wanted over tokens there; estimated from bytes, so only far misses are said."""
    size = text_bytes(seen.params, seen.root)
    ready = ready_tokens(seen.params, seen.root)
    if size is None or not size + ready:
        return  # not known, or the corpus's own check says that there is nothing
    each = bytes_per_token(seen.params, (seen.base.config or {}).get("vocab_size"))
    there = (size / each + ready) * (1.0 - seen.params.corpus.validation_share)
    # A token is a byte at the least: what is refused is refused by any tokenizer.
    if size + ready < longest:
        yield refuse(
            f"{field}.lengths",
            longest,
            f"all documents have {size:,.0f} bytes and {ready:,} ready tokens, less than one sequence",
            "give more text, or train at a shorter length",
        )
        return
    passes = params.tokens / max(there, 1.0)
    if passes > MANY_PASSES:
        level = refuse if passes > TOO_MANY_PASSES else warn
        yield level(
            f"{field}.tokens",
            params.tokens,
            f"about {passes:,.0f} passes over the {there:,.0f} tokens of the documents",
            f"give more text, or take at most {there * MANY_PASSES:,.0f} tokens",
        )


def _of_sources(seen: Seen, field: str, params: TrainingParams) -> Iterator[Finding]:
    """Passes over each source whose size is known before anything is made."""
    there = source_tokens(seen.params, seen.root)
    if any(name not in there for phase in params.lengths for name in phase.sources or ()):
        return  # named already
    for name, part in expected(params, there).items():
        most = _most_passes(params, name)
        over = most is not None and part.passes is not None and part.passes > most
        if part.passes is None or not (part.many or over):
            continue
        # A size that is estimated from bytes may be wrong by so much.
        exact = 1.01 if name in seen.params.corpus.ready else 4.0
        refused = most is not None and part.passes > most * exact
        yield (refuse if refused else warn)(
            f"{field}.lengths",
            f"{name}: {part.share:.1%}",
            f"{part.passes:,.1f} passes over its {there[name] or 0:,.0f} tokens"
            + (f", max_passes is {most:g}" if most is not None else ""),
            "lower its target, or give more text",
        )


def _most_passes(params: TrainingParams, name: str) -> float | None:
    found = [
        phase.sources[name].max_passes
        for phase in params.lengths
        if isinstance(phase.sources, dict) and name in phase.sources
    ]
    return min((most for most in found if most is not None), default=None)


def _without_gpu(seen: Seen) -> bool:
    return seen.environment.get("REPO_USE_GPU") == "0" or (
        seen.place.cores is not None and not seen.place.gpus
    )


def _precision(seen: Seen, field: str, params: TrainingParams) -> Iterator[Finding]:
    """An hour that would become two days."""
    here = not seen.elsewhere and not seen.planning  # a plan's hours and its machine say it
    if here and params.precision == "bf16" and _without_gpu(seen) and not fast_bf16():
        yield warn(
            f"{field}.precision",
            "bf16",
            f"the cores of this machine only emulate it, about {EMULATED} times slower than fp32",
            f"{field}.precision=fp32, or a machine with a GPU or newer cores",
        )


def _execution(seen: Seen, params: TrainingParams) -> Iterator[Finding]:
    """Settings that the engine refuses, which is built after all data are made."""
    environment, muon = seen.environment, params.optimizer == "muon"
    zero = environment.get("REPO_ZERO", "")
    if zero in ("1", "2", "3") and muon:
        yield refuse("REPO_ZERO", zero, "optimizer 'muon' needs 0", "unset it")
    if zero == "0" and params.precision != "fp32":
        yield refuse("REPO_ZERO", zero, "precision 'bf16' needs 1, 2 or 3", "unset it")
    if environment.get("REPO_OFFLOAD") == "1" and (muon or zero == "0"):
        yield refuse("REPO_OFFLOAD", "1", "it needs a ZeRO stage of 1, 2 or 3", "unset it")
    no_gpu = _without_gpu(seen)
    attention = environment.get("REPO_ATTENTION", "")
    if attention in ("cudnn", "flash"):
        if no_gpu:
            yield refuse("REPO_ATTENTION", attention, "its kernels need a GPU", "unset it")
        elif params.precision != "bf16":
            yield refuse("REPO_ATTENTION", attention, "it needs precision 'bf16'", "unset it")
    if environment.get("REPO_LOSS") == "liger" and no_gpu:
        yield refuse("REPO_LOSS", "liger", "its kernels need a GPU", "unset it")
    if seen.elsewhere:
        return  # what is installed there cannot be seen
    for name, package, wanted in (
        ("REPO_TENSORBOARD", "tensorboard", environment.get("REPO_TENSORBOARD") == "1"),
        ("REPO_WANDB", "wandb", bool(environment.get("REPO_WANDB"))),
        ("REPO_LOSS", "liger_kernel", environment.get("REPO_LOSS") == "liger" and not no_gpu),
    ):
        if wanted and importlib.util.find_spec(package) is None:
            yield refuse(
                name, environment[name], f"{package} is not installed", "install it, or unset it"
            )


def _machine(seen: Seen, params: TrainingParams) -> Iterator[Finding]:
    """Workers that will never start: Ray would wait for them for ever."""
    environment = seen.environment
    text = environment.get("REPO_WORKERS", "")
    low = text.partition("-")[0]
    use_gpu = environment.get("REPO_USE_GPU", "")
    gpus, cores = seen.place.gpus, seen.place.cores
    if use_gpu == "1" and gpus == 0:
        yield refuse(
            "REPO_USE_GPU", "1", "there is no GPU", "unset it, or name a machine with GPUs"
        )
    if use_gpu == "0" and gpus:
        yield warn("REPO_USE_GPU", "0", f"the {gpus} GPUs there would stand idle", "unset it")
    if not low or variables.table()["REPO_WORKERS"].wrong(text):
        return
    workers = int(low)
    if gpus and use_gpu != "0" and workers > gpus:
        yield refuse(
            "REPO_WORKERS", text, f"there are {gpus} GPUs, one for each worker", f"give {gpus}"
        )
    elif not gpus and cores is not None and workers > cores:
        yield refuse(
            "REPO_WORKERS", text, f"there are {cores} cores, one for each worker", f"give {cores}"
        )
    elif "-" not in text:
        for phase in params.lengths:
            rows = params.batch_of(phase) // phase.length
            if rows % workers:
                yield refuse(
                    "REPO_WORKERS",
                    text,
                    f"it does not divide the {rows} sequences of a batch "
                    f"(batch_tokens / length {phase.length})",
                    "take a divisor",
                )
                return
