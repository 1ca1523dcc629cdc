"""The evaluation: windows that are long enough, and actors that can start."""

from collections.abc import Iterator

from stages.common.errors import UserError
from stages.common.findings import Finding, refuse, warn
from stages.common.seen import Seen
from stages.evaluate import vllm_engine


def check(seen: Seen) -> Iterator[Finding]:
    """Findings of ``evaluate``."""
    tokens, lengths = seen.params.evaluate.perplexity_tokens, seen.params.benchmarks.lengths
    if tokens < lengths[0]:
        yield refuse(
            "evaluate.perplexity_tokens",
            tokens,
            f"not one window of the shortest length, {lengths[0]} tokens",
            f"give {16 * lengths[-1]}",
        )
    elif tokens < lengths[-1]:
        yield warn(
            "evaluate.perplexity_tokens",
            tokens,
            f"no window of {lengths[-1]} tokens: there will be no loss at that length",
            f"give {lengths[-1]} at least",
        )
    vllm = seen.params.evaluate.engine == vllm_engine.ENGINE
    if vllm and not seen.elsewhere and seen.place.cores is not None:
        try:
            vllm_engine.python(seen.environment)
        except UserError as error:
            why, _, fix = str(error).partition("; ")
            yield refuse("evaluate.engine", vllm_engine.ENGINE, why, f"{fix}, or set it to own")
    text = seen.environment.get("REPO_EVAL_ACTORS", "")
    actors = int(text) if text.isdecimal() else 1
    for name in seen.params.variants:
        scales = [one.length for one in seen.params.definitions[name].evaluate.softmax_scale]
        field = f"definitions.{name}.evaluate.softmax_scale"
        if len(set(scales)) < len(scales):
            yield refuse(field, scales, "one length twice", "drop one")
        if scales and vllm:
            yield refuse(
                field,
                scales,
                "vLLM takes no factor on the attention logits",
                "drop it, or set evaluate.engine to own",
            )
    gpus, cores = seen.place.gpus, seen.place.cores
    if gpus and actors > gpus and seen.environment.get("REPO_USE_GPU") != "0":
        yield refuse(
            "REPO_EVAL_ACTORS", actors, f"there are {gpus} GPUs, one for each actor", f"give {gpus}"
        )
    elif not gpus and cores is not None and actors > cores:
        yield refuse(
            "REPO_EVAL_ACTORS", actors, f"there are {cores} cores, one for each", f"give {cores}"
        )
