"""transformers' own model tests: our classes pass what the stock ones pass."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from repo_model.families import FAMILIES
from tests.families.model_tests import __main__ as model_tests
from tests.families.model_tests.files import VERSION, NotHereError, place


def test_the_files_are_those_of_the_pinned_release(project_root: Path) -> None:
    assert f"transformers=={VERSION}\n" in (project_root / "constraints.txt").read_text()


@pytest.fixture(scope="module")
def files() -> Iterator[Path]:
    """The test files; skips where no registry is reached."""
    pytest.importorskip("parameterized", reason="transformers' tests need it")
    folder = Path(tempfile.mkdtemp())
    try:
        yield place(folder)
    except NotHereError as error:
        pytest.skip(str(error))
    finally:
        shutil.rmtree(folder)


@pytest.mark.stress
@pytest.mark.parametrize("family", list(FAMILIES))
def test_ours_pass_what_stock_passes(family: str, files: Path) -> None:
    result = model_tests.run(family, files)
    assert sum(outcome == "passed" for outcome in result.ours.values()) > 50
    assert not result.only_ours
