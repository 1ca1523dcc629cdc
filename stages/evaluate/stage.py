"""One trained model on every benchmark sample and on the validation text, at every length.

Up to the trained length the trained model is read; beyond it the extended one, with YaRN's factor
of that length (zero-shot: 2 at twice the length, 4 at four times). What the base scores
(``evaluate_base``) stands beside it, with the paired difference.

- ``results/<item>/samples``: records (``stages.evaluate.everything``).
- ``results/<item>/metrics.json``: one figure a cell, with its standard error; means over a suite.
"""

from stages.common import paths
from stages.common.files import write_json
from stages.common.outs import building
from stages.common.runs import workspace
from stages.common.stage import Job, Stage
from stages.common.variants import EvaluateDefinition
from stages.evaluate.beside import beside
from stages.evaluate.everything import everything, inputs, lines
from stages.evaluate.models import Models
from stages.evaluate.version import VERSION


def run(job: Job) -> None:
    """Evaluate the job's model."""
    defined = job.definition or EvaluateDefinition()
    assert isinstance(defined, EvaluateDefinition)
    item, out = job.item, paths.results(job.item)
    models = Models(item, defined.scale_at)
    work_of = inputs(paths.model(item), paths.extended(item))
    with (
        workspace(job, work_of) as work,
        building(out / "samples") as samples_out,
        building(out / "metrics.json") as metrics_out,
    ):
        figures = everything(models, job.params.evaluate, work, samples_out)
        metrics = {
            "version": VERSION,
            "variant": job.variant,
            "seed": job.seed,
            **figures,
            "base": beside(samples_out, paths.results(paths.BASE.name)),
        }
        write_json(metrics_out, metrics)
    for line in lines(job.label, metrics):
        print(line, flush=True)


STAGE = Stage(
    name="evaluate", version=VERSION, reads=("evaluate",), run=run, matrix=True, defines="evaluate"
)
