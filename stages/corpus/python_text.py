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


def documents(max_bytes: int, seed: int) -> Iterator[str]:
    """Yield documents, a deterministic choice by ``seed``, up to ``max_bytes`` of UTF-8 in all.

    The reference comes whole and first (0.7 MB in Python 3.11); the library fills the rest.
    """
    taken = 0
    for text in (*_reference(), *_library(seed)):
        size = len(text.encode())
        if taken + size > max_bytes:
            continue
        taken += size
        yield text


def _reference() -> Iterator[str]:
    for name in sorted(topics):
        yield topics[name].strip()


def _library(seed: int) -> Iterator[str]:
    root = Path(sysconfig.get_path("stdlib"))
    files = sorted(
        file
        for file in root.rglob("*.py")
        if not PYTHON_LEFT_OUT & set(file.relative_to(root).parts)
    )
    random.Random(seed).shuffle(files)
    for file in files:
        try:
            source = file.read_text(encoding="utf-8")
            tree = ast.parse(source)
        except (UnicodeDecodeError, SyntaxError):
            continue
        nodes = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        found = [ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, nodes)]
        prose = "\n\n".join(text for text in found if text)
        if len(prose) > 200:  # shorter ones are a module's name in other words
            yield prose
        yield source.strip()
