"""Convert checkpoints: `python -m repo_model.convert IN OUT --to hf|official`.

IN is any checkpoint that `repo_model.load` reads (own, official RePo, plain backbone), or an
unsharded OLMo training checkpoint (config.yaml beside model.safetensors or model.pt). `hf` is this
project's self-contained folder, `official` the format of the official RePo code. Weights keep their
bits; tokenizer files are copied.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from transformers.utils import logging as transformers_logging

from .loading import load
from .official_format import save_official
from .olmo_native import is_native, load_native
from .stored import stored_dtypes

TOKENIZER_FILES = (
    "tokenizer*",
    "special_tokens_map.json",
    "vocab.*",
    "merges.txt",
    "chat_template*",
    "added_tokens.json",
)


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    to: str,
    positions: str | Iterable[str] | None = None,
) -> None:
    """Convert the checkpoint folder `source` into the new folder `target`.

    Args:
        to: `hf` or `official`.
        positions: only for an OLMo-native checkpoint with NoPE layers, which cannot be told.

    Raises:
        ValueError: an unreadable source, a target that is not empty, or a model the official format
            cannot express.
    """
    source, target = Path(source), Path(target)
    if to not in ("hf", "official"):
        raise ValueError(f"to={to!r} is unknown; choose hf or official")
    if target.exists() and any(target.iterdir()):
        raise ValueError(f"{target} is not empty")
    if not source.is_dir():
        raise ValueError(f"{source}: no such folder")
    if is_native(source):
        model = load_native(source, positions)
    elif positions is not None:
        raise ValueError("positions belong to OLMo-native checkpoints only")
    else:
        if len(dtypes := stored_dtypes(source)) > 1:
            names = ", ".join(sorted(str(dtype).removeprefix("torch.") for dtype in dtypes))
            raise ValueError(f"{source}: weights of several dtypes ({names})")
        model = load(source)
    if to == "official":
        save_official(model, target)
    else:
        model.save_pretrained(target)
    for pattern in TOKENIZER_FILES:
        for file in source.glob(pattern):
            shutil.copyfile(file, target / file.name)


def main(arguments: list[str] | None = None) -> int:
    """The command line; 2 and one line on a user's mistake."""
    parser = argparse.ArgumentParser(
        prog="python -m repo_model.convert",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="IN")
    parser.add_argument("target", metavar="OUT")
    parser.add_argument("--to", required=True, choices=("hf", "official"))
    parser.add_argument(
        "--positions", help="OLMo-native only: rope, nope, r2n1, n2r1, or a comma list"
    )
    options = parser.parse_args(arguments)
    positions = options.positions
    if positions and "," in positions:
        positions = positions.split(",")
    transformers_logging.disable_progress_bar()
    try:
        convert(options.source, options.target, options.to, positions)
    except (ValueError, OSError) as error:
        print(f"repo_model.convert: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
