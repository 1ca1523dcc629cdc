"""A folder that ``AutoTokenizer`` loads: a byte-level BPE of this corpus, or the base model's own."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from stages.common import paths
from stages.common.errors import UserError
from stages.common.files import sha256, write_json
from stages.common.models import read_tokenizer
from stages.common.outs import building
from stages.common.stage import Job, Stage
from stages.corpus.plan import of_split
from stages.tokenizer.version import VERSION

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

EOS, PAD = "<|endoftext|>", "<|pad|>"
PIECES = r" ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""GPT-2's pieces, but each digit alone. A first digit takes its space with it: with a token of its
own between key and value a small model hardly learns to copy the value."""


def run(job: Job) -> None:
    """Train or fetch the tokenizer of ``tokenizer``."""
    params = job.params.tokenizer
    if params.source == "train":
        assert params.vocab_size is not None
        texts = of_split(paths.CORPUS, "train")
        tokenizer: PreTrainedTokenizerBase = train(texts, params.vocab_size)
    else:
        tokenizer = fetch(params.source, params.revision)
    with building(paths.TOKENIZER) as out:
        tokenizer.save_pretrained(out)
        files = sorted(file.name for file in out.iterdir())
        write_json(
            out / "manifest.json",
            {
                "version": VERSION,
                "source": params.source,
                # Not their number: a file may leave ids out, and the embedding needs the greatest.
                "vocab_size": max(tokenizer.get_vocab().values()) + 1,
                "eos_id": tokenizer.eos_token_id,
                "pad_id": tokenizer.pad_token_id,
                "hashes": {name: sha256(out / name) for name in files},
            },
        )
    print(f"tokenizer: {len(tokenizer):,} tokens", flush=True)


def train(texts: Iterator[str], vocab_size: int) -> "PreTrainedTokenizerFast":
    """A byte-level BPE; numbers are split into digits, so that every value is spelt alike."""
    from transformers import PreTrainedTokenizerFast  # alone it needs no torch

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[EOS, PAD],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    if tokenizer.get_vocab_size() < vocab_size:
        raise UserError(
            f"tokenizer.vocab_size is {vocab_size}, but the corpus yields only "
            f"{tokenizer.get_vocab_size()}; lower it or give more text"
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=EOS, pad_token=PAD, padding_side="left"
    )


def fetch(source: str, revision: str | None) -> "PreTrainedTokenizerBase":
    """The tokenizer of a Hugging Face folder or hub id; it must have an end-of-text token."""
    if source.startswith((".", "/")) and not Path(source).is_dir():
        raise UserError(f"tokenizer.source is {source!r}: no such folder")
    try:
        tokenizer: PreTrainedTokenizerBase = read_tokenizer(source, revision=revision)
    except MemoryError:
        raise
    except Exception as error:  # the file's reader raises whatever it stumbles over
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"tokenizer.source is {source!r}: {reason}") from None
    if tokenizer.eos_token_id is None:
        raise UserError(f"tokenizer.source is {source!r}: it has no eos token, documents need one")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "left"
    return tokenizer


STAGE = Stage(name="tokenizer", version=VERSION, reads=("tokenizer",), run=run)
