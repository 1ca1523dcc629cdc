"""Chat templates as folders have them: rendered as transformers does, or one line, in ``plan`` too."""

import json
from pathlib import Path

import pytest

from stages.benchmarks import chat, check
from stages.common.errors import UserError
from tests.hostile.tokenizers import byte_level, save

GOOD = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"
SETTINGS: dict[str, tuple[object, str]] = {
    "a list": ([{"name": "default", "template": GOOD}, {"name": "tool_use", "template": "x"}], ""),
    "an object": ({"default": GOOD}, ""),
    "date": ("{{ strftime_now('%d %b') }}" + GOOD, ""),
    "no default": ([{"name": "rag", "template": GOOD}], "no default"),
    "no names": ([{"template": GOOD}], "cannot be read"),
    "texts": (["a"], "cannot be read"),
    "a number": (5, "int"),
    "empty": ("", "no chat template"),
    "nothing in the list": ([], "no chat template"),
    "blank": (" ", "stands in it 0 times"),
    "grammar": ("{% for m in messages %}", "endfor"),
    "raises": ("{{ raise_exception('no way') }}", "no way"),
    "system first": (
        "{% if messages[0].role != 'system' %}{{ raise_exception('System first') }}{% endif %}"
        + GOOD,
        "System first",
    ),
    "without the prompt": ("{{ bos_token }} hello", "stands in it 0 times"),
    "twice": (GOOD + GOOD, "stands in it 2 times"),
    "parts": ("{% for c in messages[0].content %}{{ c.text }}{% endfor %}", "0 times"),
    "undefined": (GOOD + "{{ nothing.at.all }}", "'nothing' is undefined"),
}
FILES: dict[str, tuple[dict[str, str], str]] = {
    "jinja": ({"chat_template.jinja": GOOD}, ""),
    "jinja and more": (
        {"chat_template.jinja": GOOD, "additional_chat_templates/rag.jinja": "x"},
        "",
    ),
    "default of several": ({"additional_chat_templates/default.jinja": GOOD}, ""),
    "others alone": ({"additional_chat_templates/rag.jinja": GOOD}, "no default"),
    "empty": ({"chat_template.jinja": ""}, "no chat template"),
    "grammar": ({"chat_template.jinja": "{% if %}"}, "xpected"),
    "processor's": ({"chat_template.json": json.dumps({"chat_template": GOOD})}, "chat"),
    "a folder": ({"chat_template.jinja/x": GOOD}, "no chat template"),
}


def both(folder: Path, why: str) -> None:
    """The stage and its check say the same."""
    chat._transformers.cache_clear()
    if why:
        with pytest.raises(UserError, match=why) as raised:
            chat.template_of("auto", folder)
        assert len(str(raised.value).splitlines()) == 1
        assert check._rendered("auto", folder)
    else:
        found = chat.template_of("auto", folder)
        assert found is not None and found.tail == "<assistant>"
        assert not check._rendered("auto", folder)
    files = check.template_files.faults("auto", folder, folder)
    assert not files or why


@pytest.mark.parametrize("name", SETTINGS)
def test_templates_of_the_settings(name: str, tmp_path: Path) -> None:
    template, why = SETTINGS[name]
    save(byte_level(), tmp_path)
    settings = {"eos_token": "<|endoftext|>", "tokenizer_class": "PreTrainedTokenizerFast"}
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({**settings, "chat_template": template})
    )
    both(tmp_path, why)


@pytest.mark.parametrize("name", FILES)
def test_templates_of_files(name: str, tmp_path: Path) -> None:
    files, why = FILES[name]
    save(byte_level(), tmp_path)
    settings = {"eos_token": "<|endoftext|>", "tokenizer_class": "PreTrainedTokenizerFast"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    for file, text in files.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text)
    both(tmp_path, why)
