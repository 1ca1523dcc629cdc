"""Model folders: loading with what is wrong in one line, and the tokenizer beside the weights.

The libraries of models are imported with the first model; the driver of a training has none.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stages.common.errors import UserError


def load_model(source: Path | str, field: str, **options: Any) -> Any:
    """``repo_model.load``; raises a ``UserError`` that names ``field`` and the source."""
    from transformers.utils import logging as transformers_logging

    import repo_model

    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    with one_line(f"{field} is {str(source)!r}"):
        return repo_model.load(str(source), **options)


@contextmanager
def one_line(what: str) -> Iterator[None]:
    """What reading a model's files raises, as a ``UserError`` that begins with ``what``.

    A config.json is the user's, and the code that reads it raises whatever it stumbles over: KeyError
    for an unknown rope_type, TypeError for a text in a number's place. A lack of memory and what goes
    wrong in a kernel (RuntimeError) is not the file's fault and passes.
    """
    try:
        yield
    except (UserError, RuntimeError, MemoryError):
        raise
    except (OSError, ValueError) as error:
        raise UserError(f"{what}: {_first_line(error)}") from None
    except Exception as error:
        raise UserError(
            f"{what}: its config.json cannot be read ({type(error).__name__}: {_first_line(error)}); "
            "copy the model's files again"
        ) from None


def _first_line(error: Exception) -> str:
    """The first line; where it only announces the second, both."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return " ".join(line.strip() for line in lines[: 2 if lines[0].endswith(":") else 1])


def copy_tokenizer(source: Path, out: Path) -> None:
    """Put the tokenizer's files of ``source`` beside the model in ``out``, so that it stands alone."""
    for file in sorted(source.iterdir()):
        if file.is_file() and ("token" in file.name or file.name in {"vocab.json", "merges.txt"}):
            shutil.copyfile(file, out / file.name)
