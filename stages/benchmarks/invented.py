"""Invented people, companies and towns, in the layouts of SQuAD and HotpotQA.

The licence-free stand-in for ``qa_1`` and ``qa_2``: it is the same at every call, holds one answer
to each question, and every name stands for one thing only. It is easier than the real sets.
"""

from functools import cache
from random import Random
from typing import Any

from stages.benchmarks.generated_set import words

_ARTICLES = 1200
_PAIRS = 2000
"""Enough text for prompts of 131,072 tokens of dolma2."""
_DISTRACTORS = 2
"""Documents that belong to a question without answering it (HotpotQA: 8, too many for 512 tokens)."""
_MONTHS = words("""
    January February March April May June July August September October November December
""")
_FIRST = words("""
    Ada Anton Berta Boris Clara Conrad Dora Edith Emil Frida Georg Hanna Hugo Ida Jonas Klara Leon
    Marta Nils Olga Otto Paula Rosa Simon Tilda Viktor
""")
_STARTS = words("Ba Bel Cor Da Del Far Gra Hal Ja Kel Lo Mar Mon Nor Pel Ra San Tar Ul Var Wes Zan")
_MIDDLES = words("da den fi gan ka lan lo mer mi nel ra ri so ta ver vi")
_ENDS = words("berg by dorn ford ham ley lin low mark mont ner ridge sen stad stone ton vale wick")
_TRADES = words("""
    baker botanist carpenter composer doctor farmer judge librarian painter photographer pilot
    sculptor surveyor teacher
""")
_GOODS = words("""
    bicycles bricks candles clocks furniture glass lamps maps paper pianos rope shoes soap tiles
    tools watches
""")
_SUBJECTS = words("""
    bees bridges clouds coins ferns glaciers harbours lighthouses mosses rivers stamps tides
    windmills
""")


class _World:
    """A source of names that never repeat."""

    def __init__(self, seed: str) -> None:
        self.rng = Random(seed)
        self._taken: set[str] = set()

    def name(self) -> str:
        """A made-up surname, town or company."""
        draw = self.rng.choice
        while True:
            middle = "".join(draw(_MIDDLES) for _ in range(self.rng.randint(0, 2)))
            made = draw(_STARTS) + middle + draw(_ENDS)
            if made not in self._taken:
                self._taken.add(made)
                return made

    def person(self) -> str:
        """First and last name."""
        return f"{self.rng.choice(_FIRST)} {self.name()}"

    def year(self) -> int:
        """A year of the last two centuries."""
        return self.rng.randint(1801, 1999)


@cache
def single_hop() -> dict[str, Any]:
    """Articles about people, three paragraphs each, in SQuAD's layout."""
    world = _World("invented single hop")
    return {"data": [_article(world) for _ in range(_ARTICLES)]}


def _article(world: _World) -> dict[str, Any]:
    rng, who, year = world.rng, world.person(), world.year()
    town, school, wife, firm, house = (world.name() for _ in range(5))
    month, day = rng.choice(_MONTHS), rng.randint(1, 28)
    trade, goods, subject = rng.choice(_TRADES), rng.choice(_GOODS), rng.choice(_SUBJECTS)
    pages, workers = rng.randint(110, 980), rng.randint(21, 890)
    paragraphs = (
        (
            f"{who} was born on {day} {month} {year} in {town}. The family kept an inn beside the "
            f"river, and the child was sent to the school of {school}, where an aunt taught music.",
            (
                (f"In which town was {who} born?", (town,)),
                (f"In what year was {who} born?", (str(year), f"{day} {month} {year}")),
                (f"Where did {who} go to school?", (school, f"the school of {school}")),
            ),
        ),
        (
            f"Trained as a {trade}, {who} opened a workshop for {goods} in {year + 27} and named it "
            f"after the street it stood in, {firm}. Within ten years {workers} people worked there. "
            f"The house beside it was bought from the {wife} family.",
            (
                (f"What was {who} trained as?", (trade, f"a {trade}")),
                (f"What did the workshop of {who} make?", (goods,)),
                (f"After which street was the workshop of {who} named?", (firm,)),
                (f"From which family did {who} buy a house?", (wife, f"the {wife} family")),
            ),
        ),
        (
            f"In later life {who} wrote a book of {pages} pages about {subject}, which was printed "
            f"in {house} and is still read. A small museum there shows the manuscript.",
            (
                (f"What is the book of {who} about?", (subject,)),
                (f"How many pages has the book of {who}?", (str(pages), f"{pages} pages")),
                (f"Where was the book of {who} printed?", (house,)),
            ),
        ),
    )
    return {
        "title": who,
        "paragraphs": [
            {
                "context": text,
                "qas": [
                    {
                        "question": question,
                        "is_impossible": False,
                        "answers": [{"text": a, "answer_start": text.find(a)} for a in answers],
                    }
                    for question, answers in rng.sample(asked, 1)
                ],
            }
            for text, asked in paragraphs
        ],
    }


@cache
def two_hops() -> list[dict[str, Any]]:
    """Questions over a person and the company they led, with two others, in HotpotQA's layout."""
    world = _World("invented two hops")
    pairs = [_pair(world) for _ in range(_PAIRS)]
    everything = [document for pair in pairs for document in pair["documents"]]
    rows = []
    for pair in pairs:
        others = [
            d for d in world.rng.sample(everything, _DISTRACTORS + 2) if d not in pair["documents"]
        ]
        context = [*pair["documents"], *others[:_DISTRACTORS]]
        world.rng.shuffle(context)
        rows.append({"question": pair["question"], "answer": pair["answer"], "context": context})
    return rows


def _pair(world: _World) -> dict[str, Any]:
    rng, who, firm = world.rng, world.person(), f"{world.name()} Works"
    town, home, year, goods = world.name(), world.name(), world.year(), rng.choice(_GOODS)
    asked, answer = rng.choice(
        (
            ("In which town is the company that {who} led?", town),
            ("In what year was the company that {who} led founded?", str(year)),
            ("What does the company that {who} led make?", goods),
        )
    )
    person = f"{who} lived in {home} and was the head of {firm} for {rng.randint(3, 40)} years."
    company = f"{firm} is a company in {town}. It was founded in {year} and makes {goods}."
    return {
        "question": asked.format(who=who),
        "answer": answer,
        "documents": [[who, [person]], [firm, [company]]],
    }
