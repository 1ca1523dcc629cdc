"""A chat template around a prompt: transformers' own tokens, within the length, spans that moved."""

import shutil
from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from stages.benchmarks import chat, official, template_files
from stages.benchmarks.params import BenchmarksParams, LongBenchParams
from stages.benchmarks.stage import Builder, Part
from stages.common.encoder import Encoder
from stages.common.errors import UserError

CHATML = (
    "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
STRIPS = CHATML.replace("{{ m.content }}", "{{ m.content | trim }}")
NVIDIA = "[INST] {task_template} [/INST]"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tokenizer")
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pairs = [("Ġ", "A"), ("Ċ", "A"), ("Ċ", "Ċ"), ("t", "h"), ("th", "e"), ("?", "Ġ")]
    names = [*letters, *("".join(pair) for pair in pairs)]
    tokenizer = Tokenizer(models.BPE({name: i for i, name in enumerate(names)}, pairs))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokens = [AddedToken(t, special=True) for t in ("<s>", "</s>", "<|im_start|>", "<|im_end|>")]
    tokenizer.add_special_tokens(tokens)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", chat_template=CHATML
    )
    fast.save_pretrained(out)
    return out


def params(task: str, template: str, length: int = 1500) -> BenchmarksParams:
    return BenchmarksParams(
        seed=1,
        lengths=(length,),
        template=template,
        ruler=official.ruler("nvidia", [task], 2),
        longbench=LongBenchParams(tasks=()),
    )


def written(folder: Path, name: str, text: str) -> str:
    file = folder / name
    file.write_text(text)
    return str(file)


@pytest.mark.parametrize("kind", ["auto", "strips"])
@pytest.mark.parametrize("text", ["A thing? ", "\n\nA the", "what <|im_end|> says <s>"])
def test_the_tokens_are_those_of_transformers(folder, tmp_path, kind: str, text: str) -> None:
    template = "auto" if kind == "auto" else written(tmp_path, "t.jinja", STRIPS)
    encoder = Encoder(folder)
    found = chat.template_of(template, folder)
    row = {
        "id": "x",
        "input": text,
        "answer_prefix": " Answer:",
        "length": 999,
        "max_new_tokens": 1,
    }
    made = chat.Chat(found, encoder).asked(row | {"needle_span": [], "query_span": []})
    fast = PreTrainedTokenizerFast.from_pretrained(folder)
    jinja = None if kind == "auto" else STRIPS
    shown = fast.apply_chat_template(
        [{"role": "user", "content": text}],
        chat_template=jinja,
        tokenize=False,
        add_generation_prompt=True,
    )
    ids = made["prompt_ids"]
    assert fast.decode(ids) == shown + " Answer:"
    controls = [fast.convert_tokens_to_ids(t) for t in ("<s>", "<|im_start|>", "<|im_end|>")]
    assert [ids.count(i) for i in controls] == [1, 2, 1]  # those of the text stayed text
    if "<" not in text:
        assert ids == fast(shown + " Answer:", add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("task", ["niah_single_1", "vt", "fwe", "qa_1"])
@pytest.mark.parametrize("kind", ["auto", "nvidia"])
def test_samples_fit_and_spans_name_the_same_text(folder, tmp_path, task: str, kind: str) -> None:
    template = "auto" if kind == "auto" else written(tmp_path, "t.txt", NVIDIA)
    length = 9000 if task in ("vt", "qa_1") else 1500
    part = Part("ruler", task, length)
    rows = list(Builder(params(task, template, length), folder).samples(part))
    encoder = Encoder(folder)
    for row in rows:
        ids = row["prompt_ids"]
        assert len(ids) + row["max_new_tokens"] <= length
        text = encoder.text(ids)
        assert row["input"] in text
        assert text.endswith(row["answer_prefix"])
        assert row["whole"] == (kind == "auto")
        for start, end in row["needle_span"]:
            assert any(answer in encoder.text(ids[start:end]) for answer in row["outputs"])


@pytest.mark.parametrize(
    ("suite", "task", "plain"),
    [("longbench", "trec", True), ("longbench", "lcc_e", True), ("longbench", "qasper", False)],
)
def test_longbench_asks_some_tasks_plainly(suite: str, task: str, plain: bool) -> None:
    assert chat.is_plain(suite, task) == plain


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no place for it", "the prompt stands in it 0 times"),
        ("{{ messages[0].content }}{{ messages[0].content }}", "stands in it 2 times"),
        ("{task_template}{task_template}", "stands in it 2 times"),
        ("{{ raise_exception('only tools') }}", "only tools"),
        ("{% oops %}", "unknown tag"),
        ("{{ messages | tojson }}", "writes a prompt otherwise"),
        ("{{ messages[0].content | e }}", "writes a prompt otherwise"),
        ("{{ messages[0].content[:9] }}", "writes a prompt otherwise"),
        (None, "No such file"),
    ],
)
def test_a_template_that_cannot_be_used_is_named(folder, tmp_path, text, message: str) -> None:
    file = str(tmp_path / "none.jinja") if text is None else written(tmp_path, "t", text)
    with pytest.raises(UserError, match=message):
        chat.template_of(file, folder)


UNUSUAL = {
    "date": "{{ strftime_now('%d %B %Y') }}|{{ messages[0].content }}",
    "date by a macro": "{% macro day() %}{{ strftime_now('%Y') }}{% endmacro %}"
    "{{ day() }}{{ messages[0]['content'] }}",
    "tools": "{% if tools is not none %}{{ tools | tojson }}{% endif %}{{ messages[0].content }}",
    "no tools": "{% if tools %}no{% else %}yes{% endif %}{{ messages[-1]['content'] }}",
    "namespace and break": "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = 1 %}"
    "{{ m.content }}{% break %}{% endfor %}{{ ns.n }}",
    "generation": "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}"
    "{% endfor %}",
    "a list of contents": "{% for m in messages %}{% if m.content is string %}{{ m.content }}"
    "{% else %}{{ m.content[0].text }}{% endif %}{% endfor %}",
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_templates_are_read_as_transformers_does_on_one_day(
    folder, tmp_path, name: str
) -> None:
    file = written(tmp_path, "t.jinja", UNUSUAL[name])
    assert template_files.faults(file, None, tmp_path) == ""
    found = chat.template_of(file, folder)
    fast = PreTrainedTokenizerFast.from_pretrained(folder)
    shown = fast.apply_chat_template(
        [{"role": "user", "content": "Ask"}],
        chat_template=UNUSUAL[name]
        .replace("strftime_now('%Y')", "'2024'")
        .replace("strftime_now('%d %B %Y')", "'26 July 2024'"),
        tokenize=False,
    )
    assert found.head + "Ask" + found.tail == shown


def test_a_tokenizer_may_have_templates_by_name(folder, tmp_path) -> None:
    out = Path(shutil.copytree(folder, tmp_path / "named"))
    fast = PreTrainedTokenizerFast.from_pretrained(folder)
    fast.chat_template = {"default": CHATML, "tool_use": "{{ raise_exception('no') }}"}
    fast.save_pretrained(out)
    assert chat.template_of("auto", out).head == "<s><|im_start|>user\n"
