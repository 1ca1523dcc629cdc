"""What is sent to the cluster: the files of a commit, the params and the wish, as one zip.

The same commit gives the same bytes, so the cluster is handed a package once. Nothing that git
ignores is ever in it, hence no data, no cache and no ``.dvc/config.local``.
"""

import hashlib
import io
import json
import os
import subprocess
import tarfile
import tempfile
import zipfile
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

from stages.common.errors import UserError
from stages.common.variables import whole

WISH = "submission.json"
LOCK = "dvc.lock"
_EPOCH = (1980, 1, 1, 0, 0, 0)


class Tree:
    """A git tree: of the commit that is checked out, or of everything in the working folder."""

    def __init__(self, root: Path, dirty: bool, aside: Collection[str] = ()) -> None:
        """``dirty``: take edits and new files along; else they are refused by name.

        ``aside``: files that are sent in another way, or not at all; their edits do not count.
        """
        self.root = root
        try:
            top = _git(root, "rev-parse", "--show-toplevel")
            self.commit = _git(root, "rev-parse", "HEAD")
        except (subprocess.CalledProcessError, FileNotFoundError):
            raise UserError(f"{root}: no git commit here; a run is sent as a commit") from None
        if Path(top).resolve() != root.resolve():
            raise UserError(f"{root}: not the top of its git repository; change to {top}")
        changed = [
            name
            for name in _git(root, "status", "--porcelain", "--no-renames").splitlines()
            if name[3:] not in (LOCK, *aside)
        ]
        if changed and not dirty:
            more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            raise UserError(
                f"{changed[0][3:]}{more}: not committed; commit, or send it as it is with --dirty"
            )
        self.tree = self._whole() if changed else _git(root, "rev-parse", "HEAD^{tree}")
        self.identity = f"{self.commit}+{self.tree}" if changed else self.commit

    def check_size(self) -> None:
        """Refuse what is too large to send, naming the largest folder."""
        limit = _limit_mb() * 10**6
        sizes: Counter[str] = Counter()
        for line in _git(self.root, "ls-tree", "-r", "-l", "-z", self.tree).split("\0"):
            head, _, name = line.partition("\t")
            size = head.split()[-1] if head else "-"
            if size.isdigit():
                parts = name.split("/")
                sizes["/".join(parts[:2]) if len(parts) > 2 else parts[0]] += int(size)
        if sizes.total() > limit:
            folder, largest = sizes.most_common(1)[0]
            raise UserError(
                f"{folder} is {largest / 1e6:.0f} MB: the commit has {sizes.total() / 1e6:.0f} MB, "
                f"more than the {limit / 1e6:.0f} that are sent; give data to DVC, or raise "
                "REPO_SUBMIT_MB"
            )

    def package(self, params: str, wish: dict[str, Any]) -> tuple[str, bytes]:
        """Name and content of the zip; ``params`` takes the place of the commit's params.yaml."""
        ours = {"params.yaml": params, WISH: json.dumps(wish, indent=1, sort_keys=True)}
        lock = self.root / LOCK
        if lock.is_file():  # says what is made already, whether or not it is committed
            ours[LOCK] = lock.read_text(encoding="utf-8")
        archive = subprocess.run(
            ["git", "archive", "--format=tar", self.tree],
            cwd=self.root,
            capture_output=True,
            check=True,
        ).stdout
        buffer = io.BytesIO()
        with (
            tarfile.open(fileobj=io.BytesIO(archive)) as tar,
            zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as zipped,
        ):
            for member in tar:
                file = tar.extractfile(member) if member.isfile() or member.issym() else None
                if file is not None and member.name not in ours:
                    _add(zipped, member.name, file.read(), member.mode)
            for name, text in sorted(ours.items()):
                _add(zipped, name, text.encode(), 0o644)
        content = buffer.getvalue()
        return f"_ray_pkg_{hashlib.sha256(content).hexdigest()[:32]}.zip", content

    def _whole(self) -> str:
        """A tree of the working folder as it is; the user's index stays as it was."""
        with tempfile.TemporaryDirectory() as folder:
            index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
            _git(self.root, "read-tree", "HEAD", **index)
            _git(self.root, "add", "--all", **index)
            return _git(self.root, "write-tree", **index)


def _limit_mb() -> int:
    return whole("REPO_SUBMIT_MB")


def _add(zipped: zipfile.ZipFile, name: str, content: bytes, mode: int) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.external_attr = (mode & 0o777) << 16
    zipped.writestr(entry, content, zipfile.ZIP_DEFLATED)


def _git(root: Path, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        ["git", *arguments],
        cwd=root,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip("\n")
