"""Params of the benchmark samples."""

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    model_serializer,
    model_validator,
)

from stages.common.schema import SOURCE_NAME, Count, Section, new

RulerTask = Literal[
    "niah_single_1",
    "niah_single_2",
    "niah_single_3",
    "niah_multikey_1",
    "niah_multikey_2",
    "niah_multikey_3",
    "niah_multivalue",
    "niah_multiquery",
    "vt",
    "cwe",
    "fwe",
    "qa_1",
    "qa_2",
]
NLGraphTask = Literal[
    "connectivity", "cycle", "flow", "GNN", "hamilton", "matching", "shortest_path", "topology"
]
NLGraphLevel = Literal["easy", "medium", "hard"]
NLGRAPH_TASKS: tuple[NLGraphTask, ...] = get_args(NLGraphTask)
Protocol = Literal["nvidia", "repo-paper"]
Repeats = tuple[Count, Count]


class Steps(Section):
    """By how much the haystack of a sample that came out too long is cut, per kind of haystack."""

    lines: Count
    """Lines of noise or of distracting needles (official: 25; below 4096 tokens 5)."""
    prose: Count
    """Words of prose (official: 500)."""
    assignments: Count
    """``vt``: lines of noise (official: 10; below 4096 tokens 5)."""
    words: Count
    """``cwe``: different words (official: 10)."""


class TrackingParams(Section):
    """``vt``: chains of variable assignments (EVALUATION.md section 3.1)."""

    chains: Count
    """Chains in the text, of which one is asked for (official: 1, so nothing distracts)."""
    hops: Count
    """Assignments after a chain's first (official: 4)."""
    name_letters: Annotated[int, Field(ge=2)]
    """Capitals in a variable's name (official: 5)."""
    value_digits: Annotated[int, Field(ge=2)]
    """Digits of a chain's value (official: 5)."""
    example_tokens: Count | None
    """Most tokens of the worked example before the question (official: 500); none: no example."""


class WordsExample(Section):
    """The worked example of ``cwe``."""

    words: Count
    """Different words in its list (official: 40; below 4096 tokens 20)."""
    repeats: Repeats = Field(strict=False)
    """As in the list itself (official: 10 and 3; below 4096 tokens 3 and 1)."""


class WordsParams(Section):
    """``cwe``: a list in which some words are more common."""

    common: Count
    """Common words that are asked for (official: 10)."""
    repeats: Repeats = Field(strict=False)
    """How often a common, an uncommon word stands there (official: 30, 3; below 4096: 6, 1)."""
    example: WordsExample | None
    """Official: one; none: no example."""


class ShortParams(Section):
    """What RULER does otherwise below a length."""

    below: Count
    """Official: 4096 tokens."""
    steps: Steps
    cwe: WordsParams


class RulerParams(Section):
    """RULER by the rules of NVIDIA/RULER@c3f5e3b, scaled by these numbers."""

    protocol: Protocol = "nvidia"
    """``repo-paper``: a newline before the answer prefix, questions scored by normalised substring.

    Its new_tokens and samples are in ``stages.benchmarks.official``.
    """
    tasks: tuple[RulerTask, ...] = Field(strict=False)
    samples: Count
    """Samples per task and length (official: 500)."""
    samples_of: dict[RulerTask, Count] = Field(default_factory=dict)
    """Another number of samples for some tasks."""
    from_length: dict[RulerTask, Count] = Field(default_factory=dict)
    """The first length, tokens, at which a task is built: official prompts have a least size."""
    new_tokens: dict[RulerTask, Count]
    """Generation budget per task; it counts towards the length, as in the official rules."""
    value_digits: Annotated[int, Field(ge=2)]
    """Digits of a needle's value (official: 7)."""
    word_tokens: Count | None
    """Draw only words that the tokenizer writes in so many tokens (official: none, all words).

    With 1,024 tokens an official ``adjective-noun`` key takes a dozen, with dolma2 four or so.
    """
    prose: str
    """Haystack of the ``prose`` tasks: ``generated``, or a file of text (official: the essays).

    A file is a path or ``https://...#sha256=...``, here and for the documents below.
    """
    squad: str = "generated"
    """Documents of ``qa_1``: ``generated``, or SQuAD v2's JSON (official: ``dev-v2.0.json``).

    ``download`` reads it from its public home.
    """
    hotpotqa: str = "generated"
    """Documents of ``qa_2``: ``generated``, or HotpotQA's JSON (official: dev, distractor).

    ``download`` reads it from its public home.
    """
    data: str | None = new(None)
    """Folder of RULER's own files, which are read as they are; none: samples are built here."""
    answer_prefix: bool = new(True)
    """Whether the prompt ends with the words that begin the answer; reasoning models do without."""
    steps: Steps
    vt: TrackingParams
    cwe: WordsParams
    short: ShortParams | None = None
    """None: the same numbers at every length."""

    @model_validator(mode="after")
    def _every_task_has_a_budget(self) -> Self:
        if len(set(self.tasks)) != len(self.tasks):
            raise ValueError(f"tasks names one twice: {list(self.tasks)}; name each once")
        missing = [task for task in self.tasks if task not in self.new_tokens]
        if missing:
            raise ValueError(f"new_tokens has no entry for {', '.join(missing)}; add it")
        return self

    def samples_at(self, task: str, length: int) -> int:
        """Samples of a task at a length, tokens: none below its first length."""
        if length < self.from_length.get(task, 0):  # type: ignore[call-overload]
            return 0
        return self.samples_of.get(task, self.samples)  # type: ignore[call-overload, no-any-return]

    def steps_at(self, length: int) -> Steps:
        """The steps at a length, tokens."""
        return self.short.steps if self.short and length < self.short.below else self.steps

    def cwe_at(self, length: int) -> WordsParams:
        """The word lists' numbers at a length, tokens."""
        return self.short.cwe if self.short and length < self.short.below else self.cwe


class LongBenchParams(Section):
    """Tasks in LongBench's JSONL layout."""

    protocol: Protocol = "nvidia"
    """``nvidia``: LongBench's own prompts and limits; ``repo-paper``: those of the paper's tools."""
    tasks: tuple[str, ...] = Field(strict=False)
    path: str | None = None
    """Folder of ``<task>.jsonl``; none: the small generated set that ships with the project."""
    samples: Count | None = None
    """At most so many samples per task; none: all."""
    new_tokens: Count | None = new(None)
    """Another generation budget; none: the protocol's."""
    max_length: Count | None = new(None)
    """LongBench's own ``max_length``: most tokens of a prompt before its template, opening included.

    The published settings are 3500, 7500, 15500 and 31500; none: what the length leaves.
    """


class QuestionsParams(Section):
    """What the suites of questions over structured data share."""

    protocol: Protocol = "nvidia"
    """``nvidia``: the benchmark's own rules; ``repo-paper``: those of the paper's tools."""
    path: str
    lengths: tuple[Count, ...] = Field(default=(), strict=False)
    """Some of ``benchmarks.lengths``; none: the trained length, for the prompts do not grow."""
    samples: Count | None = None
    """At most so many samples per task; none: all."""
    new_tokens: Count | None = None
    """Another generation budget; none: the protocol's."""


class NLGraphParams(QuestionsParams):
    """Graph problems in words; ``path`` is the folder of ``<task>/<split>.json``."""

    split: Literal["test", "train", "main"] = "test"
    tasks: tuple[NLGraphTask, ...] = Field(default=NLGRAPH_TASKS, min_length=1, strict=False)
    levels: tuple[NLGraphLevel, ...] = Field(
        default=("easy", "medium", "hard"), min_length=1, strict=False
    )


class HybridQAParams(QuestionsParams):
    """Questions over tables; ``path`` is HybridQA's folder, with WikiTables-WithLinks in it."""

    where: tuple[Literal["table", "passage", "calculation"], ...] = Field(
        default=("table",), min_length=1, strict=False
    )
    """Where the answers of the wanted questions stand; passages are not in the prompt."""


class LongBenchV2Params(QuestionsParams):
    """Questions with four choices over long texts; ``path`` is data.json, or its folder."""

    protocol: Literal["nvidia"] = "nvidia"
    """The benchmark's own rules; the paper has no others."""
    max_length: Count | None = None
    """Tokens of a prompt, cut as LongBench v2 does it (there 120000); none: what fits the length."""


class OutsideParams(QuestionsParams):
    """A suite that an installed package brings (``stages.benchmarks.outside``)."""

    protocol: Literal["nvidia"] = "nvidia"
    """The suite's own rules."""
    tasks: tuple[str, ...] = Field(default=(), strict=False)
    """Some of the suite's tasks; none: all."""


STRUCTURED = ("nlgraph", "hybridqa", "longbench_v2")
"""Sections of ``benchmarks`` for suites of other people's questions."""
TAKEN = (
    *("ruler", "longbench", "longbench_e", *STRUCTURED, "general", "perplexity"),
    *("windows", "plain", "probes"),
)
"""Names of this project's suites and of folders beside them; none of an installed package's."""
SuiteName = Annotated[str, StringConstraints(pattern=SOURCE_NAME)]


def field_of(suite: str) -> str:
    """Where the params of a suite of questions stand."""
    return f"benchmarks.{suite}" if suite in STRUCTURED else f"benchmarks.outside.{suite}"


class BenchmarksParams(Section):
    """Samples that are built once and kept with their token ids."""

    seed: Annotated[int, Field(ge=0)]
    lengths: tuple[Annotated[int, Field(ge=16)], ...] = Field(min_length=1, strict=False)
    """Context lengths, tokens, generation budget included; the first is the trained length."""
    ruler: RulerParams
    longbench: LongBenchParams
    template: str = new("none")
    """``none``, ``auto`` (the tokenizer's chat template) or a file (``stages.benchmarks.chat``)."""
    nlgraph: NLGraphParams | None = None
    """None: the suite is left out."""
    hybridqa: HybridQAParams | None = None
    """None: the suite is left out."""
    longbench_v2: LongBenchV2Params | None = new(None)
    """None: the suite is left out."""
    outside: dict[SuiteName, OutsideParams] | None = new(None)
    """Suites of installed packages, by the names of their entry points."""

    @property
    def structured(self) -> dict[str, QuestionsParams]:
        """The suites of ``stages.benchmarks.structured`` that are wanted."""
        found = {name: getattr(self, name) for name in STRUCTURED} | (self.outside or {})
        return {name: section for name, section in found.items() if section is not None}

    @model_serializer(mode="wrap")
    def _without_absent_suites(self, content: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A suite that is left out leaves no trace in what is hashed and stored."""
        return {name: value for name, value in content(self).items() if value is not None}

    @model_validator(mode="after")
    def _lengths_are_known(self) -> Self:
        if taken := set(self.outside or ()) & set(TAKEN):
            raise ValueError(
                f"outside has {min(taken)!r}, which is a suite of this project's own; name another"
            )
        for name, suite in self.structured.items():
            unknown = sorted(set(suite.lengths) - set(self.lengths))
            if unknown:
                raise ValueError(
                    f"{name}.lengths has {unknown[0]}, which is not in lengths; drop it, or add it"
                )
        return self

    @model_validator(mode="after")
    def _lengths_rise(self) -> Self:
        if list(self.lengths) != sorted(set(self.lengths)):
            raise ValueError(
                f"lengths must rise, the trained length first: {list(self.lengths)}; give "
                "them in order, each once"
            )
        return self
