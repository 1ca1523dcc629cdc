"""Files byte for byte as NVIDIA/RULER's generators write them.

With ``OFFICIAL_SCRIPTS`` (a folder with a clone ``RULER`` and ``site`` with PyYAML) their scripts run
and are compared; the digests of what they wrote once are compared always. Essays are any text here,
and cut into sentences by our rule on both sides: punkt is a download.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stages.benchmarks import official, samples
from tests.stages.bytes_tokenizer import save_tokenizer
from tests.stages.evaluate.asked import call

OFFICIAL = Path(os.environ.get("OFFICIAL_SCRIPTS", "nowhere"))
TOKENIZER = Path(os.environ.get("REPO_SHARED", "../shared")) / "data/dolma2_tokenizer"
SHARED = Path(os.environ.get("REPO_SHARED", "../shared")) / "data"
TOKENIZER = SHARED / "dolma2_tokenizer"
DIGESTS = {
    "niah_single_1": "cb30a7c8b3e12ca1",
    "niah_multikey_3": "995582a5d9a9a6e0",
    "vt": "e061687633799527",
    "cwe": "a820e00f20a1688d",
    "fwe": "2a1ed226017d5ba1",
    "qa_1": "c54726b9e5b68f26",
    "qa_2": "4c0cb43dc10d9a61",
}
"""At 1,024 tokens (qa: 4,096), 3 samples, dolma2's tokenizer, the texts below."""
needs_the_tokenizer = pytest.mark.skipif(not TOKENIZER.is_dir(), reason="no shared tokenizer")


def at_least(task: str, length: int) -> int:
    """RULER never ends where ten documents do not fit."""
    return max(length, 4096) if task.startswith("qa") else length


def ours(capsys: Any, folder: Path, task: str, length: int, out: Path, *more: Any) -> bytes:
    asked: list[Any] = ["--task", task, "--length", length, "--tokenizer", folder, "--num", 3]
    code, text = call(capsys, *asked, "--exact", "--out", out, *more, command=samples.main)
    assert code == 0, text
    return out.read_bytes()


def theirs(tokenizer: Path, task: str, length: int, folder: Path, texts: Path) -> bytes:
    """NVIDIA's ``prepare.py``; for nltk (a download), tenacity and SciPy others stand in."""
    scripts = folder / "scripts"
    shutil.copytree(OFFICIAL / "RULER/scripts", scripts, dirs_exist_ok=True)
    given = scripts / "data/synthetic/json"
    (given / "english_words.json").write_text("{}")  # a pointer in the clone
    for name, theirs in (
        ("essays", "PaulGrahamEssays"),
        ("squad", "squad"),
        ("hotpotqa", "hotpotqa"),
    ):
        shutil.copyfile(texts / f"{name}.json", given / f"{theirs}.json")
    site = folder / "site"
    (site / "nltk").mkdir(parents=True, exist_ok=True)
    (site / "nltk/__init__.py").write_text(
        "class data:\n    find = staticmethod(lambda name: name)\n"
    )
    (site / "nltk/tokenize.py").write_text(
        "from stages.benchmarks.haystack import split_sentences as sent_tokenize\n"
    )
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
    path = os.pathsep.join([str(site), str(OFFICIAL / "site"), str(Path.cwd())])
    place = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = [sys.executable, str(scripts / "data/prepare.py"), "--save_dir", str(folder / "data")]
    command += ["--benchmark", "synthetic", "--task", task, "--tokenizer_path", str(tokenizer)]
    command += [
        "--tokenizer_type",
        "hf",
        "--max_seq_length",
        str(length),
        "--num_samples",
        "3",
    ]
    environment = {**os.environ, "PYTHONPATH": path, "PATH": place, "PYTHONUTF8": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    file = folder / "data" / task / "validation.jsonl"
    assert file.is_file(), (done.stdout + done.stderr)[-3000:]
    return file.read_bytes()


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``essays.json``, ``squad.json``, ``hotpotqa.json``: small parts of the real ones."""
    folder = tmp_path_factory.mktemp("texts")
    squad = json.loads((SHARED / "squad_v2_cs224n_split/dev-v2.0.cs224n.json").read_text())
    (folder / "squad.json").write_text(json.dumps(squad))
    words = " ".join(p["context"] for d in squad["data"] for p in d["paragraphs"])
    (folder / "essays.json").write_text(json.dumps({"text": f" {words[:600_000]}\n "}))
    [file] = (SHARED / "hotpotqa_dev_distractor_subset").glob("*.json")
    rows = json.loads(file.read_text())
    for row in rows:  # from the hub's layout to its own
        context = row["context"]
        row["context"] = list(zip(context["title"], context["sentences"], strict=True))
    (folder / "hotpotqa.json").write_text(json.dumps(rows))
    return folder


def named(texts: Path) -> list[Any]:
    """The options that name the texts."""
    return [
        part
        for name in ("essays", "squad", "hotpotqa")
        for part in (f"--{name}", texts / f"{name}.json")
    ]


@needs_the_tokenizer
@pytest.mark.parametrize("task", DIGESTS)
def test_the_digests_of_nvidia_s_files(capsys, tmp_path: Path, texts: Path, task: str) -> None:
    length = at_least(task, 1024)
    found = ours(capsys, TOKENIZER, task, length, tmp_path / "rows.jsonl", *named(texts))
    assert hashlib.sha256(found).hexdigest()[:16] == DIGESTS[task]


def test_more_questions_than_there_are(capsys, tmp_path: Path) -> None:
    save_tokenizer(tmp_path)
    asked = (
        "--task",
        "qa_1",
        "--length",
        4096,
        "--tokenizer",
        tmp_path,
        "--num",
        99_999,
        "--exact",
    )
    code, text = call(capsys, *asked, "--out", tmp_path / "rows.jsonl", command=samples.main)
    assert (code, text.count("\n")) == (2, 1)
    assert "--num is 99999, but squad (generated) has" in text
    assert not (tmp_path / "rows.jsonl").exists()


@pytest.mark.stress
@pytest.mark.skipif(
    not (OFFICIAL.is_dir() and TOKENIZER.is_dir()),
    reason="OFFICIAL_SCRIPTS names no folder of clones",
)
@pytest.mark.parametrize("length", [1024, 4096, 8192])
@pytest.mark.parametrize("task", official.TASKS)
def test_nvidia_s_own_generators_write_the_same_bytes(
    capsys, tmp_path: Path, texts: Path, task: str, length: int
) -> None:
    length = at_least(task, length)
    found = ours(capsys, TOKENIZER, task, length, tmp_path / "rows.jsonl", *named(texts))
    assert found == theirs(TOKENIZER, task, length, tmp_path, texts)
