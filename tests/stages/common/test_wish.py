"""One wish to stop may come by two ways."""

import pytest

from stages.common import wish
from stages.common.wish import Heard, Wish


def test_signals_close_to_the_first_are_the_same_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(wish.time, "monotonic", lambda: clock[0])
    asked = Wish()
    assert asked.seconds() == 0.0
    heard = []
    for seconds in (0.0, 0.01, wish.AGAIN_S, 0.1, 10.0):
        clock[0] += seconds
        heard.append(asked.hear())
    assert heard == [Heard.FIRST, Heard.SAME, Heard.AGAIN, Heard.AGAIN, Heard.AGAIN]
    assert asked.seconds() == pytest.approx(11.11)
