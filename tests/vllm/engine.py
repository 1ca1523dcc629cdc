"""Runs in vLLM's own environment, without this project: `python engine.py REQUEST.json ANSWER.json`.

The request has `folders` (name to path and dtype), `prompts` (lists of token ids) and `tokens` (how
many to make). The answer has, by name: `tokens` and `logprobs` of each prompt, and `positions`:
by layer, z of every token that passed, [T][K], in the order of the engine's steps; or `error`.
"""

import gc
import json
import os
import sys
from collections import defaultdict
from typing import Any

os.environ.update(
    VLLM_ENABLE_V1_MULTIPROCESSING="0",  # the engine's modules are in this process, to be probed
    VLLM_CPU_KVCACHE_SPACE="1",
    VLLM_CPU_OMP_THREADS_BIND="nobind",
    VLLM_NO_USAGE_STATS="1",
    HF_HUB_OFFLINE="1",
)


def probe(model: Any, found: dict[int, list[Any]]) -> None:
    """Keep what comes out of every layer's `PositionTap`."""
    for name, module in model.named_modules():
        if type(module).__name__ == "PositionTap":
            layer = int(name.split(".layers.")[1].split(".")[0])

            def keep(tap: Any, args: Any, z_BTK: Any, layer: int = layer) -> None:
                found[layer].extend(z_BTK[0].float().tolist())

            module.register_forward_hook(keep)


def run(folder: str, dtype: str, request: dict[str, Any]) -> dict[str, Any]:
    """One folder through one engine."""
    from vllm import LLM, SamplingParams

    llm = LLM(
        folder,
        skip_tokenizer_init=True,
        trust_remote_code=True,
        model_impl="transformers",
        dtype=dtype,
        enforce_eager=True,
        enable_prefix_caching=False,
        max_model_len=64,
        max_num_seqs=4,
        seed=0,
        disable_log_stats=True,
    )
    found: dict[int, list[Any]] = defaultdict(list)
    llm.apply_model(lambda model: probe(model, found))
    how = SamplingParams(
        temperature=0.0, max_tokens=request["tokens"], ignore_eos=True, detokenize=False, logprobs=1
    )
    prompts: Any = [{"prompt_token_ids": ids} for ids in request["prompts"]]
    made = [output.outputs[0] for output in llm.generate(prompts, how, use_tqdm=False)]
    return {
        "tokens": [list(m.token_ids) for m in made],
        "logprobs": [
            [step[token].logprob for token, step in zip(m.token_ids, m.logprobs or [], strict=True)]
            for m in made
        ],
        "positions": found,
    }


def main() -> None:
    """Every folder of the request; what an engine refuses is its answer."""
    from vllm.distributed import cleanup_dist_env_and_memory

    with open(sys.argv[1], encoding="utf-8") as file:
        request = json.load(file)
    answer: dict[str, Any] = {}
    for name, (folder, dtype) in request["folders"].items():
        try:
            answer[name] = run(folder, dtype, request)
        except Exception as error:
            answer[name] = {"error": f"{type(error).__name__}: {error}"}
        gc.collect()
        cleanup_dist_env_and_memory()
        with open(sys.argv[2], "w", encoding="utf-8") as file:
            json.dump(answer, file)
        print(name, answer[name].get("error", "ran"), flush=True)


if __name__ == "__main__":
    main()
