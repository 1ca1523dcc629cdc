"""Profiles replace params.yaml, but never edits that are nowhere else."""

from pathlib import Path

import pytest

from pipeline.use import profiles, use
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
