"""Shells and outputs that give little: each is one line of a table."""

import os
import shutil
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


GONE = {
    "plan": ("plan | true", 0),
    "plan, both": ("plan 2>&1 | true", 0),
    "json": ("plan --json | true", 0),
    "help": ("--help | true", 0),
    "one word": ("--version | true", 0),
    "a module's help": ("evaluate --help | true", 0),
    "a mistake": ("plan --profile nope 2>&1 | true", 2),
    "no terminal, 20 columns": ("plan </dev/null | cat >/dev/null", 0),
}


@pytest.mark.parametrize("name", GONE)
def test_a_reader_that_has_gone_is_no_mistake(name: str) -> None:
    line, code = GONE[name]
    command = f"{sys.executable} -m pipeline.cli {line}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "20"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (code, "")


def test_a_reader_of_the_results_that_has_gone_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    shutil.copy(ROOT / "docs/results/small/figures.json", tmp_path / "report")
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m stages.report.summary --all | true"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""


UNHEARD = """
import errno, subprocess, sys, time
from pipeline.streams import FULL, go_on_unheard
go_on_unheard({numbers})
for _ in range(50):
    print("x" * 5000, flush=True)
    subprocess.run(["echo", "a child's"], check=False)
sys.exit(7)
"""


@pytest.mark.parametrize(
    ("numbers", "where", "code"),
    [
        ("errno.EPIPE", "| true", 7),
        ("*FULL", ">/dev/full", 7),
        ("errno.EPIPE", ">/dev/full", 1),
        ("errno.EPIPE); go_on_unheard(*FULL", "| true", 7),
        ("errno.EPIPE); go_on_unheard(*FULL", ">/dev/full", 7),
        ("errno.EPIPE); [go_on_unheard(*FULL) for _ in range(1500)]; (0", ">/dev/full", 7),
    ],
)
def test_a_run_goes_on_where_nobody_reads_its_lines(numbers: str, where: str, code: int) -> None:
    script = UNHEARD.format(numbers=numbers)
    done = subprocess.run(
        ["bash", "-c", f'{sys.executable} -c "$0" {where}; exit ${{PIPESTATUS[0]}}', script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert bool(done.stderr) == (code == 1)


LEGACY = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def test_the_words_of_the_samples_are_those_of_any_locale() -> None:
    code = "from stages.benchmarks.words import Words; print(Words(len, None).sha256)"
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, **locale},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for locale in ({}, LEGACY)
    }
    assert len(found) == 1
