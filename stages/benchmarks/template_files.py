"""A template as a setting and as a file: what can be said of it without transformers."""

import re
from pathlib import Path

from stages.common.errors import UserError
from stages.common.tokenizer_file import settings

NONE, AUTO = "none", "auto"
PLACE = "{task_template}"
"""Where NVIDIA's templates have the prompt."""


def file_of(template: str) -> Path | None:
    """The file that ``template`` names; none for ``none`` and ``auto``."""
    return None if template in (NONE, AUTO) else Path(template)


def read(file: Path, template: str) -> str:
    """The text of a template's file."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise refused(template, reason) from None


def faults(template: str, tokenizer: Path | None, root: Path) -> str:
    """Why a template cannot be used, as far as files tell it without transformers; empty: it may.

    ``tokenizer`` is None where its folder cannot be seen; relative paths start at ``root``.
    """
    file = file_of(template)
    if file is not None:
        try:
            text = read(root / file, template)
        except UserError as error:
            return str(error).partition(": ")[2]
        return _grammar(text) if PLACE not in text else repeated(text)
    if template == NONE or tokenizer is None or not tokenizer.is_dir():
        return ""
    if (tokenizer / "chat_template.jinja").is_file():
        return ""
    if any((tokenizer / "additional_chat_templates").glob("*.jinja")):
        return ""
    if settings(tokenizer / "tokenizer_config.json").get("chat_template"):
        return ""
    if (tokenizer / "chat_template.json").is_file():
        return "chat_template.json is a processor's, and tokenizers do not read it"
    return "the tokenizer has no chat template"


def repeated(text: str) -> str:
    """What is wrong with the places of the prompt in a template of NVIDIA's kind."""
    count = text.count(PLACE)
    return f"{PLACE} stands in it {count} times" if count > 1 else ""


def _grammar(text: str) -> str:
    """The first fault of a Jinja template's grammar."""
    from jinja2 import Environment, TemplateSyntaxError

    if "messages" not in text:
        return f"no {PLACE} in it, and no Jinja over `messages`"
    try:
        # transformers' own tag; its content is read as it stands.
        plain = re.sub(r"\{%-?\s*(end)?generation\s*-?%\}", "", text)
        Environment(extensions=["jinja2.ext.loopcontrols"]).parse(plain)
    except TemplateSyntaxError as error:
        return f"{error.message} (line {error.lineno})"
    return ""


def refused(template: str, reason: str) -> UserError:
    """The one line that names the setting."""
    return UserError(f"benchmarks.template is {template!r}: {reason}")
