"""NLGraph's training questions, each with its answer, as documents to train on.

    git clone https://github.com/Arthur-Heng/NLGraph        # MIT
    python examples/nlgraph.py NLGraph/NLGraph my-model --out graphs.jsonl

A document is a question and its answer, as the test's prompt and what it expects. Only what fits the
trained length is taken (``--tokens``, counted by the model's own tokenizer): of a graph that is cut
nothing could be learned. The benchmark's test split is not read, and ``benchmarks.nlgraph`` reads
nothing else; docs/results/graphs was made so.
"""

import argparse
import json
from pathlib import Path
from typing import NoReturn

from stages.benchmarks import nlgraph
from stages.benchmarks.params import NLGraphParams
from stages.common.command import ended
from stages.common.encoder import Encoder
from stages.common.errors import UserError
from stages.common.files import read_json, replacing

TASKS = ("connectivity", "cycle", "flow", "shortest_path")
"""The four that the paper reports."""


def documents(source: Path, task: str, encoder: Encoder, most: int) -> tuple[list[str], int]:
    """Texts of at most ``most`` tokens in the file's order, and how many were longer."""
    file = nlgraph.file(NLGraphParams(path=str(source), split="train"), task)
    rows = read_json(file)
    try:
        texts = [f"{row['question']} {row['answer']}" for row in rows.values()]
    except (AttributeError, KeyError, TypeError):
        raise UserError(f"{file}: not an object of questions, as NLGraph's JSON is") from None
    kept = [text for text in texts if encoder.count(text) <= most]
    return kept, len(texts) - len(kept)


def main() -> NoReturn:
    """Write the documents, say how many of each task, and exit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="the folder NLGraph of its repository")
    parser.add_argument("tokenizer", type=Path, help="the base model's folder")
    parser.add_argument("--tasks", nargs="+", default=TASKS, choices=sorted(nlgraph.LEVELS))
    parser.add_argument("--tokens", type=int, default=500, help="most of a document")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    ended(lambda: run(options))


def run(options: argparse.Namespace) -> None:
    """Write ``--out``; nothing of it is left where a file cannot be read."""
    encoder = Encoder(options.tokenizer)
    with replacing(options.out) as temporary, open(temporary, "w", encoding="utf-8") as out:
        for task in options.tasks:
            kept, longer = documents(options.source, task, encoder, options.tokens)
            out.writelines(json.dumps({"text": text}) + "\n" for text in kept)
            print(f"{task}: {len(kept)} documents, {longer} longer than {options.tokens} tokens")


if __name__ == "__main__":
    main()
