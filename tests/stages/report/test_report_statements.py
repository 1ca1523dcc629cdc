"""What the summary says in words, and that it keeps silent where there is nothing to say."""

import pytest

from stages.corpus.params import CorpusParams
from stages.report.statements import statements
from tests.stages.report.fabricated_results import params

PARAMS = params(("rope", "repo"), (1,))


def _cell(shortcut, above):
    return {"shortcut": shortcut, "above_shortcut": above}


def _metrics(**changes):
    nothing = {"scores": {}, "validation": {}, "difference": {}, "paired": {}, "heads": {}}
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
        "RePo is above the shortcut in 1 of 2 retrieval cells: niah_multikey_1 (128). "
        "Not above: niah_multikey_1 (1024)." in said
    )
    assert "shortcut scores 100: niah_single_1 (128)" in said
    assert "cwe" not in said


def test_lengths_are_ordered_as_numbers():
    tasks = {"vt": {length: _cell(25.0, True) for length in ("1024", "256", "512")}}
    said = _said(_metrics(scores={"rope": {"ruler": tasks}}))
    assert "vt (256, 512, 1024). Not above: none." in said


@pytest.mark.parametrize(
    ("below", "said"),
    [
        (True, "fell below the base model's on the same text for RePo (python)"),
        (False, "did not fall below the base model's on the same text for RePo (python)"),
        (None, None),
    ],
)
def test_validation_says_which_fell(below, said):
    text = _said(_metrics(validation={"repo": {"python": {"128": {"below_base": below}}}}))
    assert (said in text) if said else ("Validation" not in text)


def _difference(value, beyond):
    return _metrics(difference={"ruler": {"vt": {"128": {"value": value, "beyond_noise": beyond}}}})


def test_nothing_is_said_of_a_difference_within_noise():
    assert "nothing is said about which is better" in _said(_difference(9.0, False))


@pytest.mark.parametrize(
    ("value", "said"),
    [(9.0, "ahead in vt (128) and behind in none"), (-9.0, "ahead in none and behind in vt (128)")],
)
def test_a_difference_beyond_noise_is_said_beside_chance(value, said):
    text = _said(_difference(value, True))
    assert said in text
    assert "1 of 1 cells" in text
    assert "chance alone gives about 0.1" in text
