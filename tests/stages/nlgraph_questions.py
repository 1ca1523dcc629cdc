"""A small question of each of NLGraph's tasks, in its wording and layout; the graphs are ours."""

import json
from pathlib import Path
from typing import Any

_UNDIRECTED = "(i,j) means that node i and node j are connected with an undirected edge."
QUESTIONS: dict[str, tuple[str, str]] = {
    "connectivity": (
        "Determine if there is a path between two nodes in the graph. Note that (i,j) means that "
        "node i and node j are connected with an undirected edge.\nGraph: (0,1) (1,2) (3,4)\n"
        "Q: Is there a path between node 0 and node 2?\nA:",
        "The answer is yes.",
    ),
    "cycle": (
        f"In an undirected graph, {_UNDIRECTED}\nThe nodes are numbered from 0 to 3, and the edges "
        "are: (0,1) (1,2) (2,3)\nQ: Is there a cycle in this graph?\nA:",
        "No, there is no cycle in this graph.",
    ),
    "flow": (
        "In a directed graph, the nodes are numbered from 0 to 2, and the edges are:\n"
        "an edge from node 0 to node 1 with capacity 5,\n"
        "an edge from node 1 to node 2 with capacity 3.\n"
        "Q: What is the maximum flow from node 0 to node 2?\nA:",
        "The maximum flow from node 0 to node 2 is 3.",
    ),
    "GNN": (
        "In an undirected graph, the nodes are numbered from 0 to 2, and every node has an "
        f"embedding. {_UNDIRECTED}\nEmbeddings:\nnode 0: [1,0]\nnode 1: [0,1]\nnode 2: [1,1]\n"
        "The edges are: (0,1) (1,2)\nIn a simple graph convolution layer, each node's embedding is "
        "updated by the sum of its neighbors' embeddings.\nQ: What's the embedding of each node "
        "after two layers of simple graph convolution layer?\nA:",
        "The answer is:\nnode 0: [2,1]\nnode 1: [0,2]\nnode 2: [2,1]\n",
    ),
    "hamilton": (
        f"In an undirected graph, {_UNDIRECTED}\nThe nodes are numbered from 0 to 3, and the edges "
        "are: (0,1) (0,2) (1,3) (2,3)\nQ: Is there a path in this graph that visits every node "
        "exactly once? If yes, give the path. Note that in a path, adjacent nodes must be connected "
        "with edges.\nA:",
        "Yes. The path can be: 0,1,3,2",
    ),
    "matching": (
        "There are 3 job applicants numbered from 0 to 2, and 2 jobs numbered from 0 to 1. Each "
        "applicant is interested in some of the jobs. Each job can only accept one applicant and a "
        "job applicant can be appointed for only one job.\nApplicant 0 is interested in job 0.\n"
        "Applicant 1 is interested in job 0.\nApplicant 1 is interested in job 1.\n"
        "Q: Find an assignment of jobs to applicants in such that the maximum number of applicants "
        "find the job they are interested in.\nA:",
        "applicant 0: job 3\napplicant 1: job 4\n"
        "2 applicants can find the job they are interested in.",
    ),
    "shortest_path": (
        "In an undirected graph, the nodes are numbered from 0 to 3, and the edges are:\n"
        "an edge between node 0 and node 1 with weight 1,\n"
        "an edge between node 1 and node 3 with weight 1,\n"
        "an edge between node 0 and node 2 with weight 1,\n"
        "an edge between node 2 and node 3 with weight 1,\n"
        "an edge between node 0 and node 3 with weight 4.\n"
        "Q: Give the shortest path from node 0 to node 3.\nA:",
        "The shortest path from node 0 to node 3 is 0,1,3 with a total weight of 2",
    ),
    "topology": (
        "In a directed graph with 4 nodes numbered from 0 to 3:\n"
        "node 0 should be visited before node 1\nnode 0 should be visited before node 2\n"
        "node 2 should be visited before node 3\n"
        "Q: Can all the nodes be visited? Give the solution.\nA:",
        "The solution is: 0,1,2,3.",
    ),
}


def write(folder: Path, levels: dict[str, tuple[str, ...]], split: str = "test") -> Path:
    """NLGraph's folder with one question of every task at every level."""
    for task, (question, answer) in QUESTIONS.items():
        rows: dict[str, Any] = {
            str(number): {"question": question, "answer": answer, "difficulty": level}
            for number, level in enumerate(levels[task])
        }
        (folder / task).mkdir(parents=True)
        (folder / task / f"{split}.json").write_text(json.dumps(rows))
    return folder
