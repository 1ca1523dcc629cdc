"""How a stage or a run that ended other than well reaches whoever asked for it."""


class Stopped(BaseException):
    """The user stopped the run. No ``KeyboardInterrupt``: Typer would end the process at that."""


class StageFailed(RuntimeError):
    """A stage, or a run elsewhere, did not end well; ``code`` is one of ``stages.common.errors``."""

    def __init__(self, name: str, code: int, line: str) -> None:
        super().__init__(f"{name}: {line}")
        self.code = code
