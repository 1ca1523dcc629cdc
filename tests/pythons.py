"""The suite's fast part on every other Python found here: clusters' images have 3.12, 3.13.

    python -m tests.pythons

Each gets an environment of its own in ``.venv-<version>`` with the small libraries alone, no torch,
Ray, DVC or Prefect (15 CPU seconds), and runs the tests that need no more. They run side by side.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
VERSIONS = ("3.12", "3.13")
LIBRARIES = (
    *("filelock", "httpx", "jieba", "jinja2", "networkx", "numpy", "orjson", "psutil", "pyarrow"),
    *("pydantic", "pytest", "pyyaml", "rich", "rouge", "ruamel.yaml", "tokenizers", "tqdm"),
    *("transformers", "typer", "wonderwords", "zstandard"),
)
"""What the tests below import; the versions are those of constraints.txt."""
TESTS = (
    *(
        "tests/stages/benchmarks",
        "tests/stages/checks",
        "tests/stages/common",
        "tests/stages/corpus",
    ),
    *("tests/stages/test_params.py", "tests/pipeline/test_schedule.py", "tests/test_arrows.py"),
)
HEAVY = (
    *("tests/stages/benchmarks/test_exact.py", "tests/stages/checks/test_against_repo_model.py"),
    *("tests/stages/checks/test_bounds.py", "tests/stages/common/test_entry.py"),
    *("tests/stages/common/test_memory_out.py", "tests/stages/common/test_old_state.py"),
    *("tests/stages/common/test_runs.py", "tests/stages/common/test_variants.py"),
    "tests/stages/corpus/test_fetch.py",
)
"""Files among them that import torch, or a filesystem's library."""
ABSENT = ("torch", "ray", "dvc", "prefect", "datasets", "deepspeed", "accelerate", "safetensors")
"""Libraries that those environments lack, among what a test could ask for."""
FAST = "not ray and not e2e and not slow and not stress"


SELECTED = (*(f"--ignore={file}" for file in HEAVY), *TESTS)


def found() -> Iterator[tuple[str, str]]:
    """Version and program of each Python that is there, on PATH or pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for version in VERSIONS:
        own = sorted(pyenv.glob(f"{version}.*/bin/python{version}"))
        program = shutil.which(f"python{version}") or (own[-1] if own else None)
        # pyenv's shims are on PATH also where they have no such version to run.
        if program and subprocess.run([program, "-V"], capture_output=True).returncode == 0:
            yield version, str(program)
        elif own:
            yield version, str(own[-1])


def command(version: str, program: str) -> str:
    """The shell's line: an environment where there is none yet, then the tests."""
    venv = f".venv-{version}"
    pip = f"{venv}/bin/python -m pip install -q --disable-pip-version-check --no-compile"
    return (
        f"[ -e {venv}/done ] || {{ {program} -m venv {venv}"
        f" && {pip} -c constraints.txt {' '.join(LIBRARIES)} && touch {venv}/done; }}"
        f" && {venv}/bin/python -m pytest -p no:cacheprovider -m '{FAST}' {' '.join(SELECTED)}"
    )


def main() -> int:
    """Run them; 1 where one failed."""
    began = time.monotonic()
    runs = {
        version: subprocess.Popen(
            ["bash", "-c", command(version, program)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for version, program in found()
    }
    failed = 0
    for version, run in runs.items():
        output, _ = run.communicate()
        last = (output.strip().splitlines() or ["no output"])[-1]
        print(f"Python {version}: {'failed' if run.returncode else 'passed'}: {last}", flush=True)
        if run.returncode:
            failed = 1
            print(output)
    for version in VERSIONS:
        if version not in runs:
            print(f"Python {version}: not here, not tried")
    print(f"other Pythons: {time.monotonic() - began:.0f} s")
    return failed


if __name__ == "__main__":
    sys.exit(main())
