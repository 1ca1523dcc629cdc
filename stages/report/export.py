"""A trained model as a folder for the hub: ``repo-pipeline export models/repo-42 OUT``.

OUT gets weights, config, tokenizer, the modelling code and a model card made from the run's records
(``stages.report.card``). ``--push ORG/NAME`` uploads it to a private repository, and asks first.
"""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from stages.common.command import Parser, ended
from stages.common.errors import UserError
from stages.common.outs import building
from stages.report import card

CARD = "README.md"
LEFT_BEHIND = ("tokenizer_manifest.json", "moments")
"""What only this pipeline reads; a name or the start of one."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit with the code that says how it ended."""
    parser = Parser(prog="repo-pipeline export", description=__doc__)
    parser.add_argument("model", type=Path, help="models/<variant>-<seed>, or its -extended folder")
    parser.add_argument("out", type=Path, help="new folder")
    parser.add_argument("--license", dest="licence", help="the hub's id of a licence: apache-2.0")
    parser.add_argument("--push", metavar="ORG/NAME", help="upload it there; asks first")
    parser.add_argument("--yes", action="store_true", help="upload without asking")
    options = parser.parse_args(arguments)
    ended(lambda: _export(options))


def _export(options: Any) -> None:
    if options.push:
        _refuse_push(options)
    export(options.model, options.out, options.licence)
    size = sum(file.stat().st_size for file in options.out.iterdir()) / 1e6
    print(f"{options.out}: {size:,.1f} MB, card in {options.out / CARD}", flush=True)
    if options.push:
        _push(options, size)


def export(model: Path, out: Path, licence: str | None = None) -> None:
    """Write the folder ``out``, whole or not at all; ``UserError`` where it exists."""
    if not model.is_dir():
        raise UserError(f"model is {model}: no such folder; give models/<variant>-<seed>")
    if out.exists():
        raise UserError(f"out is {out}: it exists; name a new folder")
    text = card.write(card.read(model), licence)
    if not list(model.glob("*.safetensors")):
        raise UserError(f"{model}: no weights (safetensors) in it; run dvc pull {model}")
    with building(out) as new:
        new.mkdir()
        for file in sorted(model.iterdir()):
            if file.is_file() and not file.name.startswith((".", CARD, *LEFT_BEHIND)):
                shutil.copyfile(file, new / file.name)  # bytes, not DVC's link into its cache
        (new / CARD).write_text(text, encoding="utf-8")


def _refuse_push(options: Any) -> None:
    """Everything that can be known before a byte is copied."""
    from huggingface_hub import get_token
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    try:
        validate_repo_id(options.push)
        valid = options.push.count("/") == 1
    except HFValidationError:
        valid = False
    if not valid:
        raise UserError(f"--push is {options.push!r}: not a name of the hub; give ORG/NAME")
    if not options.licence:
        raise UserError("--push without --license: a published model has one; add --license ID")
    if not get_token():
        raise UserError(
            "--push: nobody is logged in to the hub; run hf auth login, or set HF_TOKEN"
        )
    if not options.yes and not sys.stdin.isatty():
        raise UserError("--push: nobody here to ask; add --yes to upload")


def _push(options: Any, megabytes: float) -> None:
    from huggingface_hub import HfApi

    where = f"{options.push}, a private repository unless it exists"
    if not options.yes:
        answer = input(f"Upload {megabytes:,.1f} MB to {where}? [y/N] ")
        if answer.strip().lower() not in ("y", "yes"):
            print(f"nothing was uploaded; the folder is {options.out}")
            return
    api = HfApi()
    api.create_repo(options.push, private=True, exist_ok=True)
    found = api.upload_folder(repo_id=options.push, folder_path=options.out)
    print(f"uploaded: {found}")


if __name__ == "__main__":
    main(sys.argv[1:])
