"""vLLM as the engine: from token ids to token ids, ``repo-pipeline evaluate MODEL --engine vllm``.

An extra in an environment of its own, for vLLM pins torch and transformers (EVALUATION.md section 4).
Checkpoints with learned positions go through vLLM's Transformers backend. Its kernels are others:
tokens may differ from this project's own engine where two are almost as probable, so results of the
two are never mixed (the engine is part of a shard's key).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stages.evaluate.ends import Ends
from stages.evaluate.ends import ids as end_ids
from stages.evaluate.models import window

ENGINE = "vllm"
_MEMORY = 0.9
"""Share of the GPU's memory that vLLM takes, its default; an actor has a GPU to itself."""
_HOST_MEMORY = 0.4
"""The same of a host without a GPU, where it is taken at once and others are at work."""


def model_arguments(
    folder: str, tokenizer: str, config: Mapping[str, Any], trusted: bool, dtype: str, on_gpu: bool
) -> dict[str, Any]:
    """Of ``vllm.LLM``: its window is the model's, so that one instance reads every length.

    ``dtype``: as our own engine would take it there, ``bfloat16`` or ``float32``.
    """
    own = str(config.get("model_type")).startswith("repo_")
    return {
        "model": folder,
        "tokenizer": tokenizer,
        "max_model_len": window(config),
        "dtype": dtype,
        "seed": 0,
        "gpu_memory_utilization": _MEMORY if on_gpu else _HOST_MEMORY,
        "enable_prefix_caching": True,
        "model_impl": "transformers" if own else "auto",
        # A RePo checkpoint carries the code of this project's own package.
        "trust_remote_code": own or trusted,
    }


def sampling_arguments(max_new_tokens: int, eos: Ends) -> dict[str, Any]:
    """Of ``vllm.SamplingParams``: greedy, ended by our own ends and nothing else."""
    return {
        "temperature": 0.0,
        "max_tokens": max_new_tokens,
        "stop_token_ids": list(end_ids(eos)),
        "ignore_eos": True,
        "detokenize": False,
    }


def prompts(ids: Sequence[Sequence[int]]) -> list[dict[str, list[int]]]:
    """Token ids as vLLM takes them."""
    return [{"prompt_token_ids": list(prompt)} for prompt in ids]


def generate(
    model: Any,
    ids: Sequence[Sequence[int]],
    max_new_tokens: int,
    eos: Ends,
    stop: Callable[[int, list[int]], bool] | None = None,
    marks: Sequence[int | None] | None = None,
) -> list[Any]:
    """As ``engine.generate``, by a ``vllm.LLM``; what ``stop`` would have ended is cut there.

    vLLM shows no positions, so ``marks`` stay unanswered.
    """
    from vllm import SamplingParams

    from stages.evaluate.engine import completion

    how = SamplingParams(**sampling_arguments(max_new_tokens, eos))
    outputs = model.generate(prompts(ids), how, use_tqdm=False)
    return [
        completion(row, list(output.outputs[0].token_ids), eos, stop)
        for row, output in enumerate(outputs)
    ]
