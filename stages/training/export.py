"""The finished model as a Hugging Face folder, read back and compared before the run counts as done."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file

from stages.common.files import write_jsonl
from stages.common.models import load_model
from stages.training.checkpoint import Stored
from stages.training.run import LOG, Run
from stages.training.trainable import freeze, trained


def export(run: Run, last: Path, points: Iterable[Mapping[str, float]]) -> None:
    """Leave the model of the checkpoint ``last`` in ``run.final``, then ``log.jsonl``: done."""
    model, state = run.build(), Stored(last)
    freeze(model, run.params)
    with torch.no_grad():
        for name, parameter in trained(model):
            parameter.copy_(state[name])
    if run.params.precision == "bf16":
        model.to(torch.bfloat16)
    shutil.rmtree(run.final, ignore_errors=True)
    model.save_pretrained(run.final)  # type: ignore[operator]
    _read_back(run.final, model.eval())
    write_jsonl(run.folder / LOG, points)


def _read_back(folder: Path, model: torch.nn.Module) -> None:
    """Raise where the folder does not hold the model: same weights, same logits."""
    stored: dict[str, torch.Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        stored |= load_file(file)
    weights = dict(model.named_parameters())
    different = [
        name for name, value in stored.items() if name in weights and not value.equal(weights[name])
    ]
    missing = set(weights) - set(stored)
    if different or missing:
        raise RuntimeError(
            f"{folder}: {sorted(missing)[:1] or different[:1]} was not saved as it is"
        )
    ids_1T = torch.arange(min(16, model.get_input_embeddings().weight.shape[0]))[None]  # type: ignore[operator]
    with torch.no_grad():
        loaded = load_model(folder, str(folder)).to(next(model.parameters()).dtype)
        if not torch.equal(loaded(ids_1T).logits, model(ids_1T).logits):
            raise RuntimeError(f"{folder}: the model read back gives other logits")
