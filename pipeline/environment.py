"""Settings of the tools that a run uses, made before they are imported."""

import os

from stages.common.runs import root


def prepare() -> None:
    """Quiet, offline-safe defaults; a variable that is set already stays as it is."""
    home = root() / "prefect"
    settings = {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        # Our own lines go to the terminal; Prefect's copies go to its page.
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "PREFECT_LOGGING_HANDLERS_API_LEVEL": "INFO",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "DO_NOT_TRACK": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    if os.environ["PREFECT_HOME"] == str(home):
        home.mkdir(parents=True, exist_ok=True)  # Prefect's database would not open without it
