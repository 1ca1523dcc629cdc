"""Where a model and its tokenizer stand on this machine."""

import hashlib
import os
from pathlib import Path

from stages.common import runs
from stages.common.errors import UserError

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
    """The model's folder, or one under ``REPO_RUNS`` with its slow tokenizer made fast."""
    if (model / "tokenizer.json").is_file():
        return model
    key = hashlib.sha256(os.fsencode(model)).hexdigest()[:16]
    out = runs.root() / "tokenizers" / key
    if not (out / "tokenizer.json").is_file():
        from transformers import AutoTokenizer

        try:
            AutoTokenizer.from_pretrained(model, trust_remote_code=False).save_pretrained(out)
        except Exception as error:  # every tokenizer's own
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UserError(f"{model}: no tokenizer in it ({reason})") from None
        if not (out / "tokenizer.json").is_file():
            raise UserError(f"{model}: its tokenizer has no fast form (tokenizer.json)")
    return out
