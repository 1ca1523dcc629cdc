"""For mkdocs: links to files of the repository outside docs/ become their names.

The pages are read in the repository as well, where such links lead somewhere.
"""

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"\[([^\]]+)\]\(([^)#:]+)\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Replace links that leave docs/; one to nowhere stays, and the strict build refuses it."""
    folder = (ROOT / "docs" / page.file.src_path).parent

    def plain(match: re.Match[str]) -> str:
        target = (folder / match[2]).resolve()
        inside = target.is_relative_to(ROOT / "docs") and target.suffix in (".md", ".png")
        if inside or not target.exists():
            return match[0]
        name = target.relative_to(ROOT).as_posix()
        text = match[1].strip("`")
        return f"`{name}`" if text in (name, match[2]) else f"{match[1]} (`{name}`)"

    return LINK.sub(plain, markdown)
