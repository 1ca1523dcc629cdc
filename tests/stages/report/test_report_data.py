"""What the trainings read of each source, from the manifest and the params alone."""

from pathlib import Path

from pipeline.use import profiles
from stages.common.files import write_json
from stages.params import load
from stages.report import data

SIZES = {"python": 3_000, "short": 40_000, "medium": 40_000, "long": 60_000}


def test_the_table_has_tokens_shares_and_passes_of_every_training(folder: Path) -> None:
    (folder / "params.yaml").write_text(profiles()["smoke"])
    params = load(folder / "params.yaml")
    shards = [{"split": "train", "source": n, "tokens": size} for n, size in SIZES.items()]
    shards.append({"split": "validation", "source": "long", "tokens": 500})
    write_json(folder / "data/tokens/manifest.json", {"shards": shards})
    base, train = data.collect(params)
    assert base["training"] == "base"
    assert set(base["sources"]) == set(SIZES)
    assert set(train["sources"]) == {"python", "long"}
    assert sum(part["tokens"] for part in train["sources"].values()) == 30720
    long = train["sources"]["long"]
    assert long["passes"] == round(long["tokens"] / SIZES["long"], 4)
    rows = {row.name: row for group in data.table([base, train]).groups for row in group.rows}
    assert rows["long"].cells[0].text == f"{long['tokens']:,}"


def test_more_than_four_passes_are_marked() -> None:
    part = {"tokens": 10, "share": 1.0, "passes": 4.5}
    (row,) = data.table([{"training": "t", "sources": {"a": part}}]).groups[0].rows
    assert (row.cells[2].text, row.cells[2].mark) == ("4.50", "▲")
