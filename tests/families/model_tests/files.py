"""transformers' test files as a package `transformers_tests`, in a folder of its own.

`tests/test_*.py` come from the sdist of the release that constraints.txt pins, by hash. The sdist has
no folders below `tests/`, so the generation and export tests are empty classes, unless the variable
TRANSFORMERS_TESTS names the `tests` folder of a checkout (of a release close to the pinned one).
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

VERSION = "5.23.0"
SHA256 = "19d647a4d5d903a7c644ca5cde2d86efc3dde7d8c687ae7988806ff2205efa71"
PACKAGE = "transformers_tests"
EMPTY = {
    "generation/test_utils.py": ("GenerationTesterMixin",),
    "exporters/test_export.py": ("ExportTesterMixin", "ExportGenerateTesterMixin"),
}


class NotHereError(Exception):
    """The files cannot be had: no registry is reached, or it has another file."""


def place(folder: Path) -> Path:
    """Make `folder/transformers_tests` and return `folder`, to be put on the path.

    Raises:
        NotHereError: the sdist cannot be had or is another one.
    """
    package = folder / PACKAGE
    given = os.environ.get("TRANSFORMERS_TESTS")
    if given:
        names = ("generation", "exporters", "*.py")
        for path in (path for name in names for path in Path(given).glob(name)):
            (shutil.copytree if path.is_dir() else shutil.copy)(path, _under(package) / path.name)
    else:
        for name, classes in EMPTY.items():
            text = "".join(f"class {c}:\n    pass\n\n\n" for c in classes)
            (_under((package / name).parent) / "__init__.py").touch()
            (package / name).write_text(text)
    prefix = f"transformers-{VERSION}/tests/"
    with tarfile.open(_sdist(folder)) as archive:
        for member in archive.getmembers():
            name = member.name.removeprefix(prefix)
            if member.isfile() and re.fullmatch(r"test_\w+\.py", name):
                content = archive.extractfile(member)
                assert content is not None
                (_under(package) / name).write_bytes(content.read())
    (package / "__init__.py").touch()
    for path in package.rglob("*.py"):  # a few name their own package
        text = path.read_text(encoding="utf-8")
        path.write_text(re.sub(r"(?m)^(\s*from )tests\.", rf"\1{PACKAGE}.", text))
    return folder


def _under(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _sdist(folder: Path) -> Path:
    name = f"transformers=={VERSION}"
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder)]
    done = subprocess.run(
        [*command, "--no-binary", "transformers", name], capture_output=True, text=True, check=False
    )
    file = folder / f"transformers-{VERSION}.tar.gz"
    if done.returncode or not file.is_file():
        raise NotHereError(f"pip download {name}: {done.stderr.strip()[-300:]}")
    if hashlib.sha256(file.read_bytes()).hexdigest() != SHA256:
        raise NotHereError(f"{file.name} is not the file that was looked at (sha256)")
    return file
