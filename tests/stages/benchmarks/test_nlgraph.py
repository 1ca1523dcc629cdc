"""NLGraph's own JSON as samples: every task and level, both protocols, errors with their place."""

import json
from pathlib import Path
from typing import Any

import pytest

from stages.benchmarks import nlgraph
from stages.benchmarks.graphs import graph
from stages.benchmarks.params import NLGRAPH_TASKS, NLGraphParams
from stages.common.encoder import Encoder
from stages.common.errors import UserError
from stages.evaluate.scorers import score
from tests.stages.nlgraph_questions import QUESTIONS, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "NLGraph", nlgraph.LEVELS)


def params(folder: Path, **changed: Any) -> NLGraphParams:
    return NLGraphParams.model_validate({"path": str(folder), **changed})


def all_samples(wanted: NLGraphParams, length: int, encoder: Encoder) -> list[dict[str, Any]]:
    return [
        row
        for cell in nlgraph.cells(wanted)
        for row in nlgraph.samples(wanted, cell, length, encoder)
    ]


def test_eight_tasks_in_the_levels_they_have(folder: Path, encoder: Encoder) -> None:
    rows = all_samples(params(folder), 4096, encoder)
    assert len(rows) == len({row["task"] for row in rows}) == 3 * 3 + 5 * 2
    assert {row["task"].rpartition("_")[0] for row in rows} == set(NLGRAPH_TASKS) == set(QUESTIONS)
    for row in rows:
        question, answer = QUESTIONS[row["task"].rpartition("_")[0]]
        assert row["input"] == row["question"] == question
        assert row["prompt_ids"] == encoder.ids(question)
        assert row["id"] == f"{row['task']}-4096-0000"
        assert row["suite"] == "nlgraph"
        assert not row["truncated"]
        ((start, end),) = row["query_span"]
        assert encoder.text(row["prompt_ids"][start:end]).strip().startswith("Q:")
        assert end == len(row["prompt_ids"])
        if not row["task"].startswith("matching"):
            assert row["outputs"] == [answer]


def test_jobs_are_counted_as_the_question_does(folder: Path, encoder: Encoder) -> None:
    (row,) = nlgraph.samples(params(folder), "matching_easy", 4096, encoder)
    assert row["outputs"][0].startswith("applicant 0: job 0\napplicant 1: job 1\n2 applicants")
    paper = params(folder, protocol="repo-paper")
    (row,) = nlgraph.samples(paper, "matching_easy", 4096, encoder)
    assert row["outputs"] == [QUESTIONS["matching"][1]]


def test_the_protocols_decode_otherwise(folder: Path, encoder: Encoder) -> None:
    own = {row["task"]: row for row in all_samples(params(folder), 4096, encoder)}
    assert own["connectivity_easy"]["max_new_tokens"] == 256
    assert own["GNN_hard"]["max_new_tokens"] == 2000
    assert own["flow_easy"]["max_new_tokens"] == 400
    assert not any(row["ends_at_blank_line"] for row in own.values())
    for row in all_samples(params(folder, protocol="repo-paper"), 4096, encoder):
        assert row["max_new_tokens"] == 512
        assert row["ends_at_blank_line"]
        assert row["metric"] == f"nlgraph_{row['task'].rpartition('_')[0]}_paper"
    (short,) = nlgraph.samples(params(folder, new_tokens=16), "flow_easy", 4096, encoder)
    assert short["max_new_tokens"] == 16


def test_what_is_left_of_a_long_question(folder: Path, encoder: Encoder) -> None:
    whole = QUESTIONS["topology"][0]
    wanted = params(folder, new_tokens=8)
    length = encoder.count(whole) + 8 - 20
    (row,) = nlgraph.samples(wanted, "topology_hard", length, encoder)
    assert row["truncated"]
    assert len(row["prompt_ids"]) + 8 <= length
    assert row["input"].endswith("Give the solution.\nA:")
    assert row["question"] == whole  # the answer is checked against the whole graph
    with pytest.raises(UserError, match=r"401 is too short for flow_easy.*nlgraph\.new_tokens"):
        list(nlgraph.samples(params(folder), "flow_easy", 401, encoder))


def test_the_real_questions_are_solved_by_their_answers(shared: Path, encoder: Encoder) -> None:
    given = shared / "data/nlgraph"
    tasks = [file.name.removesuffix("_test.json") for file in sorted(given.glob("*_test.json"))]
    for protocol in ("nvidia", "repo-paper"):
        wanted = params(given, tasks=tasks, samples=5, protocol=protocol)
        rows = all_samples(wanted, 4096, encoder)
        assert len(rows) == 5 * len(nlgraph.cells(wanted))
        for row in rows:
            assert score(row, row["outputs"][0]) == 1.0
            assert score(row, "") == 0.0


def test_samples_tasks_and_levels_are_chosen(folder: Path) -> None:
    wanted = params(folder, tasks=["cycle", "flow"], levels=["medium", "easy"])
    assert nlgraph.cells(wanted) == ["cycle_medium", "cycle_easy", "flow_easy"]


def test_mistakes_are_named(folder: Path, encoder: Encoder) -> None:
    def fails(match: str, cell: str = "flow_easy", **changed: Any) -> None:
        with pytest.raises(UserError, match=match) as error:
            list(nlgraph.samples(params(**({"folder": folder} | changed)), cell, 4096, encoder))
        assert "\n" not in str(error.value)

    fails("nlgraph.path is 'nowhere': no such folder", folder=Path("nowhere"))
    fails(r"no flow/train\.json in it; give the folder NLGraph", split="train")
    file = folder / "flow" / "test.json"
    row = {"question": QUESTIONS["flow"][0], "answer": "x", "difficulty": "hard"}
    file.write_text(json.dumps({"7": row}))
    fails(r"test\.json: no question of difficulty 'easy' in it")
    file.write_text(json.dumps({"7": row | {"answer": 3}}))
    fails(r"test\.json question '7': no text 'answer' in it")
    file.write_text(json.dumps({"7": row | {"question": "Who?", "difficulty": "easy"}}))
    fails(r"test\.json question '7': no number of nodes in it, as flow has")
    file.write_text('{\n"7": oops}')
    fails(r"test\.json line 2: not JSON")
    file.write_text("[]")
    fails(r"test\.json: not an object of questions")


def test_the_graph_is_read_back() -> None:
    found = graph("shortest_path", QUESTIONS["shortest_path"][0])
    assert (found.nodes, found.asked) == (4, (0, 3))
    assert found.edges[0] == (0, 1, 1)
    assert len(found.edges) == 5
    assert graph("matching", QUESTIONS["matching"][0]).edges == ((0, 0), (1, 0), (1, 1))
    with pytest.raises(ValueError, match="no edges"):
        graph("hamilton", "The nodes are numbered from 0 to 3.")


def test_the_official_files(shared: Path, tmp_path: Path) -> None:
    """Every question of the four tasks at hand fits 4,096 tokens of dolma2 with its budget."""
    encoder = Encoder(shared / "data" / "dolma2_tokenizer")
    tasks = ("connectivity", "cycle", "flow", "shortest_path")
    for task in tasks:
        (tmp_path / task).mkdir()
        text = (shared / "data" / "nlgraph" / f"{task}_test.json").read_text()
        (tmp_path / task / "test.json").write_text(text)
    rows = all_samples(params(tmp_path, tasks=tasks), 4096, encoder)
    assert len(rows) == 371 + 191 + 58 + 64
    assert not any(row["truncated"] for row in rows)
