"""Is it retrieval? The samples of a needle task again, each time with one thing changed.

    repo-pipeline run                               # makes data/benchmarks and the models
    python examples/controls.py models/base models/rope-42 models/repo-42 --out controls

- ``as it is``: the samples themselves.
- ``values moved``: the values of a sample are dealt out anew among its keys; the expected answer stays.
  Who reads the text now scores what a guess among the sample's values would.
- ``invented keys``: every key becomes random letters, so none was ever seen; haystack gives way.
- ``another wording``, ``value first``: needles in sentences that no training document here has.

Each control is a folder in RULER's own layout, measured by ``repo-pipeline evaluate --data``. ``--out``
gets these folders, the evaluations and ``controls.json``. The samples are those of ``data/benchmarks``,
so a cell of ``as it is`` must equal the report's.
"""

import argparse
import json
import re
import string
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

NEEDLE = re.compile(
    r"One of the special magic (?P<thing>\w+) for (?P<key>.+?) is: (?P<value>\S+)\."
)
WORDINGS = {
    "another wording": "On the box of {key} somebody had painted {value}.",
    "value first": "They wrote {value} beside {key}.",
}
Row = dict[str, Any]


def as_it_is(row: Row, rng: Random) -> Row:
    """The sample itself."""
    return row


def values_moved(row: Row, rng: Random) -> Row:
    """The sample's values among its keys in a random order; the expected answer stays."""
    values = [found["value"] for found in NEEDLE.finditer(row["input"])]
    rng.shuffle(values)
    dealt = iter(values)
    return _needles(
        row, lambda found: f"{found[0].removesuffix(found['value'] + '.')}{next(dealt)}."
    )


def invented_keys(row: Row, rng: Random) -> Row:
    """Random letters for every letter of a key, in the needles and in the question."""
    new: dict[str, str] = {}
    for found in NEEDLE.finditer(row["input"]):
        letters = (rng.choice(string.ascii_lowercase) if c.isalpha() else c for c in found["key"])
        new.setdefault(found["key"], "".join(letters))
    changed = dict(row)
    for part in ("input", "answer_prefix"):
        for old, key in new.items():
            changed[part] = re.sub(rf"(?<![\w-]){re.escape(old)}(?![\w-])", key, changed[part])
    return changed


def worded(wording: str) -> Callable[[Row, Random], Row]:
    """Needles in another sentence."""
    return lambda row, rng: _needles(row, lambda found: wording.format(**found.groupdict()))


CONTROLS: dict[str, Callable[[Row, Random], Row]] = {
    "as it is": as_it_is,
    "values moved": values_moved,
    "invented keys": invented_keys,
    **{name: worded(wording) for name, wording in WORDINGS.items()},
}


def _needles(row: Row, change: Callable[[re.Match[str]], str]) -> Row:
    return {**row, "input": NEEDLE.sub(change, row["input"])}


def fitted(row: Row, most: int, count: Callable[[str], int], rng: Random) -> Row:
    """The sample with sentences of haystack taken out at random until it has ``most`` tokens.

    Raises ``ValueError`` where needles and question alone have more.
    """
    opening, rest = row["input"].split("\n", 1)
    context, question = rest.rsplit("\n", 1)
    parts = re.split(r"(?<=[.?!])(?=\s)", context)  # each with the space before it
    while True:
        text = "\n".join((opening, "".join(parts), question))
        if count(text + row["answer_prefix"]) <= most:
            return {**row, "input": text}
        hay = [i for i, part in enumerate(parts) if not any(v in part for v in row["candidates"])]
        if not hay:
            raise ValueError(f"{row['id']}: the needles alone have more than {most} tokens")
        del parts[rng.choice(hay)]


def write(rows: Sequence[Row], out: Path, seed: int, count: Callable[[str], int]) -> Iterator[str]:
    """A folder of RULER's layout for every control; yields the controls' names."""
    for control, change in CONTROLS.items():
        file = folder(out, control) / str(rows[0]["length"]) / "data" / rows[0]["task"]
        file.mkdir(parents=True, exist_ok=True)
        lines = []
        for row in rows:
            rng = Random(f"{seed}/{control}/{row['id']}")
            changed = fitted(change(row, rng), len(row["prompt_ids"]), count, rng)
            kept = {key: changed[key] for key in ("index", "input", "outputs", "answer_prefix")}
            lines.append(json.dumps(kept, ensure_ascii=False) + "\n")
        (file / "validation.jsonl").write_text("".join(lines), encoding="utf-8")
        yield control


def folder(out: Path, control: str) -> Path:
    """Where a control's samples are."""
    return out / "samples" / control.replace(" ", "-")


def measure(model: Path, out: Path, control: str, row: Row, num: int) -> dict[str, Any]:
    """A model's cell for a control, by ``repo-pipeline evaluate``."""
    task, length = row["task"], str(row["length"])
    to = out / "scores" / control.replace(" ", "-") / model.name
    command = [
        *(str(Path(sys.executable).with_name("repo-pipeline")), "evaluate", str(model)),
        *("--suite", "ruler", "--tasks", task, "--lengths", length, "--num", str(num)),
        *("--data", str(folder(out, control)), "--new-tokens", str(row["max_new_tokens"])),
        *("--out", str(to)),
    ]
    done = subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
    if done.returncode:
        raise SystemExit(done.returncode)
    metrics = json.loads((to / "metrics.json").read_text(encoding="utf-8"))
    cell = metrics["cells"][task][length]
    return {key: cell[key] for key in ("score", "stderr", "n")}


def main() -> int:
    """Write the controls, measure the models, print a table; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", type=Path, nargs="+", help="folders of models/")
    parser.add_argument("--benchmarks", type=Path, default=Path("data/benchmarks"))
    parser.add_argument("--tokenizer", type=Path, default=Path("data/tokenizer"))
    parser.add_argument("--task", default="niah_multikey_1")
    parser.add_argument("--length", type=int, default=512, help="tokens")
    parser.add_argument("--seed", type=int, default=42, help="of what is changed")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    source = options.benchmarks / "ruler" / f"{options.task}-{options.length}.jsonl"
    if not source.is_file():
        print(f"{source}: no such file; `repo-pipeline run benchmarks` makes it", file=sys.stderr)
        return 2
    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    if not all(NEEDLE.search(row["input"]) and len(row["candidates"]) > 1 for row in rows):
        print(f"{source}: no task of several needles; take niah_multikey_1", file=sys.stderr)
        return 2
    from stages.common.encoder import Encoder

    count = Encoder(options.tokenizer).count
    guess = 100 * sum(1 / len(row["candidates"]) for row in rows) / len(rows)
    found: dict[str, Any] = {"task": options.task, "length": options.length, "guess": guess}
    found["scores"] = {}
    print(f"{'':16}" + "".join(f"{model.name:>15}" for model in options.models), flush=True)
    for control in write(rows, options.out, options.seed, count):
        cells = {
            model.name: measure(model, options.out, control, rows[0], len(rows))
            for model in options.models
        }
        found["scores"][control] = cells
        scores = (f"{cell['score']:.1f} ± {cell['stderr']:.1f}" for cell in cells.values())
        print(f"{control:16}" + "".join(f"{text:>15}" for text in scores), flush=True)
        (options.out / "controls.json").write_text(json.dumps(found, indent=1) + "\n")
    print(f"a guess among the values of a sample: {guess:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
