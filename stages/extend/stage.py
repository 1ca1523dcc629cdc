"""``models/<variant>-<seed>-extended``: the trained weights with YaRN in the config."""

import repo_model
from stages.common import paths
from stages.common.models import copy_tokenizer, load_model
from stages.common.outs import building
from stages.common.stage import Job, Stage
from stages.extend.version import VERSION

SCOPES = {"rope_and_repo": "all", "rope": "rope"}


def run(job: Job) -> None:
    """Extend the job's model, zero-shot: no weight changes."""
    params = job.params.extend
    source = paths.model(job.item)
    model = load_model(source, str(source))
    repo_model.extend(model, params.factor, layers=SCOPES[params.scope])
    with building(paths.extended(job.item)) as out:
        model.save_pretrained(out)
        copy_tokenizer(source, out)
    print(f"{job.label}: x{params.factor:g}", flush=True)


STAGE = Stage(name="extend", version=VERSION, reads=("extend",), run=run, matrix=True)
