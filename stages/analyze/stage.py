"""One trained model into ``analysis/<variant>-<seed>/analysis.json``.

Positions of the probes per layer and head, patterns and attention mass over retrieval samples, and
heads that collapsed. At the trained length, before any extension. Layers without learned positions
(all of ``rope``, ``nope``) have no entry; attention mass is there for every variant.

No Ray: a forward pass per probe and one short greedy answer per sample take seconds (tiny) to
minutes (1B on a GPU), less than starting workers and sending them the model.
"""

from itertools import chain
from typing import Any

import torch
from torch import Tensor

import repo_model
from repo_model.diagnostics import LINEAR_R2
from stages.analyze import samples
from stages.analyze.attention import mean_mass, sample_mass
from stages.analyze.params import AnalyzeParams
from stages.analyze.positions import PatternCounts, heads
from stages.analyze.version import VERSION
from stages.common import paths, trained
from stages.common.errors import UserError
from stages.common.files import write_json
from stages.common.models import load_model
from stages.common.outs import building
from stages.common.progress import Progress
from stages.common.stage import Job, Stage

Positions = dict[str, dict[str, Any]]
"""Layer -> heads and z."""

SAMPLE_POINTS = 512
"""Of a retrieval sample at most so many tokens' positions are kept, evenly spread."""


def run(job: Job) -> None:
    """Analyse the model of the job's variant and seed."""
    torch.set_num_threads(1)  # sums in one order: equal bytes on any number of cores
    params = job.params.analyze
    folder = paths.model(job.item)
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder}: no model there; run the stage train@{job.item}")
    model = _load(folder.as_posix())
    length = trained.of_folder(folder).length
    with torch.inference_mode():
        probes = {
            probe["id"]: _positions(model, probe["prompt_ids"], params.epsilon)
            for probe in samples.probes(paths.BENCHMARKS)
        }
        shares, attention, sample = _answers(model, job.label, params, length)
    analysis = {
        "variant": job.variant,
        "seed": job.seed,
        "layers": list(model.config.positions),
        "positions": probes,
        "sample": sample,
        "patterns": shares,
        "attention_mass": attention,
        "collapsed": _in_every_probe(probes, "collapsed"),
        "linear": _in_every_probe(probes, "linear"),
        "thresholds": {"collapsed_range": round(2 * params.epsilon, 6), "linear_r2": LINEAR_R2},
    }
    with building(paths.ANALYSIS / job.item) as out:
        out.mkdir()
        write_json(out / "analysis.json", analysis)


def _load(folder: str) -> Any:
    """The model in fp32, so that positions can be compared across variants."""
    model = load_model(folder, folder, dtype=torch.float32)
    return model.to("cuda" if torch.cuda.is_available() else "cpu")


def _positions(model: Any, ids: list[int], epsilon: float) -> Positions:
    with repo_model.record_positions(model) as recorder:
        model(torch.tensor([ids], device=model.device), use_cache=False, logits_to_keep=1)
        z_by_layer = {layer: recorder[layer][0].cpu() for layer in recorder.layers}
    return {
        str(layer): {"heads": heads(z_KN, epsilon), "z": _rounded(z_KN)}
        for layer, z_KN in z_by_layer.items()
    }


def _rounded(z_KN: Tensor) -> list[list[float]]:
    return [[round(z, 4) for z in head] for head in z_KN.tolist()]


def _answers(
    model: Any, label: str, params: AnalyzeParams, trained_length: int
) -> tuple[dict[str, float | int] | None, dict[str, Any] | None, dict[str, Any] | None]:
    """Pattern shares and attention mass over the retrieval samples; none where there is nothing.

    The third: the positions of the first sample, with needle and question (``_of_sample``).
    """
    chosen = samples.retrieval(paths.BENCHMARKS, params.samples, trained_length)
    progress = Progress(label, len(chosen), "samples")
    counts, masses = PatternCounts(params.chunk_tokens, params.epsilon), []
    first = None
    for number, sample in enumerate(chosen, start=1):
        with repo_model.record_positions(model) as recorder:
            masses.append(sample_mass(model, sample))
            for layer in recorder.layers:  # the prompt comes first of what was recorded
                counts.add(recorder[layer][0, :, : len(sample["prompt_ids"])])
            first = first or _of_sample(recorder, sample)
        progress.update(number)
    return counts.shares(), mean_mass(masses), first


def _of_sample(recorder: Any, sample: dict[str, Any]) -> dict[str, Any] | None:
    """Positions of a prompt's tokens, every ``every``-th; none without learned positions."""
    tokens = len(sample["prompt_ids"])
    every = -(-tokens // SAMPLE_POINTS)
    layers = {
        str(layer): {"z": _rounded(recorder[layer][0, :, :tokens:every].cpu())}
        for layer in recorder.layers
    }
    if not layers:
        return None
    told = {name: sample[name] for name in ("id", "needle_span", "query_span")}
    return {**told, "tokens": tokens, "every": every, "layers": layers}


def _in_every_probe(probes: dict[str, Positions], flag: str) -> dict[str, list[bool]]:
    """Per layer and head: whether it is flagged in all probes (in one it may be by chance)."""
    layers = sorted(set(chain(*probes.values())), key=int)
    return {
        layer: [
            all(head[flag] for head in same)
            for same in zip(*(probe[layer]["heads"] for probe in probes.values()), strict=True)
        ]
        for layer in layers
    }


STAGE = Stage(name="analyze", version=VERSION, reads=("analyze",), run=run, matrix=True)
