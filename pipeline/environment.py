"""Settings of the tools that a run uses, made before they are imported."""

import contextlib
import io
import json
import os
import tempfile
from pathlib import Path

from pipeline import place
from stages.common.errors import UserError
from stages.common.files import read_json

HOME = Path(".prefect")
"""Prefect's database and ours about its server: beside the project, on a local disk (SQLite), and
not under ``REPO_RUNS``, which may be shared storage or full."""
SETTINGS = Path("prefect.toml")
"""Where the command ``prefect`` looks for settings in a project's folder."""
OURS = "# Written by `repo-pipeline serve`, which removes it when it ends."
URL, AUTH = "PREFECT_API_URL", "PREFECT_API_AUTH_STRING"


def prepare(root: Path) -> None:
    """The variables, and the folder that Prefect's database needs: for what starts Prefect."""
    defaults(root)
    place.refuse_bad_network()
    home = Path(os.environ["PREFECT_HOME"])
    if "?" in str(home):  # SQLAlchemy's URL ends there: the database would lie beside the folder
        raise UserError(
            f"{str(home)!r} has a '?', and Prefect's database cannot lie there: rename the folder, "
            "or set PREFECT_HOME to another"
        )
    if home == _home(root):
        place.private(home)
    else:
        try:
            home.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=home):
                pass
        except OSError as error:
            raise UserError(f"PREFECT_HOME is {str(home)!r}: {error.strerror}; unset it") from None


def refuse_bad_prefect() -> None:
    """Raise ``UserError`` for a ``PREFECT_*`` variable that Prefect cannot read: it names none."""
    from pydantic import ValidationError

    try:
        with contextlib.redirect_stderr(io.StringIO()):  # it complains of each in ten lines
            from prefect.settings import get_current_settings

            get_current_settings()
    except ValidationError as error:
        first = error.errors()[0]
        names = [
            name
            for name, value in os.environ.items()
            if name.startswith("PREFECT_") and value == str(first["input"])
        ]
        name = names[0] if names else "PREFECT_* or prefect.toml"
        raise UserError(f"{name} is {first['input']!r}: {first['msg']}; correct it") from None


def defaults(root: Path) -> None:
    """Quiet, offline-safe variables, no files; one that is set already stays as it is."""
    place.settle(root)
    settings = {
        "PREFECT_HOME": str(_home(root)),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        # Our own lines go to the terminal; Prefect's copies go to its page.
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "PREFECT_LOGGING_HANDLERS_API_LEVEL": "INFO",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        # 2 + 4 + 8 s: as long as `serve` takes to bring a server that died back.
        "PREFECT_CLIENT_MAX_RETRIES": "3",
        "DO_NOT_TRACK": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    server = _record(root)
    if server and URL not in os.environ:
        os.environ[URL], os.environ[AUTH] = str(server["api"]), str(server["auth"])


def _home(root: Path) -> Path:
    return (root / HOME).absolute()


def served(root: Path) -> str | None:
    """The API of this checkout's ``repo-pipeline serve``, if one runs; clears what a dead one left."""
    server = _record(root)
    return str(server["api"]) if server else None


def _record(root: Path) -> dict[str, str] | None:
    record = root / HOME / "server.json"
    if not record.is_file():
        return None
    from stages.common import guard  # psutil: only where there was a server

    server: dict[str, str] = read_json(record)
    if guard.alive(server["process"]) and "auth" in server:
        return server
    withdraw(root)
    return None


def announce(root: Path, api: str, auth: str) -> bool:
    """Tell `repo-pipeline` and `prefect`, started in this folder, where the server is and its secret.

    False when the folder has a ``prefect.toml`` of the user's own, which stays as it is.
    """
    from stages.common import guard

    record = json.dumps({"api": api, "auth": auth, "process": guard.mark()})
    place.write_private(root / HOME / "server.json", record)
    settings = root / SETTINGS
    if settings.is_file() and not settings.read_text(encoding="utf-8").startswith(OURS):
        return False
    text = f'{OURS}\n[api]\nurl = "{api}"\nauth_string = "{auth}"\n'
    place.write_private(settings, text)
    return True


def withdraw(root: Path) -> None:
    """Take back what ``announce`` wrote."""
    settings = root / SETTINGS
    if settings.is_file() and settings.read_text(encoding="utf-8").startswith(OURS):
        settings.unlink()
    (root / HOME / "server.json").unlink(missing_ok=True)
