"""The project as it would stand under other params, without touching it: for ``plan --profile``."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
        cache = root / ".dvc" / "cache"
        (folder / ".dvc" / "config").write_text(
            f"[core]\n    analytics = false\n    no_scm = true\n[cache]\n    dir = {cache}\n",
            encoding="utf-8",
        )
        taken = {path.name for path in folder.iterdir()}
        for path in root.iterdir():
            if path.name not in taken and path.name != ".git":
                (folder / path.name).symlink_to(path)
        yield folder
