"""A tokenizer of bytes, ``<eos>`` 0 and ``<pad>`` 1, and names that no text has up to 300 ids."""

from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

VOCABULARY = 300


def save_tokenizer(folder: Path) -> None:
    """Write ``tokenizer.json`` and what names its end into ``folder``."""
    names = ["<eos>", "<pad>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    names += [f"extra{i}" for i in range(VOCABULARY - len(names))]
    tokenizer = Tokenizer(models.BPE({name: i for i, name in enumerate(names)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"eos_token": "<eos>"}')
