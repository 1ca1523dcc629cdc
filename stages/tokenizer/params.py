"""Params of the tokenizer."""

from typing import Self

from pydantic import model_validator

from stages.common.schema import Count, Section


class TokenizerParams(Section):
    """A byte-level BPE trained on the corpus, or the base model's own."""

    source: str
    """``train``, or a Hugging Face folder or hub id to take the tokenizer from."""
    revision: str | None = None
    vocab_size: Count | None = None
    """Size of a trained vocabulary, special tokens included."""

    @model_validator(mode="after")
    def _trained_has_size(self) -> Self:
        if self.source == "train" and (self.vocab_size is None or self.vocab_size < 300):
            raise ValueError(
                f"vocab_size is {self.vocab_size}: a trained byte-level BPE needs at least 300 "
                "(256 bytes and its special tokens); 1024 suits a toy"
            )
        return self
