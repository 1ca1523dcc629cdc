"""Runs the suite and prints a Markdown row per family: passed, failed, skipped; stock and ours."""

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from repo_model.families import FAMILIES
from tests.families.model_tests.files import place

ROOT = Path(__file__).parents[3]
HEAD = """| family | stock: passed | failed | skipped | ours: passed | failed | skipped | ours alone |
|---|--:|--:|--:|--:|--:|--:|---|
"""
EXEMPT = {
    "test_model_rope_scaling_from_config_1_dynamic",  # refused: learned positions cannot follow
    "test_can_init_all_missing_weights",  # of transformers' own list of models alone
    "test_moe_models_record_router_logits",  # skips what has no experts in its own file
}
"""Tests that need not pass."""


class Result(NamedTuple):
    """One family: the outcome of every test by its name."""

    stock: dict[str, str]
    ours: dict[str, str]

    @property
    def only_ours(self) -> list[str]:
        """Tests that the stock classes pass and ours fail or skip, but for the exempt."""
        passed = {name for name, outcome in self.stock.items() if outcome == "passed"}
        return sorted(name for name in passed - EXEMPT if self.ours.get(name, "passed") != "passed")


def run(family: str, files: Path, without: str | None = None) -> Result:
    """Both classes of a family in a process of their own; `without` leaves tests out by a word.

    Raises:
        RuntimeError: no test ran, with the end of what pytest said.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        suite = Path(__file__).with_name("suite.py")
        chosen = f"(Stock_{family} or Ours_{family})"
        chosen += f" and not {without}" if without else ""
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore"]
        command += [
            str(suite),
            "-k",
            chosen,
            f"--junitxml={report}",
            "--tb=short",
            "-o",
            "addopts=",
        ]
        paths = os.pathsep.join((str(files), str(ROOT)))
        env = {**os.environ, "PYTHONPATH": paths, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, check=False
        )
        if not report.is_file() or done.returncode > 1:
            raise RuntimeError(f"{family}: {(done.stdout + done.stderr)[-2000:]}")
        return read(report, family)


def read(report: Path, family: str) -> Result:
    """The outcomes in a JUnit file."""
    outcomes: dict[str, dict[str, str]] = {"Stock": {}, "Ours": {}}
    for case in ElementTree.parse(report).iter("testcase"):
        kind, _, name = (case.get("classname") or "").rpartition(".")[2].partition("_")
        if name == family:
            said = {child.tag for child in case}
            outcome = "failed" if said & {"failure", "error"} else "passed"
            outcomes[kind][case.get("name") or ""] = "skipped" if "skipped" in said else outcome
    return Result(outcomes["Stock"], outcomes["Ours"])


def row(family: str, result: Result) -> str:
    """A row of the table."""
    cells = [family]
    for outcomes in result:
        count = Counter(outcomes.values())
        cells += [str(count[key]) for key in ("passed", "failed", "skipped")]
    return "| " + " | ".join([*cells, ", ".join(result.only_ours) or "none"]) + " |\n"


def main() -> None:
    """The command line; exit 1 where only ours fail."""
    parser = argparse.ArgumentParser(prog="python -m tests.families.model_tests")
    parser.add_argument("families", nargs="*", metavar="FAMILY", help="default: all")
    parser.add_argument("--without", metavar="WORD", help="leave out tests with this in their name")
    options = parser.parse_args()
    chosen = options.families or list(FAMILIES)
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        files = place(Path(folder))
        print(HEAD, end="", flush=True)
        for family in chosen:
            result = run(family, files, options.without)
            failed |= bool(result.only_ours)
            print(row(family, result), end="", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
