"""Commands that are no stage, called in this process."""

from collections.abc import Callable, Sequence

import pytest


def done(main: Callable[[Sequence[str]], None], arguments: Sequence[str]) -> None:
    """Run the command and see it end well; its code is told by the way it exits."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 0
