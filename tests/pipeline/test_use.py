"""Profiles replace params.yaml, but never edits that are nowhere else."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.use import migrate, profiles, refuse_old, use
from stages.common.errors import UserError
from tests.pipeline.conftest import Shell


def test_a_profile_replaces_another_and_refuses_over_edits(project: Path, shell: Shell) -> None:
    params, known = project / "params.yaml", profiles()
    params.unlink()
    use(known["smoke"], project)
    assert params.read_text() == known["smoke"]
    use(known["tiny"], project)  # not committed either, but it is a profile's own text
    params.write_text(params.read_text().replace("seeds: [42]", "seeds: [43]"))
    with pytest.raises(UserError, match="edits that are not committed"):
        use(known["smoke"], project)
    assert "seeds: [43]" in params.read_text()
    shell(project, "git", "add", "params.yaml")
    shell(project, "git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "params")
    use(known["smoke"], project)
    assert params.read_text() == known["smoke"]


SCHEMA_1 = """\
# mine, and worth keeping
profile: smoke
variants: [rope, repo] # two
seeds: [42]
"""


def test_a_file_of_schema_1_is_rewritten_with_its_comments(project: Path) -> None:
    (project / "params.yaml").write_text(SCHEMA_1)
    with pytest.raises(UserError, match=r"schema 1; `repo-pipeline use --migrate` rewrites it"):
        refuse_old(project)
    assert migrate(project) == "params.yaml was of schema 1 and is now of schema 2"
    text = (project / "params.yaml").read_text()
    assert "# mine, and worth keeping" in text
    assert "# two" in text
    found = YAML(typ="safe").load(text)
    assert (found["schema"], found["reference"]) == (2, "rope")
    assert set(found["definitions"]) == {"rope", "repo"}
    refuse_old(project)
    assert migrate(project) == "params.yaml is of schema 2 already"
    assert (project / "params.yaml").read_text() == text
