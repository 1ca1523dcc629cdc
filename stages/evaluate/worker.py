"""Where shards are computed: an actor that holds a model.

torch and transformers are imported in the methods: the driver, which names this class only, starts
without their 5 seconds.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from stages.common.files import read_jsonl
from stages.common.tokens import TokenStore
from stages.evaluate.shards import SPLIT, Model, Shard


class Worker:
    """Computes shards one at a time; keeps the last model and file, for shards come in order."""

    def __init__(self, root: Path, benchmarks: Path, tokens: Path) -> None:
        """``root`` is where model folders are relative to; the others hold samples and tokens."""
        import torch

        if not torch.cuda.is_available():
            # Sums depend on the number of threads: one gives equal bytes on every machine.
            torch.set_num_threads(1)
        self._model = lru_cache(maxsize=1)(lambda model: _load(root, model))
        self._prompts = lru_cache(maxsize=1)(lambda file: _prompts(benchmarks / file))
        self._tokens = tokens

    def run(self, shard: Shard) -> list[Any]:
        """Results in the order of the shard's rows, ready for JSON."""
        from stages.evaluate import engine

        model = self._model(shard.model)
        if shard.kind == "windows":
            stream = TokenStore(self._tokens).stream(SPLIT, [shard.source])
            windows = [stream.read(row * shard.length, shard.length).tolist() for row in shard.rows]
            return engine.window_losses(model, windows)
        prompts = self._prompts(shard.source)
        completions = engine.generate(
            model, [prompts[row] for row in shard.rows], shard.max_new_tokens, shard.eos_id
        )
        return [completion._asdict() for completion in completions]


def _load(root: Path, model: Model) -> Any:
    import torch

    from stages.common.models import load_model

    on_gpu = torch.cuda.is_available()
    loaded = load_model(
        root / model.folder,
        model.folder,
        yarn_factor=model.yarn_factor,
        dtype=torch.bfloat16 if on_gpu else torch.float32,
    )
    return loaded.to("cuda" if on_gpu else "cpu").eval()


def _prompts(file: Path) -> Sequence[list[int]]:
    return [row["prompt_ids"] for row in read_jsonl(file)]
