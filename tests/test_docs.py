"""The documentation: built strictly, its reference pages are the code's, its messages are real."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from docs import generate

REMOTE = re.compile(r"""(?:src|href)=["']?(?:https?:)?//(?!arxiv\.org)|url\(["']?https?:""")


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="types are printed by 3.11's ways")
@pytest.mark.parametrize("page", generate.PAGES)
def test_reference_pages_are_those_of_the_code(page: str, project_root: Path) -> None:
    written = (project_root / "docs" / page).read_text(encoding="utf-8")
    assert written == generate.PAGES[page](), "run `python docs/generate.py`"


def test_every_field_has_its_row(project_root: Path) -> None:
    page = (project_root / "docs/params.md").read_text(encoding="utf-8")
    params = yaml.safe_load((project_root / "params.yaml").read_text(encoding="utf-8"))
    for name, value in params.items():
        assert f"| `{name}` |" in page
        if isinstance(value, dict) and name != "definitions":
            for field in value:
                assert f"| `{field}` |" in page, (name, field)


def test_the_site_is_built_strictly_and_loads_nothing(project_root: Path, tmp_path: Path) -> None:
    pytest.importorskip("material")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(tmp_path / "site")],
        cwd=project_root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    pages = sorted((tmp_path / "site").rglob("*.html"))
    assert len(pages) >= 20
    for page in pages:
        head = page.read_text(encoding="utf-8").partition("<body")[0]
        assert not REMOTE.search(head), page


def _source(root: Path) -> str:
    files = [*root.glob("stages/**/*.py"), *root.glob("pipeline/**/*.py")]
    return " ".join(" ".join(file.read_text(encoding="utf-8").split()) for file in files)


def test_every_message_of_troubleshooting_is_in_the_code(project_root: Path) -> None:
    """Joined strings and fields aside: each stretch of three words and more must be there."""
    page = (project_root / "docs/troubleshooting.md").read_text(encoding="utf-8")
    source = re.sub(r'" f?"', "", _source(project_root))
    messages = re.findall(r"^\| `([^`]+)`", page, flags=re.MULTILINE)
    assert len(messages) >= 14
    for message in messages:
        for part in re.split(r"\.\.\.|REPO_", message):
            words = part.strip()
            if len(words.split()) >= 2:
                assert words in source, message


def test_every_word_of_the_glossary_is_explained_once(project_root: Path) -> None:
    page = (project_root / "docs/reading.md").read_text(encoding="utf-8")
    words = re.findall(r"^\| \*\*(.+?)\*\* \|", page, flags=re.MULTILINE)
    assert len(words) == len(set(words)) >= 15
    assert words == sorted(words, key=str.lower) or words[0] == "base"


def test_the_citation_is_whole(project_root: Path) -> None:
    found = yaml.safe_load((project_root / "CITATION.cff").read_text(encoding="utf-8"))
    assert found["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "license", "version"} <= set(found)
    told = re.search(r'^version = "(.+)"$', (project_root / "pyproject.toml").read_text(), re.M)
    assert told is not None and told[1] == found["version"]
