"""What is sent to the cluster: the files of a commit, the params and the wish, as one zip.

The same commit gives the same bytes, so the cluster is handed a package once. Nothing that git
ignores is ever in it, hence no data, no cache and no ``.dvc/config.local``.
"""

import hashlib
import io
import json
import posixpath
import tarfile
import zipfile
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

from pipeline import git
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
        self.commit = git.head(root)
        if not self.commit:
            raise UserError(f"{root}: no git commit here; a run is sent as a commit")
        changed = [name for name in git.changed(root) if name not in (LOCK, *aside)]
        if changed and not dirty:
            more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            raise UserError(
                f"{changed[0]}{more}: not committed; commit, or send it as it is with --dirty"
            )
        whole = git.tree(root) if changed else "HEAD"
        # Of a repository with more than the project, the project's folder is sent.
        self.tree = git.git(root, "rev-parse", f"{whole}:{git.prefix(root)}")
        self.identity = f"{self.commit}+{self.tree}" if changed else self.commit

    def check_size(self) -> None:
        """Refuse what is too large to send, naming the largest folder."""
        limit = _limit_mb() * 10**6
        sizes: Counter[str] = Counter()
        for line in git.git(self.root, "ls-tree", "-r", "-l", "-z", "--full-tree", self.tree).split(
            "\0"
        ):
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
        # From the tree's own top: `git archive` takes the folder it is started in for a prefix.
        top = Path(git.git(self.root, "rev-parse", "--show-toplevel"))
        archive = git.git_bytes(top, "archive", "--format=tar", self.tree)
        buffer = io.BytesIO()
        with (
            tarfile.open(fileobj=io.BytesIO(archive)) as tar,
            zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as zipped,
        ):
            known = {member.name: member for member in tar}
            for member in known.values():
                found = _behind_links(member, known)
                file = tar.extractfile(found) if found is not None else None
                if file is not None and member.name not in ours:
                    _add(zipped, member.name, file.read(), member.mode)
            for name, text in sorted(ours.items()):
                _add(zipped, name, text.encode(), 0o644)
        content = buffer.getvalue()
        return f"_ray_pkg_{hashlib.sha256(content).hexdigest()[:32]}.zip", content


def _behind_links(
    member: tarfile.TarInfo, known: dict[str, tarfile.TarInfo]
) -> tarfile.TarInfo | None:
    """The file that a member is or links to; none for folders and for links that lead out."""
    for _ in range(8):
        if not member.issym():
            return member if member.isfile() else None
        name = posixpath.normpath(posixpath.join(posixpath.dirname(member.name), member.linkname))
        if name not in known:
            return None
        member = known[name]
    return None


def _limit_mb() -> int:
    return whole("REPO_SUBMIT_MB")


def _add(zipped: zipfile.ZipFile, name: str, content: bytes, mode: int) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.external_attr = (mode & 0o777) << 16
    zipped.writestr(entry, content, zipfile.ZIP_DEFLATED)
