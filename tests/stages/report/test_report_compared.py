"""Page, terminal and ``--against`` ask the one rule and agree on every cell."""

import re
from html import unescape
from pathlib import Path

import pytest

from stages.common.files import read_json, read_jsonl
from stages.evaluate import table as against
from stages.evaluate.measured import Measured
from stages.report.stage import run
from stages.report.summary import table
from tests.stages.report.fabricated_results import LENGTHS, TASKS, job, params, write_run

WORDS = ("better", "worse", "equal", "cannot tell")


def _measured(item: str, suite: str) -> Measured:
    """A result as ``evaluate --out`` leaves it, from the stage's records of one suite."""
    records = {
        (task, length): list(
            read_jsonl(Path(f"results/{item}/samples/{suite}-{task}-{length}.jsonl"))
        )
        for task in TASKS[suite]
        for length in LENGTHS
    }
    samples = {f"{task}-{length}": "same" for task, length in records}
    return Measured({"model": item, "suite": suite, "samples": samples}, records)


def _last(line: str) -> str:
    return next(verdict for verdict in WORDS if verdict in line)


def test_every_cell_has_one_verdict(folder):
    write_run(("rope", "repo"), (1,))
    run(job(params(("rope", "repo"), (1,))))
    metrics = read_json(Path("report/figures.json"))
    cells = metrics["comparison"]["cells"]
    verdicts = {
        f"{suite}: {task}, {length}": found["verdict"]
        for suite, tasks in cells.items()
        for task, lengths in tasks.items()
        for length, found in lengths.items()
    }
    assert len(verdicts) == 12
    assert len(set(verdicts.values())) == 3  # all kinds but equal
    shown = [line for line in table(metrics) if "mean over" not in line]
    terminal = {name: _last(x) for x in shown for name in verdicts if x.startswith(f"{name} ")}
    assert terminal == verdicts
    page = Path("report/index.html").read_text()
    text = " ".join(unescape(re.sub("<[^>]+>", "", page)).split())
    for said in metrics["comparison"]["said"]:
        assert said in metrics["summary"]
        assert " ".join(said.split()) in text
    (scores,) = (t for t in re.findall("<table.*?</table>", page, re.S) if "per task (RULER" in t)
    for symbol, verdict in (("●", "better"), ("○", "worse")):
        body = scores.split("</caption>")[1]
        assert body.count(symbol) == list(verdicts.values()).count(verdict)


@pytest.mark.parametrize("suite", TASKS)
def test_against_says_the_same_of_a_table_of_its_own(folder, suite, monkeypatch):
    monkeypatch.setitem(TASKS, next(other for other in TASKS if other != suite), ())
    write_run(("rope", "repo"), (1,))
    run(job(params(("rope", "repo"), (1,))))
    metrics = read_json(Path("report/figures.json"))
    ours, theirs = (_measured(item, suite) for item in ("repo-1", "rope-1"))
    said = [line.strip() for line in against._compared(ours, theirs)]
    for line in metrics["comparison"]["lines"]:
        assert line.strip() in said
