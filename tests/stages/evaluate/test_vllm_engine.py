"""vLLM's process: what it is asked, what is made of its answers, and how it ends.

vLLM itself is too large for every run (tests/vllm has it): in its place stands an environment whose
``vllm`` answers by rule. The process, the pipes and the Python are the real ones.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch
from tokenizers import Tokenizer

import repo_model
from stages.common.errors import UserError
from stages.common.files import read_jsonl
from stages.evaluate import pool, vllm_engine
from stages.evaluate.engine import Completion, completion
from stages.evaluate.shards import Model, Shard
from tests.stages.evaluate.asked import WINDOW, call
from tests.stages.evaluate.fake_vllm import FakeVllm
from tests.stages.evaluate.without_ray import in_this_process

CPU = SimpleNamespace(type="cpu")
CONFIG: dict[str, Any] = {"model_type": "olmo2", "max_position_embeddings": 4096}


@pytest.fixture
def vllm(tmp_path: Path, llama: Path, monkeypatch: pytest.MonkeyPatch) -> FakeVllm:
    """Answers "17", and ends."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REPO_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    answer = Tokenizer.from_file(str(llama / "tokenizer.json")).encode("17").ids
    found = FakeVllm(tmp_path / "vllm", answer)
    monkeypatch.setenv(vllm_engine.VARIABLE, found.python)
    return found


def engine(folder: Path, factor: float | None = None, scale: float = 1.0) -> vllm_engine.Engine:
    return vllm_engine.Engine(Path("/"), Model(str(folder), "aa", factor, scale), "float32", CPU)


def test_it_gets_our_token_ids(
    capsys: Any, llama: Path, vllm: FakeVllm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_compute", in_this_process)
    asked = (llama, "--engine", "vllm", "--tasks", "fwe", "--num", 2, "--lengths", f"900,{WINDOW}")
    code, text = call(capsys, *asked, "--out", "out")
    assert code == 0, text
    (loaded,) = vllm.asked("arguments")  # one for both lengths
    assert loaded["arguments"]["max_model_len"] == WINDOW
    assert loaded["arguments"]["dtype"] == "float32"
    metrics = json.loads(Path("out/metrics.json").read_text())
    assert metrics["engine"] == "vllm"
    assert (metrics["made"]["decoded"], metrics["made"]["dtype"]) == (["vllm"], ["float32"])
    versions = metrics["made"]["versions"]
    assert (versions["vllm"], versions["vllm: torch"]) == ("0.99.1", "2.99")
    assert versions["torch"] == torch.__version__
    rows = vllm.asked("prompts")
    assert all(
        (row["how"]["temperature"], row["how"]["stop_token_ids"]) == (0.0, [0]) for row in rows
    )
    prompts = [prompt for row in rows for prompt in row["prompts"]]
    assert {len(prompt) + 50 <= WINDOW for prompt in prompts} == {True}
    for length in (900, WINDOW):
        for row in read_jsonl(Path(f"out/samples/fwe-{length}.jsonl")):
            assert (row["prediction"], row["ended_by_eos"]) == ("17", True)
            assert row["prompt_tokens"] in map(len, prompts)


def test_beyond_the_window_by_yarn(
    capsys: Any, llama: Path, vllm: FakeVllm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A factor is asked for by a folder: vLLM reads config.json."""
    monkeypatch.setattr(pool, "_compute", in_this_process)
    asked = (llama, "--engine", "vllm", "--yarn", "--tasks", "fwe", "--num", 1)
    code, text = call(capsys, *asked, "--lengths", f"{WINDOW},{2 * WINDOW}", "--out", "out")
    assert code == 0, text
    plain, twice = vllm.asked("arguments")
    assert plain["arguments"]["max_model_len"] == WINDOW
    assert twice["arguments"]["max_model_len"] == 2 * WINDOW
    assert not psutil.pid_exists(plain["pid"]) or psutil.Process(plain["pid"]).status() == "zombie"


@pytest.mark.parametrize("kind", ["trained", "extended", "sharded"])
def test_a_folder_at_a_factor_reads_as_ours(
    kind: str, vllm: FakeVllm, make_model: Any, tmp_path: Path
) -> None:
    model = make_model("repo", seed=1)
    if kind != "trained":
        repo_model.extend(model, 4)
    model.save_pretrained(
        tmp_path / "m", **({"max_shard_size": "20KB"} if kind == "sharded" else {})
    )
    held = engine(tmp_path / "m", 2.0)
    (asked,) = vllm.asked("arguments")
    folder = Path(asked["arguments"]["model"])
    ids = torch.arange(2, 60)[None]
    theirs = repo_model.load(folder)
    if kind == "trained":
        ours = repo_model.extend(repo_model.load(tmp_path / "m"), 2)
    else:
        ours = repo_model.load(tmp_path / "m", yarn_factor=2)
    weights = [file for file in folder.iterdir() if file.suffix == ".safetensors"]
    assert weights and all(file.is_symlink() for file in weights)  # 14 GB stay where they are
    with torch.no_grad():
        assert torch.equal(theirs(ids).logits, ours(ids).logits)
    assert any(name.endswith(".py") for name in asked["files"])  # the code that vLLM runs
    held.close()
    assert not folder.exists()
    assert sorted(tmp_path.glob("m/*.safetensors"))  # only links went


def test_the_folder_itself_where_its_factor_is_asked_for(
    vllm: FakeVllm, make_model: Any, tmp_path: Path
) -> None:
    repo_model.extend(make_model("repo", seed=1), 2).save_pretrained(tmp_path / "m")
    for factor in (2.0, None):
        engine(tmp_path / "m", factor).close()
    assert {row["arguments"]["model"] for row in vllm.asked("arguments")} == {str(tmp_path / "m")}


@pytest.mark.parametrize(
    ("where", "code", "message"),
    [
        (
            "load",
            "raise ValueError('head size 24\\nis not supported')",
            r"vLLM 0\.99\.1 does not load \S+ \(ValueError: head size 24 is not supported\); take the "
            "engine own",
        ),
        (
            "load",
            "import sys; print('no kernel', file=sys.stderr); os._exit(3)",
            "code 3: no kernel",
        ),
        (
            "generate",
            "raise RuntimeError('out of memory')",
            r"does not read \S+ \(RuntimeError: out of",
        ),
        (
            "generate",
            "import sys; print('too much', file=sys.stderr, flush=True); os.kill(os.getpid(), 9)",
            r"vLLM 0\.99\.1 does not read \S+ \(its process ended with code -9: too much\)",
        ),
        (  # a child of its own holds the pipe, and half an answer is no answer
            "generate",
            "import sys, time\n"
            "if os.fork() == 0:\n    time.sleep(300)\n"
            "os.write(3, b'{\"tokens\": [')\nprint('half', file=sys.stderr, flush=True); os._exit(4)",
            r"\(its process ended with code 4: half\)",
        ),
    ],
)
def test_what_vllm_refuses_is_one_line(
    where: str, code: str, message: str, capsys: Any, llama: Path, vllm: FakeVllm,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(pool, "_compute", in_this_process)
    vllm.fails(where, code)
    asked = (llama, "--engine", "vllm", "--tasks", "fwe", "--num", 1, "--lengths", 900)
    ended, text = call(capsys, *asked)
    assert ended == 2
    told = [line for line in text.splitlines() if not line.startswith("shard ")]  # an actor's log
    assert len(told) == 1 and re.search(message, told[0]), text


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("python3", "REPO_VLLM_PYTHON is 'python3', no whole path; give that of a Python"),
        ("/nowhere/python", "REPO_VLLM_PYTHON is '/nowhere/python', no Python that has vLLM"),
        (sys.executable, "no Python that has vLLM"),
        (
            "",
            "the engine vllm needs a Python that has vLLM; run infra/vllm/setup.sh, or name one in",
        ),
    ],
)
def test_a_python_without_vllm_is_refused_before_anything(
    named: str, message: str, capsys: Any, llama: Path, vllm: FakeVllm, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv(vllm_engine.VARIABLE, named)
    monkeypatch.setattr(vllm_engine, "BESIDE", "no-such-folder")
    code, text = call(capsys, llama, "--engine", "vllm")
    assert (code, text.count("\n")) == (2, 1) and message in text
    assert not (tmp_path / "runs").exists()


def test_the_environment_beside_this_one_is_found(
    vllm: FakeVllm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(vllm_engine.VARIABLE)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    monkeypatch.setattr(vllm_engine, "BESIDE", "vllm")
    assert vllm_engine.python() == vllm.python


def test_a_softmax_scale_is_refused(llama: Path, vllm: FakeVllm) -> None:
    with pytest.raises(UserError, match=r"softmax_scale is 1\.2: vLLM takes no factor"):
        engine(llama, scale=1.2)


def test_it_ends_with_an_actor_that_is_killed_and_its_folder_with_the_next(
    llama: Path, vllm: FakeVllm, tmp_path: Path
) -> None:
    """Killed in the middle of a batch, when nothing reads standard input."""
    vllm.fails("generate", "import time; time.sleep(300)")
    code = (
        "import tempfile, sys; tempfile.tempdir = sys.argv[2]\n"
        "from tests.stages.evaluate.test_vllm_engine import engine\n"
        "held = engine(sys.argv[1]); print('loaded', flush=True); held.generate([[2, 3]], 4, (0,))"
    )
    scratch = tmp_path / "scratch"
    actor = subprocess.Popen(
        [sys.executable, "-c", code, str(llama), str(scratch)],
        cwd=Path(__file__).parents[3], stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert actor.stdout is not None and actor.stdout.readline() == "loaded\n"
    ((loaded,),) = (vllm.asked("arguments"),)
    child = psutil.Process(loaded["pid"])
    actor.send_signal(signal.SIGKILL)
    actor.communicate()
    assert psutil.wait_procs([child], timeout=20)[1] == []
    (left,) = scratch.iterdir()
    vllm.fails("none", "")
    held = engine(llama)
    (mine,) = scratch.iterdir()  # the other's is gone, and the living one's stays
    assert mine != left and str(os.getpid()) in mine.name
    held.close()


def test_its_arguments() -> None:
    found = vllm_engine.model_arguments("/m", CONFIG, False, "float32", on_gpu=False)
    assert found["dtype"] == "float32" and found["gpu_memory_utilization"] < 0.5
    assert (found["model"], found["max_model_len"]) == ("/m", 4096)
    assert (found["model_impl"], found["trust_remote_code"]) == ("auto", False)
    config = CONFIG | {"model_type": "repo_olmo2"}
    own = vllm_engine.model_arguments("/m", config, False, "bfloat16", on_gpu=True)
    assert (own["model_impl"], own["trust_remote_code"]) == ("transformers", True)
    sampling = vllm_engine.sampling_arguments(8, (2,))
    assert sampling["temperature"] == 0.0
    assert (sampling["max_tokens"], sampling["stop_token_ids"]) == (8, [2])


def test_its_tokens_end_as_our_own_engine_s() -> None:
    assert completion(0, [5, 6, 2], (2,), None) == Completion([5, 6], True)
    assert completion(0, [5, 6], (2,), None) == Completion([5, 6], False)
    stop = lambda row, ids: ids[-1] == 5  # noqa: E731
    assert completion(0, [4, 5, 6, 2], (2,), stop) == Completion([4, 5], False, True)


def test_results_of_engines_are_kept_apart() -> None:
    def shard(**more: str) -> Shard:
        return Shard("samples", Model("m", "aa"), "f", "bb", (0,), 64, 8, (0,), **more)  # type: ignore[arg-type]

    assert shard().key == shard(engine="own").key
    assert shard().key != shard(engine="vllm").key
