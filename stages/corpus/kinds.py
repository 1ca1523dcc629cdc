"""Kinds of files of documents, by their names alone."""

from pathlib import Path

KINDS = {
    ".jsonl": "lines", ".ndjson": "lines", ".jsonlines": "lines", ".jl": "lines",
    ".json": "json", ".parquet": "parquet", ".pq": "parquet", ".txt": "text", ".text": "text",
}  # fmt: skip
COMPRESSED = (".gz", ".gzip", ".zst", ".zstd", ".bz2")


def kind_of(path: Path) -> str | None:
    """Kind by the name, upper or lower case; none for what is no data."""
    name = path.name.lower()
    packed = next((end for end in COMPRESSED if name.endswith(end)), "")
    kind = KINDS.get(Path(name[: len(name) - len(packed)]).suffix)
    return None if kind == "parquet" and packed else kind
