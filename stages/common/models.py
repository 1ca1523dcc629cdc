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


def _own_class(source: str, **hub: Any) -> Any:
    """The tokenizer by its folder's own class; its import takes torch, and most of a chat's check."""
    from transformers import AutoTokenizer

    # trust_remote_code: else a folder with code of its own asks the terminal, and waits.
    return AutoTokenizer.from_pretrained(source, trust_remote_code=False, **hub)


def read_tokenizer(source: str, **hub: Any) -> Any:
    """A folder's or hub id's tokenizer for transformers, with the ids that its tokenizer.json gives.

    transformers builds many classes anew around vocabulary and merges, with the pieces and the
    normalizer that the class knows: SmolLM2's single digits, or an own tokenizer in a folder of
    Qwen2's, would be lost, and nothing said. So the plain class reads the file; the folder's own class
    is asked where there is no such file, and for an end of text that only the class names.
    """
    from transformers import PreTrainedTokenizerFast
    from transformers.utils import cached_file

    there = cached_file(
        source, "tokenizer.json", _raise_exceptions_for_missing_entries=False, **hub
    )
    if there is None:
        return _own_class(source, **hub)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(source, **hub)
    if tokenizer.eos_token is None:
        named = _own_class(source, **hub).eos_token
        if named in tokenizer.get_vocab():
            tokenizer.eos_token = named
    return tokenizer


def _first_line(error: Exception) -> str:
    """The first line; where it only announces the second, both."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return " ".join(line.strip() for line in lines[: 2 if lines[0].endswith(":") else 1])


def copy_tokenizer(source: Path, out: Path) -> None:
    """Put the tokenizer's files of ``source`` beside the model in ``out``, so that it stands alone."""
    for file in sorted(source.iterdir()):
        if file.is_file() and ("token" in file.name or file.name in {"vocab.json", "merges.txt"}):
            shutil.copyfile(file, out / file.name)
