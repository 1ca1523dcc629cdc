"""Where shards are computed: an actor that holds a model.

torch and transformers are imported in the methods: the driver, which names this class only, starts
without their 5 seconds.
"""

import gc
import os
import time
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from stages.common.cpu import TOY_WIDTH, fast_bf16
from stages.common.files import read_jsonl
from stages.common.tokens import SPLIT, TokenStore
from stages.evaluate import generate_batch, vllm_engine
from stages.evaluate.models import settings
from stages.evaluate.shards import OWN_ENGINE, STATIC_ENGINE, Model, Shard

DECODERS = {
    "own": OWN_ENGINE,
    "static": "generate, padded on the left",
    "alone": "generate, prompt by prompt",
}
"""How a way of ``stages.evaluate.suited`` is called in results."""
_READ = ("REPO_TRUST_REMOTE_CODE", vllm_engine.VARIABLE)


class Worker:
    """Computes shards one at a time; keeps the last model and file, for shards come in order."""

    def __init__(
        self,
        root: Path,
        benchmarks: Path,
        tokens: Path,
        tokenizer: Path,
        token_files: Path | None = None,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """``root`` is where model folders are relative to; the others hold what they are named for.

        ``settings``: what ``carried`` gave the driver, whose environment another machine has not.
        """
        import torch

        os.environ.update(settings)

        from stages.common.encoder import Encoder

        if not torch.cuda.is_available():
            # Sums depend on the number of threads: one gives equal bytes on every machine.
            torch.set_num_threads(1)
        self._root = root
        self._held: tuple[Any, Any] = (None, None)
        self._samples = lru_cache(maxsize=1)(lambda file: list(read_jsonl(benchmarks / file)))
        self._tokens, self._token_files = tokens, token_files
        self._encoder = Encoder(tokenizer)
        self._opening = self._encoder.opening()

    def run(self, shard: Shard) -> list[Any]:
        """Results in the order of the shard's rows, ready for JSON."""
        from stages.evaluate import engine

        # In the worker's log: what was begun, whether or not it was stored (kill_evaluate.py reads it).
        print(f"shard {shard.key}: {len(shard.rows)} rows", flush=True)
        by = {
            OWN_ENGINE: engine.generate,
            STATIC_ENGINE: engine.by_generate,
            generate_batch.ENGINE: generate_batch.generate,
        }
        if shard.engine == vllm_engine.ENGINE:
            vllm = self._loaded(_load_vllm, shard.model)
            found = self._continue(shard, vllm.generate)
            how = _how(vllm_engine.ENGINE, "", vllm.dtype, vllm.device)
            return [row | how | {"engine_versions": vllm.versions} for row in found]
        model = self._loaded(_load, shard.model)
        if shard.kind == "windows":
            stream = TokenStore(self._tokens, self._token_files).stream(SPLIT, [shard.source])
            windows = [stream.read(row, shard.length).tolist() for row in shard.rows]
            return engine.window_rows(model, windows)
        found = self._continue(shard, partial(by[shard.engine], model))
        if shard.engine not in (OWN_ENGINE, STATIC_ENGINE):
            return found
        name, reason = engine.way(model)
        if shard.engine == STATIC_ENGINE and name == "own":
            name, reason = "static", "asked for"
        elif reason:
            print(f"decoded by {DECODERS[name]}: {reason}", flush=True)
        dtype = str(model.dtype).removeprefix("torch.")
        return [row | _how(DECODERS[name], reason, dtype, model.device) for row in found]

    def _loaded(self, load: Callable[[Path, Model], Any], model: Model) -> Any:
        """The model as ``load`` gives it; what was held before goes first: both may not fit."""
        import torch

        if self._held[0] != (load, model):
            if isinstance(self._held[1], vllm_engine.Engine):
                self._held[1].close()
            self._held = (None, None)
            gc.collect()
            torch.cuda.empty_cache()
            self._held = ((load, model), load(self._root, model))
        return self._held[1]

    def _continue(self, shard: Shard, generate: Callable[..., list[Any]]) -> list[dict[str, Any]]:
        """Completions by an engine, ``generate(prompts, budget, eos, stop, marks)``."""
        from stages.evaluate.answers import stopper

        everything = self._samples(shard.source)
        samples = [everything[row] for row in shard.rows]
        started = time.monotonic()
        completions = generate(
            [self._before(sample) + sample["prompt_ids"] for sample in samples],
            shard.max_new_tokens,
            shard.eos_ids,
            stopper(samples, self._encoder, shard.stop_when_answered),
            [self._needle(sample) for sample in samples],
        )
        seconds = round((time.monotonic() - started) / len(samples), 4)
        return [completion._asdict() | {"seconds": seconds} for completion in completions]

    def _before(self, sample: dict[str, Any]) -> list[int]:
        """The opening ids, unless the sample's chat template writes its own."""
        return [] if sample.get("whole") else self._opening

    def _needle(self, sample: dict[str, Any]) -> int | None:
        """Place of the first answer's first token, where the task has one such place."""
        if sample["depth"] is None:
            return None
        return len(self._before(sample)) + int(sample["needle_span"][0][0])


def carried() -> dict[str, str]:
    """The driver's variables that a worker reads, as they are set."""
    return {name: os.environ[name] for name in _READ if os.environ.get(name)}


def bf16_on_cpu(config: Mapping[str, Any]) -> bool:
    """Whether a CPU reads a model in bf16: stored so, wide enough to gain, and the cores can do it."""
    stored = str(config.get("dtype") or config.get("torch_dtype")).removeprefix("torch.")
    wide = int(config.get("hidden_size") or 0) >= TOY_WIDTH
    return stored == "bfloat16" and wide and fast_bf16()


def _how(decoded: str, because: str, dtype: str, device: Any) -> dict[str, str]:
    """What a row says of its making; a CPU has no name that changes a token."""
    import torch

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    how = {"decoded": decoded, "because": because, "dtype": dtype}
    return how | {"device": device.type, "device_name": name}


def _load(root: Path, model: Model) -> Any:
    import torch

    from stages.evaluate.loading import load_any, scale_softmax

    device, dtype = _placed(settings(root / model.folder))
    loaded = load_any(root / model.folder, model.folder, model.yarn_factor, getattr(torch, dtype))
    scale_softmax(loaded, model.softmax_scale)
    return loaded.to(device).eval()


def _load_vllm(root: Path, model: Model) -> vllm_engine.Engine:
    device, dtype = _placed(settings(root / model.folder))
    return vllm_engine.Engine(root, model, dtype, device)


def _placed(config: Mapping[str, Any]) -> tuple[Any, str]:
    """The device of this process, and the name of the dtype that a model is read in there."""
    import torch

    on_gpu = torch.cuda.is_available()
    half = on_gpu or bf16_on_cpu(config)
    return torch.device("cuda" if on_gpu else "cpu"), "bfloat16" if half else "float32"
