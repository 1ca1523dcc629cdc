"""Where a model and its tokenizer stand on this machine."""

import contextlib
import hashlib
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from stages.common import runs
from stages.common.errors import UserError
from stages.common.files import sha256
from stages.common.models import read_tokenizer
from stages.common.tokenizer_file import unlisted

_TOKENIZER = (".json", ".txt", ".model", ".jinja", ".vocab", ".tiktoken")
"""Ends of a tokenizer's files."""
_IDS_OF_THE_END = ("config.json", "generation_config.json")
_WANTED = ["*.json", "*.safetensors", "*.txt", "*.model", "*.py"]


def model_folder(path_or_id: str) -> Path:
    """The folder of a model; a hub id is fetched, or found in the hub's cache when offline."""
    folder = Path(path_or_id)
    if folder.is_dir():
        return folder.absolute()
    if folder.exists() or path_or_id.startswith((".", "/")) or path_or_id.count("/") > 1:
        raise UserError(f"MODEL is {path_or_id!r}: no such folder")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(path_or_id, allow_patterns=_WANTED))
    except Exception as error:  # the hub's, the network's and the cache's errors share no base
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"MODEL is {path_or_id!r}: neither a folder nor found: {reason}") from None


def tokenizer_folder(model: Path) -> Path:
    """The model's folder, or one under ``REPO_RUNS`` with its tokenizer as training reads it.

    That is, made fast, and with the tokens that stand beside tokenizer.json alone.
    """
    fast = (model / "tokenizer.json").is_file()
    if fast and not unlisted(model):
        return model
    names = sorted(n.name for n in model.iterdir() if n.is_file() and n.suffix in _TOKENIZER)
    told = [f"{name} {sha256(model / name)}" for name in names]
    key = hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]
    out = runs.root() / "tokenizers" / key
    if not (out / "tokenizer.json").is_file():
        out.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=out.parent) as made:
            _save(model, Path(made) / key)
            if not (Path(made) / key / "tokenizer.json").is_file():
                raise UserError(f"{model}: its tokenizer has no fast form (tokenizer.json)")
            for name in _IDS_OF_THE_END if fast else ():
                if (model / name).is_file():
                    shutil.copyfile(model / name, Path(made) / key / name)
            with contextlib.suppress(OSError):  # another command was faster
                (Path(made) / key).rename(out)
    return out


def _save(model: Path, out: Path) -> None:
    try:
        read_tokenizer(str(model)).save_pretrained(out)
    except Exception as error:  # every tokenizer's own
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{model}: no tokenizer in it ({reason})") from None
