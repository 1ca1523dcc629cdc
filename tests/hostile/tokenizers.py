"""Tokenizer files as they are published and as they should not be: each changes ids by accident."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

TEXTS = [f"The number {n * 7919} of größe 日本, is\n\n\tit's {n}?  No.\n" for n in range(200)]
CL100K = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def byte_level(splitter: Any = None, prefix: bool = False) -> Tokenizer:
    """A byte-level BPE; GPT-2's pieces where no splitter is given."""
    tokenizer = Tokenizer(models.BPE())
    level = pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=splitter is None)
    tokenizer.pre_tokenizer = (
        level if splitter is None else pre_tokenizers.Sequence([splitter, level])
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<|endoftext|>"], show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )  # fmt: skip
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


def split_by(pattern: str) -> Any:
    """Pieces of a pattern, as Llama 3, Qwen and OLMo have them."""
    return pre_tokenizers.Split(Regex(pattern), "isolated")


def unigram() -> Tokenizer:
    """SentencePiece's kind: ``</s>`` is a piece of the vocabulary itself."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=200, special_tokens=["<unk>", "<|endoftext|>"], unk_token="<unk>",
        show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


def whole() -> Tokenizer:
    """Llama 2's kind: no pre-tokenizer, spaces made visible by the normalizer."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<unk>", "<|endoftext|>"], show_progress=False
    )
    tokenizer.train_from_iterator([w for t in TEXTS for w in t.split()], trainer)
    return tokenizer


def changed(change: Callable[[dict[str, Any]], None]) -> Callable[[], Tokenizer]:
    """The plain file with its JSON edited."""

    def made() -> Tokenizer:
        content = json.loads(byte_level().to_str())
        change(content)
        return Tokenizer.from_str(json.dumps(content))

    return made


def truncating() -> Tokenizer:
    """As many published models: cut at 128 and padded."""
    tokenizer = byte_level()
    tokenizer.enable_truncation(16)
    tokenizer.enable_padding(length=64, pad_id=7, pad_token="!")
    return tokenizer


def opening(template: str) -> Callable[[], Tokenizer]:
    """A tokenizer that sets tokens around every text."""

    def made() -> Tokenizer:
        tokenizer = byte_level()
        tokenizer.add_special_tokens([AddedToken("<s>"), AddedToken("</s>")])
        tokens = [(name, tokenizer.token_to_id(name)) for name in ("<s>", "</s>")]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=template, special_tokens=tokens
        )
        return tokenizer

    return made


def _ordinary(content: dict[str, Any]) -> None:
    content["added_tokens"][0]["special"] = False


def _dropping(content: dict[str, Any]) -> None:
    content["model"]["dropout"] = 0.5


FILES: dict[str, Callable[[], Tokenizer]] = {
    "truncation and padding": truncating,
    "eos as an ordinary token": changed(_ordinary),
    "bpe dropout": changed(_dropping),
    "opening": opening("<s> $A"),
    "opening and closing": opening("<s> $A </s>"),
    "closing alone": opening("$A </s>"),
    "prefix space": lambda: byte_level(prefix=True),
    "pieces of cl100k": lambda: byte_level(split_by(CL100K)),
    "single digits": lambda: byte_level(split_by(r" ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+")),
    "unigram": unigram,
    "no pre-tokenizer": whole,
}


def save(tokenizer: Tokenizer, folder: Path) -> Path:
    """The folder that ``Encoder`` reads, with the eos named beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"eos_token": "<|endoftext|>"}')
    return folder
