"""What the summary says in words, and that it keeps silent where there is nothing to say."""

import pytest

from stages.corpus.params import CorpusParams
from stages.report.statements import statements
from tests.stages.report.fabricated_results import params

PARAMS = params(("rope", "repo"), (1,))


def _cell(shortcut, above):
    return {"shortcut": shortcut, "above_shortcut": above}


def _metrics(**changes):
    names = ("scores", "validation", "heads", "readings", "plain", "base")
    nothing = {"comparisons": {}, **{name: {} for name in names}}
    return {**nothing, **changes}


def _said(metrics, chosen=PARAMS):
    return "\n".join(statements(metrics, chosen))


def test_says_that_training_text_resembles_the_test():
    assert "generated" in _said(_metrics())
    real = params(("rope",), (1,), corpus=CorpusParams.model_construct(generated=None))
    assert "generated" not in _said(_metrics(), real)


def test_one_seed_is_said_to_be_one():
    assert "one seed (1)" in _said(_metrics())
    assert "one seed" not in _said(_metrics(), params(("rope",), (1, 2)))


def test_cells_are_above_not_above_or_cannot_be():
    tasks = {
        "niah_multikey_1": {"128": _cell(25.0, True), "1024": _cell(25.0, False)},
        "niah_single_1": {"128": _cell(100.0, False)},
        "cwe": {"128": _cell(None, None)},
    }
    said = _said(_metrics(scores={"repo": {"ruler": tasks}}))
    assert (
        "RePo is above the random-guess baseline in 1 of 2 retrieval cells: niah_multikey_1 (128). "
        "Not above: niah_multikey_1 (1024)." in said
    )
    assert "random guess scores 100: niah_single_1 (128)" in said
    assert "cwe" not in said


def test_lengths_are_ordered_as_numbers():
    tasks = {"vt": {length: _cell(25.0, True) for length in ("1024", "256", "512")}}
    said = _said(_metrics(scores={"rope": {"ruler": tasks}}))
    assert "vt (256, 512, 1024). Not above: none." in said


@pytest.mark.parametrize(
    ("below", "said"),
    [
        (True, "is lower for RePo on python (128); nowhere else (5 % for all texts and lengths of"),
        (False, "validation loss is lower for no variant (5 % for all texts and lengths of a"),
        (None, None),
    ],
)
def test_validation_says_where_it_is_lower(below, said):
    text = _said(_metrics(validation={"repo": {"python": {"128": {"below_base": below}}}}))
    assert (said in text) if said else ("validation loss" not in text)


def _reading(factors, **more):
    facts = {"length": 256, "window": 256, "recorded": True}
    extension = {"layers": "all", "steps": 0}
    return {**facts, "extension": extension, "factors": factors, **more}


PLAIN = {"256": 1.0, "512": 1.0, "1024": 1.0}
EXTENDED = {"256": 1.0, "512": 2.0, "1024": 4.0}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            _reading(EXTENDED),
            "Trained at 256 tokens and measured at 256 as trained, 512 with YaRN x2 and 1,024 with "
            "YaRN x4 (on RoPE and RePo layers, as the official code does, without further training).",
        ),
        (
            _reading(PLAIN, length=131072, window=131072, recorded=False),
            "Trained at 131,072 tokens (the model's window: its folder records no trained length) "
            "and measured at 256 as trained, 512 as trained and 1,024 as trained.",
        ),
        (
            _reading({"512": 4.0}, window=131072, extension={"layers": "rope", "steps": 7}),
            "Trained at 256 tokens (the base's window is 131,072) and measured at 512 with YaRN x4 "
            "(on RoPE layers only, as the paper words it, after 7 steps of training).",
        ),
    ],
)
def test_lengths_and_factors_are_those_of_the_records(found, said):
    """The params' lengths and factor are other ones: they are not what is told."""
    assert said in _said(_metrics(readings={"rope": found, "repo": found}))


def test_variants_that_were_read_differently_are_told_apart():
    said = _said(_metrics(readings={"rope": _reading(EXTENDED), "repo": _reading(PLAIN)}))
    assert "RoPE: Trained at 256 tokens and measured at 256 as trained, 512 with YaRN x2" in said
    assert "RePo: Trained at 256 tokens and measured at 256 as trained, 512 as trained" in said
    assert PARAMS.extend.factor == 4.0


def test_both_ways_are_told_with_their_lengths():
    ways = {"scores": {"ruler": {"vt": {"512": {}}}}, "validation": {"python": {"1024": {}}}}
    said = _said(_metrics(plain={"rope": ways, "repo": ways}))
    assert "RoPE and RePo read 512 and 1,024 also without YaRN" in said


def test_the_comparison_is_said_as_it_is():
    assert "RePo is better." in _said(_metrics(comparisons={"repo": {"said": ["RePo is better."]}}))
