"""A run's folder on the DVC remote: ``<remote>/repo-runs/<run>/``.

``run.json`` (what was run, how it ended, hashes of the rest), ``params.yaml``, ``dvc.lock``,
``events.jsonl``, metrics, loss curves and the report. It is written last and read first.
"""

import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.remote.remotes import one_line
from stages.common.errors import TryAgain, UserError
from stages.common.files import read_json, sha256, write_json

FOLDER = "repo-runs"  # `runs` beside it is DVC's own run cache
CARD = "run.json"
FORMAT = 1
RUN = re.compile(r"[a-z0-9-]{1,80}")
NAMES = re.compile(r"(dvc\.lock|params\.yaml|events\.jsonl|(report|results)/[\w@. /-]+)", re.ASCII)
"""What a run folder may hold."""
LIMIT_BYTES = 2 * 10**9
SMALL = ("report", "results/*/metrics.json", "results/*/loss.csv")
"""What comes home with the lock; all else stays in the remote until `dvc pull`."""


class RunFolder:
    """The folder of ``run`` on the default remote of the DVC project at ``root``."""

    def __init__(self, root: Path, run: str) -> None:
        from dvc.repo import Repo

        if not RUN.fullmatch(run):
            raise UserError(f"run {run!r}: a run's name has small letters, digits and '-' only")
        self.repo = Repo(str(root))
        if not self.repo.config["core"].get("remote"):
            raise UserError("no DVC remote, where runs are kept: `dvc remote add -d NAME URL`")
        remote = self.repo.cloud.get_remote()
        self.run, self.name = run, remote.name
        self.url = str(self.repo.config["remote"][remote.name]["url"])
        self.fs = remote.fs
        self.path = self.fs.join(remote.path, FOLDER, run)

    def check_writable(self) -> None:
        """Write and remove a probe; raises a ``UserError`` where that fails."""
        probe = self.fs.join(self.path, ".probe")
        with self._errors("cannot be written"):
            self.fs.makedirs(self.path, exist_ok=True)
            self.fs.pipe_file(probe, b"probe")
            self.fs.remove(probe)

    def put(self, root: Path, names: list[str], card: dict[str, Any]) -> None:
        """Upload files of ``root`` and, last, the card with their hashes."""
        card = {**card, "format": FORMAT, "files": {n: sha256(root / n) for n in sorted(names)}}
        with self._errors("cannot be written"), tempfile.TemporaryDirectory() as folder:
            for name in names:
                target = self.fs.join(self.path, *name.split("/"))
                self.fs.makedirs(self.fs.parent(target), exist_ok=True)
                self.fs.put_file(str(root / name), target)
            write_json(Path(folder) / CARD, card)
            self.fs.put_file(str(Path(folder) / CARD), self.fs.join(self.path, CARD))

    def get(self, target: Path) -> dict[str, Any]:
        """Download it whole into ``target`` and check every hash; returns the card."""
        with self._errors("cannot be read"):
            card_path = self.fs.join(self.path, CARD)
            if not self.fs.exists(card_path):
                raise TryAgain(
                    f"run {self.run}: nothing on remote {self.name!r} yet; "
                    "it comes when the run ends (`repo-pipeline status`)"
                )
            target.mkdir(parents=True, exist_ok=True)
            self.fs.get_file(card_path, str(target / CARD))
            card: dict[str, Any] = read_json(target / CARD)
            if card.get("format") != FORMAT:
                raise UserError(
                    f"run {self.run}: its folder has format {card.get('format')}, this version reads "
                    f"{FORMAT}; use the version that made it"
                )
            _check_card(self.run, card)
            self._check_size(card["files"])
            for name, expected in card["files"].items():
                file = target / name
                if file.is_file() and sha256(file) == expected:
                    continue
                file.parent.mkdir(parents=True, exist_ok=True)
                self.fs.get_file(self.fs.join(self.path, *name.split("/")), str(file))
                if sha256(file) != expected:
                    raise UserError(f"run {self.run}: {name} on the remote is damaged")
        return card

    def _check_size(self, names: Iterable[str]) -> None:
        """What comes home is small; more is a mistake or an attempt to fill the disk."""
        total = sum(self.fs.size(self.fs.join(self.path, *name.split("/"))) or 0 for name in names)
        if total > LIMIT_BYTES:
            raise UserError(
                f"run {self.run}: its folder has {total / 1e6:,.0f} MB on the remote, more than the "
                f"{LIMIT_BYTES / 1e6:,.0f} that a report takes; look at it there"
            )

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except (UserError, TryAgain):
            raise
        except Exception as error:
            raise UserError(
                f"DVC remote {self.name!r} ({self.url}): {what}: {one_line(error)}"
            ) from None


def _check_card(run: str, card: dict[str, Any]) -> None:
    """What the remote says of a run is text of others: its shape, and each name below its folder."""
    files = card.get("files")
    shape = {"run": str, "commit": str, "tree": str, "targets": list, "code": int, "line": str}
    wrong = [key for key, kind in shape.items() if not isinstance(card.get(key), kind)]
    if wrong or not isinstance(files, dict) or card["run"] != run:
        raise UserError(f"run {run}: {CARD} on the remote is damaged ({', '.join(wrong) or 'run'})")
    for name, digest in files.items():
        inside = NAMES.fullmatch(name) and not {"", ".", ".."} & set(name.split("/"))
        if not inside or not re.fullmatch("[0-9a-f]{64}", str(digest)):
            raise UserError(f"run {run}: {CARD} names {name!r}, which no run folder has")


def small_files(root: Path) -> list[str]:
    """Files of the project that belong into the run folder."""
    found = [path for pattern in SMALL for path in root.glob(pattern)]
    files = [p for path in found for p in (path.rglob("*") if path.is_dir() else [path])]
    names = {path.relative_to(root).as_posix() for path in files if path.is_file()}
    return sorted({*names, *(n for n in ("dvc.lock", "params.yaml") if (root / n).is_file())})
