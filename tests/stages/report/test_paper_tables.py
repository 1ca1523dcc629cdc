"""Our figures under the paper's: HybridQA's table only where it was run."""

from stages.report.paper_tables import paper_tables

CELL = {"score": 26.84}


def metrics(**suites: object) -> dict:
    return {"lengths": [256, 512], "readings": {}, "scores": {"repo": {"ruler": {}, **suites}}}


def test_hybridqa_stands_beside_the_papers_figures() -> None:
    assert len(paper_tables(metrics())) == 3
    table = paper_tables(metrics(hybridqa={"tables": {"256": CELL}}))[-1]
    paper, ours = table.groups
    assert {row.name: row.cells[0].text for row in paper.rows}["1B RePo"] == "26.70"
    assert ours.name == "this run, 256 tokens"
    assert [(row.name, row.cells[0].text) for row in ours.rows] == [("RePo", "26.8")]
