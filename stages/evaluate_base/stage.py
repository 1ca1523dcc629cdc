"""``results/base``: the base model on what the variants are measured on.

Up to its trained length (its window, where nothing is recorded) it is read as it is; beyond, with
YaRN zero-shot, the factor that of the length. The outs are those of ``stages.evaluate.stage``.
"""

from stages.common import paths
from stages.common.files import write_json
from stages.common.outs import building
from stages.common.runs import workspace
from stages.common.stage import Job, Stage
from stages.evaluate.everything import everything, inputs, lines
from stages.evaluate.models import Base
from stages.evaluate_base.version import VERSION


def run(job: Job) -> None:
    """Evaluate the base model."""
    out = paths.results(paths.BASE.name)
    with (
        workspace(job, inputs(paths.BASE)) as work,
        building(out / "samples") as samples_out,
        building(out / "metrics.json") as metrics_out,
    ):
        figures = everything(Base(), job.params.evaluate, work, samples_out)
        metrics = {"version": VERSION, **figures}
        write_json(metrics_out, metrics)
    for line in lines(job.label, metrics):
        print(line, flush=True)


STAGE = Stage(name="evaluate_base", version=VERSION, reads=("evaluate",), run=run)
