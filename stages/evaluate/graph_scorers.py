"""NLGraph's scores, 0 or 1: whether an answer solves the question's graph.

As ``evaluation/<task>.py`` of Arthur-Heng/NLGraph at 3da2b03 (MIT) decides (read 2026-11-23; GNN at
4404418), with these differences: an empty answer scores 0 everywhere (the official scripts take it
for a "no"); a number at the very end of an answer counts (they drop it, and with it the answers of
their own files); a path, an order and a matching must use every node, applicant and job at most once
(they leave out some of the pairs) and a shortest path must begin where it is asked to. Of a shortest
path the edges are checked, not the total that the answer claims.

``*_paper``: the paper's tools (SakanaAI/repo ``nlgraph.py`` and ``metric.py`` at 66234ce) take the
solution out of both texts and ask whether the reference's stands in the prediction's. Oddities that
change a number are kept: a flow of 5 is found in "15"; no "yes" is a "no"; references of ``matching``
count jobs from the number of applicants, as no question does.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from stages.benchmarks.graphs import Graph, graph
from stages.common.errors import UserError

PREFIX = "nlgraph_"
_PAPER = "_paper"
_NUMBER = re.compile(r"\d+")
_EMBEDDING = re.compile(r"node (\d+): \[([\d,\s]+)\]")
_ASSIGNED = re.compile(r"applicant (\d+): job (\d+)")
_FLOW = re.compile(r"maximum flow from node \d+ to node \d+ is (\d+)")
_WEIGHT = re.compile(r"total weight of (\d+)")


def score(metric: str, question: str, prediction: str, reference: str) -> float:
    """Score of a prediction by ``nlgraph_<task>`` or ``nlgraph_<task>_paper``."""
    task = metric.removeprefix(PREFIX).removesuffix(_PAPER)
    said = prediction.lower()
    if not said.strip():
        return 0.0
    if metric.endswith(_PAPER):
        return float(_extracted(task, reference.lower()) in _extracted(task, said))
    try:
        asked = graph(task, question)
    except ValueError as error:
        raise UserError(f"a question of {task} has {error} in it: {question[:80]!r}") from None
    return float(_SOLVED[task](said, asked, reference.lower()))


def _connectivity(said: str, asked: Graph, reference: str) -> bool:
    claim = "there is a path between node {} and node {}".format(*asked.asked)
    return ("the answer is yes" in said or claim in said) == ("answer is yes" in reference)


def _cycle(said: str, asked: Graph, reference: str) -> bool:
    # What is said first counts; to say neither is wrong.
    claims = re.search(r"there is (no|a) cycle", said)
    return claims is not None and (claims[1] == "a") == ("there is a cycle" in reference)


def _flow(said: str, asked: Graph, reference: str) -> bool:
    expected = int(_expected(_FLOW, reference)[0])
    _, found, rest = said.partition("the maximum flow from node {} to node {}".format(*asked.asked))
    number = _NUMBER.search(rest[1:])
    value = int(number[0]) if number else 0
    return bool(found) and value == expected


def _gnn(said: str, asked: Graph, reference: str) -> bool:
    expected = [_numbers(values) for _, values in _EMBEDDING.findall(reference)]
    if not expected:
        raise _malformed(reference)
    start = said.rfind("node 0")
    numbers = _numbers(said[max(start, 0) :])
    width = len(expected[0]) + 1  # a node's number stands before its values
    return start >= 0 and all(
        numbers[width * i + 1 : width * (i + 1)] == values for i, values in enumerate(expected)
    )


def _hamilton(said: str, asked: Graph, reference: str) -> bool:
    start, refusal = said.find("the path can be"), said.find("no ")
    if start < 0 or 0 <= refusal < start:
        return False
    path = _numbers(said[start:])[: asked.nodes]
    edges = {frozenset(edge) for edge in asked.edges}
    return _all_nodes(path, asked) and all(frozenset(step) in edges for step in pairwise(path))


def _matching(said: str, asked: Graph, reference: str) -> bool:
    best = len(_ASSIGNED.findall(reference))
    if not best:
        raise _malformed(reference)
    applicant, job = said.find("applicant"), said.find("job")
    if min(applicant, job) < 0:
        return False
    end = said.find("this way")
    start = max(min(applicant, job), said.find("make the following assignments"))
    numbers = _numbers(said[start : end if end >= 0 else len(said)])
    pairs = list(zip(numbers[::2], numbers[1::2], strict=False))  # a number left over is no pair
    if job < applicant:
        pairs = [(second, first) for first, second in pairs]
    once = all(len(set(column)) == len(pairs) for column in zip(*pairs, strict=True))
    return once and len(set(pairs) & {(a, b) for a, b in asked.edges}) == best


def _shortest_path(said: str, asked: Graph, reference: str) -> bool:
    shortest = int(_expected(_WEIGHT, reference)[0])
    first, last = asked.asked
    _, _, rest = said.partition(f"the shortest path from node {first} to node {last}")
    path: list[int] = []
    for number in _numbers(rest[1:]):
        path.append(number)
        if number == last:
            break
    weights = {frozenset((a, b)): weight for a, b, weight in asked.edges}
    steps = [weights.get(frozenset(step)) for step in pairwise(path)]
    if path[:1] != [first] or path[-1] != last or None in steps:
        return False
    return sum(step for step in steps if step) == shortest


def _topology(said: str, asked: Graph, reference: str) -> bool:
    start = said.find("solution")
    if start < 0:
        start = max(said.find("yes"), said.find("in the following order"))
    if start < 0:
        return False
    return any(_ordered(_numbers(text)[: asked.nodes], asked) for text in (said[start:], said))


def _ordered(order: Sequence[int], asked: Graph) -> bool:
    if not _all_nodes(order, asked):
        return False
    place = {node: index for index, node in enumerate(order)}
    return all(place[before] < place[after] for before, after in asked.edges)


def _all_nodes(found: Sequence[int], asked: Graph) -> bool:
    return sorted(found) == list(range(asked.nodes))


def _numbers(text: str) -> list[int]:
    return [int(number) for number in _NUMBER.findall(text)]


def _expected(pattern: re.Pattern[str], reference: str) -> tuple[str, ...]:
    found = pattern.search(reference)
    if found is None:
        raise _malformed(reference)
    return found.groups()


def _malformed(reference: str) -> UserError:
    return UserError(f"the answer {reference[:80]!r} is not of NLGraph's form")


_SOLVED: Mapping[str, Callable[[str, Graph, str], bool]] = {
    "connectivity": _connectivity,
    "cycle": _cycle,
    "flow": _flow,
    "GNN": _gnn,
    "hamilton": _hamilton,
    "matching": _matching,
    "shortest_path": _shortest_path,
    "topology": _topology,
}
TASKS = tuple(_SOLVED)


def _extracted(task: str, text: str) -> str:
    """The solution in a text as the paper's tools take it; nothing where they find none."""
    if task == "connectivity":
        return "yes" if "answer is yes" in text else "no"
    if task == "cycle":
        return "yes" if "there is a cycle in this graph" in text else "no"
    if task == "GNN":
        nodes = re.findall(r"node\s+(\d+):\s*\[(\d+),\s*(\d+)\]", text)
        return "\n".join(f"node {node}: [{x}, {y}]" for node, x, y in nodes)
    if task == "matching":
        pairs = re.findall(r"applicant\s+(\d+):\s+job\s+(\d+)", text)
        return ",".join(f"{applicant}:{job}" for applicant, job in pairs)
    found = re.search(_SOLUTIONS[task], text)
    return found[1] if found else ""


_SOLUTIONS = {
    "flow": _FLOW.pattern,
    "hamilton": r"(\d+(?:,\d+)*)",
    "shortest_path": r"shortest path from node \d+ to node \d+ is ([\d,]+)",
    "topology": r"the solution is: ([\d,]+)\.",
}
