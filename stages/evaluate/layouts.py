"""An evaluation's predictions once more, as the official scripts want them, beside ``samples``.

- ``ruler/<length>/pred/<task>.jsonl``: what NVIDIA's ``call_api.py`` writes and ``evaluate.py`` reads.
- ``longbench/pred/<model>/<task>.jsonl``, for LongBench-E ``pred_e``: what THUDM's ``pred.py`` writes
  and ``eval.py`` reads. With several lengths the model's name has the length behind it.
- ``longbench_v2/<model>.jsonl``: what LongBench v2's ``pred.py`` writes and ``result.py`` reads.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from stages.benchmarks import longbench, longbench_v2, ruler
from stages.common.files import read_jsonl, replacing
from stages.evaluate.measured import Measured
from stages.evaluate.parts import Part
from stages.evaluate.scorers import chosen_letter


def write(folder: Path, outcome: Measured, parts: Iterable[Part]) -> None:
    """Write the predictions of RULER's and LongBench's tasks; of others there is no layout."""
    parts = list(parts)
    several = len({part.length for part in parts}) > 1
    for part in parts:
        place = _place(part, str(outcome.metrics["model"]), several)
        if place is None:
            continue
        rows = _rows(part, outcome.records[part.task, part.length])
        with replacing(folder / place) as temporary, temporary.open("w", encoding="utf-8") as file:
            # In the official order of fields, which `write_jsonl` would sort.
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _place(part: Part, model: str, several: bool) -> Path | None:
    if part.suite == ruler.SUITE:
        return Path(f"ruler/{part.length}/pred/{part.task}.jsonl")
    if part.suite not in (*longbench.SUITES, longbench_v2.SUITE):
        return None
    name = re.sub(r"[^\w.-]+", "-", Path(model).name) or "model"
    kind = "pred_e" if part.suite == longbench.SUITE_E else "pred"
    name += f"-{part.length}" if several else ""
    if part.suite == longbench_v2.SUITE:
        return Path(f"longbench_v2/{name}.jsonl")
    return Path(f"longbench/{kind}/{name}/{part.task.removesuffix('_e')}.jsonl")


def _rows(part: Part, records: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for index, (sample, record) in enumerate(zip(read_jsonl(part.file), records, strict=True)):
        if part.suite == ruler.SUITE:
            yield {
                "index": index,
                "pred": record["prediction"],
                "input": sample["input"] + sample["answer_prefix"],
                "outputs": sample["outputs"],
                "others": {},
                "truncation": -1,
                "length": record["prompt_tokens"] + sample["max_new_tokens"],
            }
        elif part.suite == longbench_v2.SUITE:
            response = record["prediction"].strip()
            judged = {"response": response, "pred": chosen_letter(response)}
            yield {**sample["row"], **judged, "judge": record["score"] == 1.0}
        else:
            yield {
                "pred": record["prediction"],
                "answers": sample["answers"],
                "all_classes": sample["all_classes"],
                "length": sample["words"],
            }
