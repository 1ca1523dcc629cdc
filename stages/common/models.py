"""Model folders: loading with what is wrong in one line, and the tokenizer beside the weights.

The libraries of models are imported with the first model; the driver of a training has none.
"""

import shutil
from pathlib import Path
from typing import Any

from stages.common.errors import UserError


def load_model(source: Path | str, field: str, **options: Any) -> Any:
    """``repo_model.load``; raises a ``UserError`` that names ``field`` and the source."""
    from transformers.utils import logging as transformers_logging

    import repo_model

    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        return repo_model.load(str(source), **options)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{field} is {str(source)!r}: {reason}") from None


def copy_tokenizer(source: Path, out: Path) -> None:
    """Put the tokenizer's files of ``source`` beside the model in ``out``, so that it stands alone."""
    for file in sorted(source.iterdir()):
        if file.is_file() and ("token" in file.name or file.name in {"vocab.json", "merges.txt"}):
            shutil.copyfile(file, out / file.name)
