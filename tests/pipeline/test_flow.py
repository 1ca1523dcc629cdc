"""The flow over a small graph, on a real Prefect server: what is tried again, what is not run."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from pipeline import local

pytestmark = pytest.mark.ray
ROOT = Path(__file__).parents[2]

ENDS = """
import json, os, sys
attempts = {folder!r} + "/attempts-" + sys.argv[1]
open(attempts, "a").write("x")
print("so far so good")
if len(open(attempts).read()) <= {bad}:
    status = {{"code": {code}, "line": "said by " + sys.argv[1]}}
    json.dump(status, open(os.environ["REPO_STATUS_FILE"], "w"))
    sys.exit({code})
open("out/" + sys.argv[1], "w").write("1")
"""
FLOW = """
import json
from pathlib import Path
from pipeline.environment import prepare
prepare(Path.cwd())
from pipeline.services import own_server
with own_server(print):
    from prefect import flow
    from pipeline import local
    from pipeline.checkout import Checkout
    from pipeline.ended import StageFailed
    from pipeline.flow import run_graph
    from pipeline.graph import read_graph
    from pipeline.plan import plan
    from pipeline.ready import Ready
    from stages.common import runs
    graph = read_graph(Path.cwd())
    names = graph.select([])
    ready = Ready(Checkout(Path.cwd()), graph, names, set(), plan(graph, names))
    logs = runs.root() / "logs" / "1"
    try:
        with local.recorded(logs, "asked"):
            flow(run_graph)(ready, logs)
    except StageFailed as failed:
        error = failed
json.dump([error.code, str(error)], open("error.json", "w"))
"""


class Ended(NamedTuple):
    """A run of the flow that is over."""

    folder: Path
    """With ``project``, ``runs`` and what the stages wrote down."""
    shown: str

    @property
    def project(self) -> Path:
        return self.folder / "project"


@pytest.fixture(scope="module")
def ended(template: Path, ray_session: str, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """Stage one says "try again" once; two-a ends with a mistake; two-b and three would end well."""
    folder = tmp_path_factory.mktemp("flow")
    project = Path(shutil.copytree(template, folder / "project", symlinks=True))
    (project / "one.py").write_text(
        ENDS.format(folder=str(folder), bad=1, code=75).replace("sys.argv[1]", '"one"')
    )
    (project / "two.py").write_text(
        ENDS.format(folder=str(folder), bad="99 * (sys.argv[1] == 'a')", code=2).replace(
            '"out/"', '"out/two-"'
        )
    )
    variables = {"RAY_ADDRESS": ray_session, "REPO_RUNS": str(folder / "runs"), "CI": "true"}
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-c", FLOW],
        cwd=project,
        env={**environment, **variables, "PATH": path, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Ended(folder, done.stdout)


def test_the_status_of_a_run_that_ended(ended: Ended) -> None:
    first, *rows, logs = local.lines(ended.folder / "runs")
    assert first.startswith("on this machine: asked: failed after ")
    assert first.endswith("said by a")
    told = {row.split()[0]: row.split()[1] for row in rows}
    assert told == {"one": "completed", "two@a": "failed", "two@b": "completed", "three": "stopped"}
    assert logs == f"  logs: {ended.folder / 'runs/logs/1'}"


def test_only_try_again_is_tried_again_and_only_dependants_wait(ended: Ended) -> None:
    assert (ended.folder / "attempts-one").read_text() == "xx"
    assert (ended.folder / "attempts-a").read_text() == "x"
    assert sorted(file.name for file in (ended.project / "out").iterdir()) == ["one", "two-b"]
    assert not (ended.project / "final").exists()
    assert json.loads((ended.project / "error.json").read_text()) == [2, "two@a: said by a"]
    # CI is quiet until a stage fails: then its last lines.
    assert "[two@a] so far so good" in ended.shown
    assert "[two@b] so far so good" not in ended.shown
    assert "[three] not run: a stage that it needs did not end well" in ended.shown
