"""Files byte for byte as NVIDIA/RULER's generators write them.

With ``OFFICIAL_SCRIPTS`` (a folder with a clone ``RULER`` and ``site`` with PyYAML) their scripts run
and are compared; the digests of what they wrote once are compared always.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stages.benchmarks import samples
from tests.stages.bytes_tokenizer import save_tokenizer
from tests.stages.evaluate.asked import call

OFFICIAL = Path(os.environ.get("OFFICIAL_SCRIPTS", "nowhere"))
TOKENIZER = Path(os.environ.get("REPO_SHARED", "../shared")) / "data/dolma2_tokenizer"
TASKS = ("vt", "cwe", "fwe")
DIGESTS = {"vt": "e061687633799527", "cwe": "a820e00f20a1688d", "fwe": "2a1ed226017d5ba1"}
"""At 1,024 tokens, 3 samples, dolma2's tokenizer."""


def ours(capsys: Any, folder: Path, task: str, length: int, out: Path, num: int = 3) -> bytes:
    asked: list[Any] = ["--task", task, "--length", length, "--tokenizer", folder, "--num", num]
    code, text = call(capsys, *asked, "--exact", "--out", out, command=samples.main)
    assert code == 0, text
    return out.read_bytes()


def theirs(tokenizer: Path, task: str, length: int, folder: Path, num: int = 3) -> bytes:
    """NVIDIA's ``prepare.py``; for nltk (a download), tenacity and SciPy others stand in."""
    scripts = folder / "scripts"
    shutil.copytree(OFFICIAL / "RULER/scripts", scripts, dirs_exist_ok=True)
    texts = scripts / "data/synthetic/json"
    (texts / "english_words.json").write_text("{}")  # a pointer in the clone
    site = folder / "site"
    (site / "nltk").mkdir(parents=True, exist_ok=True)
    (site / "nltk/__init__.py").write_text(
        "class data:\n    find = staticmethod(lambda name: name)\n"
    )
    (site / "nltk/tokenize.py").write_text("sent_tokenize = None\n")
    (site / "tenacity.py").write_text(
        "retry = stop_after_attempt = wait_fixed = wait_random = None\n"
    )
    (site / "scipy").mkdir(exist_ok=True)
    (site / "scipy/__init__.py").write_text("")
    (site / "scipy/special.py").write_text(
        "def zeta(a):\n    assert a == 2\n    return 1.6449340668482264\n"
    )
    tokenizer_py = scripts / "data/tokenizer.py"
    # One class of it is decorated by tenacity, and never used here.
    tokenizer_py.write_text(tokenizer_py.read_text().split("class GeminiTokenizer")[0])
    path = os.pathsep.join([str(site), str(OFFICIAL / "site"), os.environ.get("PYTHONPATH", "")])
    place = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = [sys.executable, str(scripts / "data/prepare.py"), "--save_dir", str(folder / "data")]
    command += ["--benchmark", "synthetic", "--task", task, "--tokenizer_path", str(tokenizer)]
    command += [
        "--tokenizer_type",
        "hf",
        "--max_seq_length",
        str(length),
        "--num_samples",
        str(num),
    ]
    environment = {**os.environ, "PYTHONPATH": path, "PATH": place, "PYTHONUTF8": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    file = folder / "data" / task / "validation.jsonl"
    assert file.is_file(), (done.stdout + done.stderr)[-3000:]
    return file.read_bytes()


@pytest.mark.skipif(not TOKENIZER.is_dir(), reason="no shared tokenizer")
@pytest.mark.parametrize("task", TASKS)
def test_the_digests_of_nvidia_s_files(capsys, tmp_path: Path, task: str) -> None:
    found = ours(capsys, TOKENIZER, task, 1024, tmp_path / "rows.jsonl")
    assert hashlib.sha256(found).hexdigest()[:16] == DIGESTS[task]


@pytest.mark.parametrize("task", ["niah_single_2", "qa_1"])
def test_other_tasks_are_refused(capsys, tmp_path: Path, task: str) -> None:
    save_tokenizer(tmp_path)
    asked = ("--task", task, "--length", 4096, "--tokenizer", tmp_path, "--num", 1, "--exact")
    code, text = call(capsys, *asked, "--out", tmp_path / "rows.jsonl", command=samples.main)
    assert (code, text.count("\n")) == (2, 1)
    assert "--exact knows vt, cwe, fwe" in text


@pytest.mark.stress
@pytest.mark.skipif(
    not (OFFICIAL.is_dir() and TOKENIZER.is_dir()),
    reason="OFFICIAL_SCRIPTS names no folder of clones",
)
@pytest.mark.parametrize("length", [1024, 4096, 8192])
@pytest.mark.parametrize("task", TASKS)
def test_nvidia_s_own_generators_write_the_same_bytes(
    capsys, tmp_path: Path, task: str, length: int
) -> None:
    found = ours(capsys, TOKENIZER, task, length, tmp_path / "rows.jsonl")
    assert found == theirs(TOKENIZER, task, length, tmp_path)
