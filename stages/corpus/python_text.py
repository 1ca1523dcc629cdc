"""Real text that every machine has: the language reference and the standard library.

Three sorts of documents: the topics of ``pydoc_data`` (prose of the language reference), the
docstrings of the standard library's modules, and the sources themselves, tests left out.
"""

import ast
import random
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from pydoc_data.topics import topics

from stages.corpus.params import PYTHON_LEFT_OUT

DEFINITIONS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
BRANCHES = (ast.stmt, ast.excepthandler, ast.match_case)
"""Nodes that can hold a definition; expressions, nine nodes of ten, cannot."""
SHORT = 200
"""Characters of prose that are a module's name in other words: left out."""


def documents(max_bytes: int, seed: int) -> Iterator[str]:
    """Yield documents, a deterministic choice by ``seed``, up to ``max_bytes`` of UTF-8 in all.

    The reference comes whole and first (0.7 MB in Python 3.11); the library fills the rest. A document
    that does not fit is passed over.
    """
    room = max_bytes
    for name in sorted(topics):
        text = topics[name].strip()
        if (size := len(text.encode())) <= room:
            room -= size
            yield text
    for file in _library(seed):
        for text in _texts(file, room):
            if (size := len(text.encode())) <= room:
                room -= size
                yield text


def _library(seed: int) -> list[Path]:
    root = Path(sysconfig.get_path("stdlib"))
    files = sorted(
        file
        for file in root.rglob("*.py")
        if not PYTHON_LEFT_OUT & set(file.relative_to(root).parts)
    )
    random.Random(seed).shuffle(files)
    return files


def _texts(file: Path, room: int) -> Iterator[str]:
    """Docstrings and source of a file; nothing where neither fits into ``room`` bytes."""
    try:
        source = file.read_text(encoding="utf-8")
        text = source.strip()
        if room <= SHORT and len(text) > room:
            return  # before it is parsed: that takes ten times as long as all else
        tree = ast.parse(source)
    except (UnicodeDecodeError, SyntaxError):
        return
    prose = "\n\n".join(_docstrings(tree))
    if len(prose) > SHORT:
        yield prose
    yield text


def _docstrings(tree: ast.Module) -> Iterator[str]:
    """Docstrings in the order of ``ast.walk``: all of a level before those below."""
    level: list[ast.AST] = [tree]
    while level:
        for node in level:
            if isinstance(node, DEFINITIONS) and (text := ast.get_docstring(node)):
                yield text
        level = [c for n in level for c in ast.iter_child_nodes(n) if isinstance(c, BRANCHES)]
