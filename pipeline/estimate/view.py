"""The project as it would stand under other params, without touching it: for ``plan --profile``."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.graph import bad_settings


@contextmanager
def project_with(root: Path, params_text: str) -> Iterator[Path]:
    """Yield a temporary folder that DVC reads as the project at ``root`` with these params.

    Outs and inputs are links into the project, so nothing is copied and what is up to date is seen.
    """
    with tempfile.TemporaryDirectory(prefix="repo-plan-") as name:
        folder = Path(name)
        for file in ("dvc.yaml", "dvc.lock", ".dvcignore"):
            if (root / file).is_file():
                shutil.copyfile(root / file, folder / file)
        (folder / "params.yaml").write_text(params_text, encoding="utf-8")
        (folder / ".dvc").mkdir()
        (folder / ".dvc" / "config").write_text(
            "[core]\n    analytics = false\n    no_scm = true\n", encoding="utf-8"
        )
        # A link, not a setting: a folder's name may hold what DVC's settings cannot.
        (folder / ".dvc" / "cache").symlink_to(_cache(root), target_is_directory=True)
        taken = {path.name for path in folder.iterdir()}
        for path in root.iterdir():
            if path.name not in taken and path.name != ".git":
                (folder / path.name).symlink_to(path)
        yield folder


def _cache(root: Path) -> Path:
    """DVC's cache of the project at ``root``, whose settings alone are read: no folder is made."""
    from dvc.config import Config, ConfigError

    try:
        named = Config(str(root / ".dvc"))["cache"].get("dir")
    except ConfigError as error:
        raise bad_settings(error) from None
    return Path(named) if named else root / ".dvc" / "cache"


def share_hashes(repo: Any, root: Path) -> None:
    """Let DVC's ``repo`` of a view know the hashes that the project at ``root`` knows by path.

    DVC remembers a file's hash with its path, inode, time and size. In a view all but the path are the
    same, so without this every plan would read all data again, 1.5 s a GB. Where DVC has not run yet it
    knows none, and opening its project would make the folder: a plan leaves nothing behind.
    """
    from dvc.repo import Repo

    if not (root / ".dvc" / "tmp").is_dir():
        return
    real = Repo(str(root))
    repo.state.hashes.close()
    repo.state.hashes = _Elsewhere(real.state.hashes, repo.root_dir, real.root_dir)


class _Elsewhere:
    """A table of hashes by path, read and written under the paths of another folder."""

    def __init__(self, table: Any, view: str, real: str) -> None:
        self._table, self._view, self._real = table, view, real

    def _there(self, path: str) -> str:
        inside = path.startswith(self._view + os.sep)
        return self._real + path[len(self._view) :] if inside else path

    def get(self, path: str) -> Any:
        return self._table.get(self._there(path))

    def get_many(self, paths: Iterable[str]) -> Iterator[tuple[str, Any]]:
        known = {self._there(path): path for path in paths}
        for there, value in self._table.get_many(known):
            yield known[there], value

    def __setitem__(self, path: str, value: Any) -> None:
        self._table[self._there(path)] = value

    def set_many(self, entries: Iterable[tuple[str, Any]]) -> None:
        self._table.set_many([(self._there(path), value) for path, value in entries])

    def close(self) -> None:
        self._table.close()
