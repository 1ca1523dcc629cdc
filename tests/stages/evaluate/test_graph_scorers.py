"""NLGraph's answers against graphs: what solves them, what does not, and the paper's comparison."""

from pathlib import Path

import pytest

from stages.benchmarks import nlgraph
from stages.common.errors import UserError
from stages.common.files import read_json
from stages.evaluate.graph_scorers import TASKS
from stages.evaluate.scorers import score
from tests.stages.nlgraph_questions import QUESTIONS


def scored(task: str, prediction: str, reference: str | None = None, paper: bool = False) -> float:
    question, answer = QUESTIONS[task]
    reference = reference or answer
    if task == "matching" and not paper:
        reference = reference.replace("job 3", "job 0").replace("job 4", "job 1")
    protocol = "repo-paper" if paper else "nvidia"
    metric = nlgraph.metric(task, protocol)
    return score({"metric": metric, "outputs": [reference], "question": question}, prediction)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("paper", [False, True])
def test_the_reference_is_right_and_nothing_is_wrong(task: str, paper: bool) -> None:
    answer = QUESTIONS[task][1]
    if task == "matching" and not paper:
        answer = answer.replace("job 3", "job 0").replace("job 4", "job 1")
    assert scored(task, f" {answer}\n\nQ: And now?", paper=paper) == 1.0
    assert scored(task, answer.strip(), paper=paper) == 1.0
    assert scored(task, "", paper=paper) == 0.0
    assert scored(task, " \n", paper=paper) == 0.0


@pytest.mark.parametrize(
    ("task", "prediction", "expected"),
    [
        ("connectivity", "There is a path between node 0 and node 2.", 1.0),
        ("connectivity", "There is a path between node 0 and node 1.", 0.0),
        ("connectivity", "The answer is no.", 0.0),
        ("cycle", "Yes, there is a cycle; no, there is no cycle.", 0.0),  # what is said first
        ("cycle", "There is no cycle, or there is a cycle.", 1.0),
        ("cycle", "Hm.", 0.0),
        ("flow", "So the maximum flow from node 0 to node 2 is 13.", 0.0),
        ("flow", "The maximum flow from node 0 to node 1 is 3.", 0.0),
        ("GNN", "node 0: [9,9]\nThe answer is:\nnode 0: [2,1]\nnode 1: [0,2]\nnode 2: [2,1]", 1.0),
        ("GNN", "node 0: [2,1]\nnode 1: [0,2]", 0.0),
        ("GNN", "node 0: [2,1]\nnode 1: [0,2]\nnode 2: [2,7]", 0.0),
        ("hamilton", "Yes. The path can be: 1,0,2,3.", 1.0),  # another path than the reference's
        ("hamilton", "The path can be: 0,3,1,2", 0.0),  # 0-3 is no edge
        ("hamilton", "The path can be: 0,1,3", 0.0),
        ("hamilton", "The path can be: 0,1,3,1", 0.0),
        ("hamilton", "There is no such path, but the path can be: 0,1,3,2", 0.0),
        ("matching", "Job 0 goes to applicant 0, job 1 to applicant 1.", 1.0),
        ("matching", "applicant 0: job 0\napplicant 1: job 0", 0.0),  # one job, two applicants
        ("matching", "applicant 1: job 0", 0.0),  # one could do better
        ("matching", "applicant 2: job 0\napplicant 1: job 1", 0.0),
        ("shortest_path", "The shortest path from node 0 to node 3 is 0,2,3", 1.0),
        ("shortest_path", "The shortest path from node 0 to node 3 is 0,3", 0.0),
        ("shortest_path", "The shortest path from node 0 to node 3 is 1,3", 0.0),
        ("shortest_path", "The shortest path from node 0 to node 3 is unknown", 0.0),
        ("topology", "The solution is: 0,2,3,1.", 1.0),
        ("topology", "0,2,1,3 is the solution.", 1.0),  # from the beginning, where no order follows
        ("topology", "The solution is: 0,3,2,1.", 0.0),
        ("topology", "The solution is: 0,2,3.", 0.0),
    ],
)
def test_an_answer_is_checked_against_the_graph(
    task: str, prediction: str, expected: float
) -> None:
    assert scored(task, prediction) == expected


@pytest.mark.parametrize(
    ("task", "prediction", "expected"),
    [
        ("connectivity", "Whatever", 0.0),
        ("flow", "The maximum flow from node 7 to node 8 is 13", 1.0),  # 3 stands in 13
        ("flow", "It is 3.", 0.0),
        ("GNN", "node 0: [2,1]\nnode 1:  [0, 2]\nnode 2: [2,1]", 1.0),
        ("hamilton", "1,0,2,3", 0.0),  # solves it, but is not the reference
        ("matching", "applicant 0: job 0\napplicant 1: job 1", 0.0),  # the file's numbers are asked
        ("shortest_path", "the shortest path from node 0 to node 3 is 0,2,3", 0.0),
        ("topology", "The solution is: 0,1,2,3", 0.0),  # without its full stop nothing is taken
    ],
)
def test_the_papers_tools_compare_texts(task: str, prediction: str, expected: float) -> None:
    assert scored(task, prediction, paper=True) == expected


def test_a_no_is_what_says_no_yes() -> None:
    """Both tools take every text without the right words for a "no"; only an empty one is none."""
    assert scored("connectivity", "Hm.", reference="The answer is no.") == 1.0
    assert scored("connectivity", "Hm.", reference="The answer is no.", paper=True) == 1.0
    assert scored("connectivity", "", reference="The answer is no.") == 0.0


@pytest.mark.parametrize("task", ["flow", "GNN", "matching", "shortest_path"])
def test_an_answer_of_another_form_is_refused(task: str) -> None:
    with pytest.raises(UserError, match="the answer 'maybe' is not of NLGraph's form"):
        scored(task, "applicant 0: job 0", reference="maybe")


@pytest.mark.parametrize("task", ["connectivity", "cycle", "flow", "shortest_path"])
def test_the_official_answers_solve_the_official_questions(shared: Path, task: str) -> None:
    for row in read_json(shared / "data" / "nlgraph" / f"{task}_test.json").values():
        for protocol in ("nvidia", "repo-paper"):
            sample = {
                "metric": nlgraph.metric(task, protocol),
                "outputs": [row["answer"]],
                "question": row["question"],
            }
            assert score(sample, row["answer"]) == 1.0
            assert score(sample, "") == 0.0
