"""Profiles: complete params files that replace ``params.yaml``."""

from importlib.resources import files
from pathlib import Path

from ruamel.yaml import YAML

from pipeline import git
from stages.common.errors import UserError
from stages.common.files import replacing
from stages.common.migration import SCHEMA, version_of
from stages.common.migration import migrate as migrate_document
from stages.common.reading import read_yaml

PARAMS = "params.yaml"
BRING_BACK = f"`repo-pipeline use PROFILE` writes one, `git checkout {PARAMS}` brings yours back"


def profiles() -> dict[str, str]:
    """Name -> content of every profile that ships."""
    folder = files("pipeline.profiles")
    found = {
        file.name.removesuffix(".yaml"): file.read_text(encoding="utf-8")
        for file in folder.iterdir()
        if file.name.endswith(".yaml")
    }
    return dict(sorted(found.items()))


def migrate(root: Path) -> str:
    """Rewrite ``root/params.yaml`` in today's schema, its comments kept; says what was done."""
    target = root / PARAMS
    if not target.is_file():
        raise UserError(f"{target}: no such file; {BRING_BACK}")
    if (before := version_of(read_yaml(target))) == SCHEMA:
        return f"{PARAMS} is of schema {SCHEMA} already"
    yaml = YAML()
    yaml.width = 4096
    document = yaml.load(target.read_text(encoding="utf-8"))
    migrated = migrate_document(document)
    with replacing(target) as temporary, open(temporary, "w", encoding="utf-8") as file:
        yaml.dump(migrated, file)
    return f"{PARAMS} was of schema {before} and is now of schema {SCHEMA}"


def refuse_old(root: Path) -> None:
    """Raise ``UserError`` for a params file that DVC could not track as the graph asks."""
    if (before := version_of(read_yaml(root / PARAMS))) != SCHEMA:
        raise UserError(
            f"{PARAMS} is of schema {before}; `repo-pipeline use --migrate` rewrites it as schema "
            f"{SCHEMA}, comments kept"
        )


def use(text: str, root: Path) -> None:
    """Put ``text`` in place of ``root/params.yaml``.

    Raises ``UserError`` over edits that are not committed: they are in no profile and no commit, so
    nothing could bring them back.
    """
    target = root / PARAMS
    if target.is_file() and target.read_text(encoding="utf-8") not in profiles().values():
        try:
            edited = bool(git.changed(root, PARAMS))
        except git.GitError:
            edited = True
        if edited:
            raise UserError(f"{PARAMS} has edits that are not committed; commit or drop them first")
    with replacing(target) as temporary:
        temporary.write_text(text, encoding="utf-8")
