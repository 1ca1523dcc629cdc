"""How a stage that ended other than well reaches whoever asked for it."""


class StageFailed(RuntimeError):
    """A stage, or a run elsewhere, did not end well; ``code`` is one of ``stages.common.errors``."""

    def __init__(self, name: str, code: int, line: str) -> None:
        super().__init__(f"{name}: {line}")
        self.code = code
