"""Prompts as a user's turn: ``none``, the tokenizer's own chat template (``auto``), or a file's.

A file is a Jinja template, as transformers and vLLM take it, or text with ``{task_template}`` in the
place of the prompt, as NVIDIA/RULER's ``template.py`` holds them. RULER's answer prefix stands behind
the template: it begins the assistant's turn. LongBench's few-shot and code tasks get no template, as
in its ``pred.py``. The template counts towards the length; its tokens are control tokens, while the
same strings inside a prompt stay text.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from tokenizers import Encoding, Tokenizer

from stages.benchmarks.template_files import NONE, PLACE, file_of, read, refused, repeated
from stages.common.encoder import Encoder, Located, Span
from stages.common.errors import UserError

PLAIN_TASKS = frozenset(("trec", "triviaqa", "samsum", "lsht", "lcc", "repobench-p"))
"""LongBench asks these without a template (THUDM/LongBench@2e00731 ``pred.py``)."""
_PROBE = "Sphinx"
"""Stands for the prompt while a template is rendered."""
_HARD = "Say \"{x}\" & <b>'é'</b>\n\n1\\2 {{ y }} {% z %}"
"""A prompt that a template must write as it is: no escapes, no second rendering."""
_DAY = datetime(2024, 7, 26)
"""Templates that write the date (Llama-3's, SmolLM3's) would have other tokens tomorrow."""
_SLACK = 4
"""Tokens by which a prompt may grow where it meets the template: a split pair on either side."""


@dataclass(frozen=True)
class Template:
    """``head + prompt + tail + answer prefix``."""

    head: str
    tail: str
    stripped: bool
    """Whether the template strips the prompt, as Llama-3's does."""
    whole: bool
    """Whether it writes the opening token (``<s>``) itself, as all Jinja templates do."""


def template_of(template: str, tokenizer: Path) -> Template | None:
    """The template that a setting names, rendered; none for ``none``.

    Raises ``UserError`` where there is none, or where it does not hold the prompt once.
    """
    if template == NONE:
        return None
    file = file_of(template)
    text = None if file is None else read(file, template)
    if text is not None and PLACE in text:
        if reason := repeated(text):
            raise refused(template, reason)
        head, _, tail = text.partition(PLACE)
        return Template(head, tail, stripped=False, whole=False)
    rendered = _rendered(template, text, tokenizer, f" {_PROBE} ")
    if rendered.count(_PROBE) != 1:
        raise refused(template, f"the prompt stands in it {rendered.count(_PROBE)} times")
    head, _, tail = rendered.partition(_PROBE)
    outside = head.removesuffix(" ") + _HARD + tail.removeprefix(" ")
    if _rendered(template, text, tokenizer, _HARD) != outside:
        raise refused(template, "it writes a prompt otherwise than it is given (escaped, cut?)")
    if head.endswith(" ") and tail.startswith(" "):
        plain = _rendered(template, text, tokenizer, _PROBE)
        if len(plain) == len(rendered) - 2:
            return Template(head[:-1], tail[1:], stripped=False, whole=True)
    return Template(head, tail, stripped=True, whole=True)


class Chat:
    """A template and the tokenizer that reads its control tokens."""

    def __init__(self, template: Template, encoder: Encoder) -> None:
        self._template, self._encoder = template, encoder
        self._tokenizer = Tokenizer.from_str(encoder.tokenizer.to_str())
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = False
        around = [template.head, template.tail]
        self.reserved = sum(len(self._encode(text).ids) for text in around) + _SLACK
        """Tokens that a prompt grows by, at most."""

    def asked(self, row: dict[str, Any]) -> dict[str, Any]:
        """The sample with the template around its ``input``: ids, and spans that moved with them.

        Raises ``UserError`` where prompt and budget pass the sample's length.
        """
        text: str = row["input"]
        kept = text.strip() if self._template.stripped else text
        cut = len(text) - len(text.lstrip()) if self._template.stripped else 0
        head, tail = self._template.head, self._template.tail + row["answer_prefix"]
        encoding = Encoding.merge(
            [self._encode(part) for part in self._parts(head, kept, tail)], growing_offsets=True
        )
        located = Located(list(encoding.ids), list(encoding.offsets))
        before = self._encoder.locate(text + row["answer_prefix"])

        def moved(place: int) -> int:
            inside = place <= len(text)
            shift = len(head) - cut if inside else len(head) + len(kept) + len(tail)
            return place + (shift if inside else shift - len(text) - len(row["answer_prefix"]))

        def span(old: Span) -> Span:
            start, end = before.characters(old)
            return located.span(moved(start), moved(end))

        if len(located.ids) + row["max_new_tokens"] > row["length"]:
            raise UserError(
                f"benchmarks.template: {row['id']} takes {len(located.ids)} tokens and "
                f"{row['max_new_tokens']} new ones, more than {row['length']}; take a longer length"
            )
        return row | {
            "prompt_ids": located.ids,
            "whole": self._template.whole,
            "needle_span": [span(old) for old in row["needle_span"]],
            "query_span": [span(old) for old in row["query_span"]],
        }

    def _parts(self, head: str, text: str, tail: str) -> list[str]:
        """The whole in pieces, so that no control token's string in the prompt is in one piece."""
        *first, last = self._encoder.broken(text)
        if not first:
            return [head + last + tail]
        return [head + first[0], *first[1:], last + tail]

    def _encode(self, text: str) -> Encoding:
        return self._tokenizer.encode(text, add_special_tokens=False)


def is_plain(suite: str, task: str) -> bool:
    """Whether a task is asked without a template: LongBench's few-shot and code tasks are."""
    return suite.startswith("longbench") and task.removesuffix("_e") in PLAIN_TASKS


def _on_one_day(text: str) -> str:
    """The template with ``strftime_now`` of ``_DAY``.

    As a macro of the template's own: transformers takes no function from outside. The newline behind
    it is trimmed, as after every block, so that the template still begins a line.
    """
    if "strftime_now" not in text:
        return text
    codes = [f"%{flag}{letter}" for flag in ("-", "") for letter in "aAbBdeHIjmMpSyY"]
    filled = "".join(f" | replace('{code}', '{_DAY.strftime(code).strip()}')" for code in codes)
    return f"{{% macro strftime_now(format) %}}{{{{ format{filled} }}}}{{% endmacro %}}\n{text}"


@lru_cache(maxsize=1)
def _transformers(tokenizer: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tokenizer, trust_remote_code=False)


def _rendered(template: str, text: str | None, tokenizer: Path, prompt: str) -> str:
    try:
        loaded = _transformers(tokenizer.absolute())
    except Exception as error:  # every tokenizer's own
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise refused(template, f"{tokenizer}: its tokenizer cannot be read ({reason})") from None
    if text is None and not loaded.chat_template:
        raise refused(template, f"{tokenizer} has no chat template; give a file, or {NONE}")
    try:
        text = _on_one_day(text or loaded.get_chat_template())
        return str(
            loaded.apply_chat_template(
                [{"role": "user", "content": prompt}],
                chat_template=text,
                tokenize=False,
                add_generation_prompt=True,
                date_string=f"{_DAY:%d %b %Y}",
            )
        )
    except Exception as error:  # templates are code of others, and raise what they like
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise refused(template, reason) from None
