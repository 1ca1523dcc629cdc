"""Shells and outputs that give little: each is one line of a table."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


SHELLS = {
    "closed input": ("{} <&-", 0),
    "closed output": ("{} >&-", 0),
    "all closed": ("{} <&- >&- 2>&-", 0),
    "full disk": ("{} >/dev/full", 1),
    "full disk twice": ("{} >/dev/full 2>/dev/full", 1),
    "another's pipeline first": ("PYTHONPATH=$PWD:$PYTHONPATH {}", 0),
    "another Python's home": ("PYTHONHOME=/usr {}", 2),
    "warnings are errors": ("PYTHONWARNINGS=error {}", 0),
    "optimized": ("PYTHONOPTIMIZE=2 {}", 0),
}


@pytest.mark.parametrize("name", SHELLS)
def test_a_shell_that_gives_little(tmp_path: Path, name: str) -> None:
    (tmp_path / "pipeline").mkdir()
    for file in ("__init__", "cli"):
        (tmp_path / "pipeline" / f"{file}.py").write_text("raise SystemExit('not ours')")
    (tmp_path / "pipeline.py").write_text("raise SystemExit('not ours')")
    line, code = SHELLS[name]
    script = f"{sys.executable} {ROOT / 'pipeline' / 'bin' / 'repo-pipeline'} --version"
    done = subprocess.run(
        ["bash", "-c", line.format(script)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert len(done.stderr.splitlines()) <= (code != 0), done.stderr


LETTERS = """
import subprocess, sys
from stages.common.command import ended
def work():
    print("45.0 \\xb1 2.1", "\\udcff", flush=True)
    subprocess.run([sys.executable, "-c", "print(chr(0x25cf))"], check=True)
ended(work)
"""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8", None])
def test_no_encoding_of_the_output_ends_a_table_of_scores(encoding: str | None) -> None:
    named = {} if encoding is None else {"PYTHONIOENCODING": encoding}
    done = subprocess.run(
        [sys.executable, "-c", LETTERS],
        cwd=ROOT,
        env={**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", **named},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"45.0 ") and len(done.stdout.splitlines()) == 2
