"""NLGraph's questions read back into graphs: what their answers are checked against."""

import re
from dataclasses import dataclass

_EDGES = {
    "hamilton": re.compile(r"\((\d+),\s*(\d+)\)"),
    "matching": re.compile(r"Applicant (\d+) is interested in job (\d+)"),
    "shortest_path": re.compile(r"between node (\d+) and node (\d+) with weight (\d+)"),
    "topology": re.compile(r"node (\d+) should be visited before node (\d+)"),
}
"""The other tasks' answers are checked without their edges."""
_LAST_NODE = re.compile(r"numbered from 0 to (\d+)")
_ASKED = {
    "connectivity": re.compile(r"path between node (\d+) and node (\d+)\?"),
    "flow": re.compile(r"maximum flow from node (\d+) to node (\d+)\?"),
    "shortest_path": re.compile(r"shortest path from node (\d+) to node (\d+)\."),
}


@dataclass(frozen=True)
class Graph:
    """What of a question's graph its answer is checked against."""

    nodes: int
    """Nodes, numbered from 0; of ``matching`` the applicants; 0 where the question does not say."""
    edges: tuple[tuple[int, ...], ...]
    """Two nodes each, of ``shortest_path`` and their weight; ``matching``: applicant and job."""
    asked: tuple[int, int]
    """The two nodes that the question names; twice 0 where it names none."""


def graph(task: str, question: str) -> Graph:
    """The graph that a task's question describes; raises ``ValueError`` naming what is missing."""
    edges: tuple[tuple[int, ...], ...] = ()
    if task in _EDGES:
        edges = tuple(tuple(map(int, found)) for found in _EDGES[task].findall(question))
        if not edges:
            raise ValueError("no edges of a graph")
    last = _LAST_NODE.search(question)
    if last is None and task != "connectivity":
        raise ValueError("no number of nodes")
    asked = (0, 0)
    if task in _ASKED:
        named = _ASKED[task].search(question)
        if named is None:
            raise ValueError("no two nodes that are asked for")
        asked = (int(named[1]), int(named[2]))
    return Graph(0 if last is None else int(last[1]) + 1, edges, asked)
