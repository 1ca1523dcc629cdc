"""Documents of the user's own files or of a hub dataset, streamed through ``datasets``."""

from collections.abc import Iterator
from pathlib import Path

from stages.common.errors import UserError
from stages.corpus.params import CorpusParams

BUILDERS = {".jsonl": "json", ".json": "json", ".parquet": "parquet"}
COMPRESSED = {".gz", ".zst"}


def documents(params: CorpusParams, skip: int = 0) -> Iterator[str]:
    """Yield the texts of the source in its own order, the first ``skip`` left out."""
    from datasets import load_dataset  # 2 s to import: only where it is used

    if params.source == "local":
        assert params.path is not None
        files = local_files(Path(params.path))
        builder = BUILDERS[_suffix(files[0])]
        rows = load_dataset(
            builder, data_files=[str(file) for file in files], split="train", streaming=True
        )
    else:
        assert params.dataset is not None
        rows = load_dataset(
            params.dataset,
            params.config,
            revision=params.revision,
            split="train",
            streaming=True,
        )
    if params.max_documents is not None:
        rows = rows.take(params.max_documents)
    for number, row in enumerate(rows.skip(skip), start=skip + 1):
        text = row.get(params.text_field)
        if not isinstance(text, str):
            raise UserError(
                f"corpus.text_field is {params.text_field!r}, but document {number} has only "
                f"{sorted(row)}; name the field that holds the text"
            )
        yield text


def local_files(path: Path) -> list[Path]:
    """Files of one kind at ``path``, sorted; raises ``UserError`` when there is none."""
    if not path.exists():
        raise UserError(f"corpus.path is {str(path)!r}: no such file or folder")
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    files = [file for file in files if _suffix(file) in BUILDERS]
    if not files:
        raise UserError(f"corpus.path is {str(path)!r}: no JSONL or Parquet file there")
    kinds = {BUILDERS[_suffix(file)] for file in files}
    if len(kinds) > 1:
        raise UserError(f"corpus.path is {str(path)!r}: both JSONL and Parquet; keep one of them")
    return files


def _suffix(path: Path) -> str:
    return Path(path.stem).suffix if path.suffix in COMPRESSED else path.suffix
