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
so a cell of ``as it is`` must equal the report's. A sample that cannot be made as short as it was ends
the script before a model is measured.
"""

import argparse
import json
import re
import string
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, NoReturn

from stages.common.command import ended
from stages.common.errors import UserError
from stages.common.files import read_jsonl, replacing

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

    Raises ``UserError`` where needles and question alone have more.
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
            raise UserError(f"{row['id']}: the needles alone have more than {most} tokens")
        del parts[rng.choice(hay)]


def changed(control: str, rows: Sequence[Row], seed: int, count: Callable[[str], int]) -> list[Row]:
    """The samples of a control, each with at most the tokens that it had."""
    found = []
    for row in rows:
        rng = Random(f"{seed}/{control}/{row['id']}")
        try:
            found.append(fitted(CONTROLS[control](row, rng), len(row["prompt_ids"]), count, rng))
        except UserError as error:
            raise UserError(f"{error} ({control}); take another --task or --length") from None
    return found


def write(rows: Sequence[Row], out: Path, control: str) -> None:
    """A folder of RULER's layout for a control."""
    data = folder(out, control) / str(rows[0]["length"]) / "data" / rows[0]["task"]
    lines = (
        {key: row[key] for key in ("index", "input", "outputs", "answer_prefix")} for row in rows
    )
    with replacing(data / "validation.jsonl") as temporary:
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        temporary.write_text(text, encoding="utf-8")


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
        raise SystemExit(done.returncode)  # it has said why
    metrics = json.loads((to / "metrics.json").read_text(encoding="utf-8"))
    cell = metrics["cells"][task][length]
    return {key: cell[key] for key in ("score", "stderr", "n")}


def samples(file: Path) -> list[Row]:
    """The samples of a needle task with several needles. Raises ``UserError`` for others."""
    if not file.is_file():
        raise UserError(f"{file}: no such file; `repo-pipeline run benchmarks` makes it")
    rows = list(read_jsonl(file))
    if not rows or not all(map(_has_needles, rows)):
        raise UserError(f"{file}: no task of several needles; take niah_multikey_1")
    return rows


def _has_needles(row: Any) -> bool:
    known = isinstance(row, Mapping) and {"input", "candidates", "prompt_ids"} <= row.keys()
    return known and bool(NEEDLE.search(row["input"])) and len(row["candidates"]) > 1


def main() -> NoReturn:
    """Write the controls, measure the models, print a table, and exit."""
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
    ended(lambda: run(options))


def run(options: argparse.Namespace) -> None:
    """Write all controls, then measure."""
    names = [model.name for model in options.models]
    if len(set(names)) < len(names):
        raise UserError(f"models: {', '.join(names)}: two folders of one name; rename one")
    rows = samples(options.benchmarks / "ruler" / f"{options.task}-{options.length}.jsonl")
    from stages.common.encoder import Encoder

    count = Encoder(options.tokenizer).count
    made = {control: changed(control, rows, options.seed, count) for control in CONTROLS}
    for model in options.models:
        if not model.is_dir():
            raise UserError(f"models: {model}: no such folder; give models/<variant>-<seed>")
    for control, own in made.items():
        write(own, options.out, control)
    guess = 100 * sum(1 / len(row["candidates"]) for row in rows) / len(rows)
    found: dict[str, Any] = {"task": options.task, "length": options.length, "guess": guess}
    found["scores"] = {}
    print(f"{'':16}" + "".join(f"{name:>15}" for name in names), flush=True)
    for control in CONTROLS:
        cells = {
            model.name: measure(model, options.out, control, rows[0], len(rows))
            for model in options.models
        }
        found["scores"][control] = cells
        scores = (f"{cell['score']:.1f} ± {cell['stderr']:.1f}" for cell in cells.values())
        print(f"{control:16}" + "".join(f"{text:>15}" for text in scores), flush=True)
        with replacing(options.out / "controls.json") as temporary:
            temporary.write_text(json.dumps(found, indent=1) + "\n")
    print(f"a guess among the values of a sample: {guess:.1f}")


if __name__ == "__main__":
    main()
