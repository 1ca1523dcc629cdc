"""Execution settings change no result: Liger's loss, compiled blocks, recomputed activations."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from stages.common.errors import UserError
from stages.common.files import read_jsonl
from stages.training import attention, execution
from stages.training.cpu_workers import cpu_workers
from stages.training.engine import _Objective
from tests.stages.training import recipes, workers
from tests.stages.training.recipes import SHORT, Runs, recipe
from tests.stages.training.small import model
from tests.stages.training.workers import CPU


@pytest.mark.slow
def test_liger_s_loss_trains_as_the_chunked_one(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("triton")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    stop = partial(recipes.stop_at, 5, runs.folder / "liger")  # minutes in the interpreter
    run, settings = runs.run("liger", stop, **SHORT), replace(CPU, workers=1, loss="liger")
    workers.run(runs.folder, [recipes.check_liger, (run, settings)], world=1)
    assert "liger loss" in runs.notices("liger")
    found = [row["loss"] for row in read_jsonl(runs.folder / "liger/metrics.jsonl")]
    assert len(found) == 5
    assert found == pytest.approx(runs.losses("short")[:5], abs=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_liger_s_loss_on_a_gpu() -> None:
    pytest.importorskip("liger_kernel")
    recipes.check_liger("cuda")


def compiled(
    runs: Runs, name: str, monkeypatch: pytest.MonkeyPatch, recompute: bool, world: int
) -> None:
    """Train with compiled blocks, and compare with the run that is not; every rank compiles."""
    cache = (
        runs.folder / f"inductor-{int(recompute)}"
    )  # a space in it breaks the compiler's command
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(cache))
    monkeypatch.setenv("TORCHINDUCTOR_COMPILE_THREADS", "1")
    settings = replace(CPU, workers=world, compile=True, gradient_checkpointing=recompute)
    jobs: Sequence[workers.Job] = [(runs.run(name, **SHORT), settings), recipes.check_compiled]
    workers.run(runs.folder, jobs, world=world)
    assert "blocks compiled" in runs.notices(name)
    assert runs.losses(name) == pytest.approx(runs.losses("short"), abs=1e-4)
    plain = runs.weights("short")
    assert set(runs.weights(name)) == set(plain)  # no `_orig_mod` in a name
    for parameter_name, value in runs.weights(name).items():
        torch.testing.assert_close(value, plain[parameter_name], atol=1e-3, rtol=0)


@pytest.mark.slow
def test_compiled_blocks_train_as_plain_ones(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled(runs, "compiled", monkeypatch, recompute=False, world=1)


@pytest.mark.slow
@pytest.mark.stress
def test_compiled_blocks_that_are_recomputed(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled(runs, "compiled and recomputed", monkeypatch, recompute=True, world=2)


def test_recomputed_activations_change_no_bit(runs: Runs) -> None:
    assert runs.equal("recomputed", "short")
    assert "activations recomputed" in runs.notices("recomputed")
    calls = []
    for recompute in (False, True):
        net, count = model().train(), [0]
        if recompute:
            net.gradient_checkpointing_enable()  # type: ignore[operator]

        def called(*_: object, count: list[int] = count) -> None:
            count[0] += 1

        for layer in net.model.layers:  # type: ignore[union-attr]
            layer.mlp.register_forward_hook(called)
        _Objective(net, 1e-4, None, "chunked")(torch.randint(0, 64, (2, 16)))[1].backward()
        calls.append(count[0])
    assert calls == [2, 4]


@pytest.mark.slow
@pytest.mark.stress
def test_the_gpu_s_benchmark_goes_through_at_toy_size(project_root: Path) -> None:
    options = ["--rehearse", "--eager", "--no-kills", "--rounds", "5"]
    done = subprocess.run(
        [sys.executable, "benchmarks/train_loop.py", *options],
        cwd=project_root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for words in ("RePo / RoPE, whole steps: ", "MFU ", " causal, ", "peak memory", "K tok/s"):
        assert words in done.stdout


def test_the_best_kernel_that_is_there_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("liger_kernel")
    assert execution.loss_kernel("", use_gpu=True) == "liger"
    assert execution.loss_kernel("", use_gpu=False) == "chunked"
    assert execution.loss_kernel("chunked", use_gpu=True) == "chunked"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert execution.loss_kernel("", use_gpu=True) == "chunked"
    with pytest.raises(UserError, match=r"it needs `pip install -e '\.\[gpu\]'`"):
        execution.loss_kernel("liger", use_gpu=True)


@pytest.mark.parametrize(
    ("gpu", "zero", "told", "compiles"),
    [(True, "", "", True), (True, "3", "", False), (False, "", "", False), (True, "", "0", False)],
)
def test_blocks_are_compiled_by_default_on_gpus(
    gpu: bool, zero: str, told: str, compiles: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in (
        ("REPO_USE_GPU", str(int(gpu))),
        ("REPO_ZERO", zero),
        ("REPO_COMPILE", told),
    ):
        monkeypatch.setenv(name, text)
    assert execution.from_environment(gpus=1).compile == compiles


@pytest.mark.parametrize(
    ("wanted", "gpu", "precision", "said"),
    [
        ("cudnn", False, "bf16", "need a GPU"),
        ("cudnn", True, "fp32", "precision 'bf16'"),
        ("flash", True, "bf16", "no flash_attn is installed"),
    ],
)
def test_an_attention_that_cannot_be_is_refused(
    wanted: str, gpu: bool, precision: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "flash", lambda: None)
    with pytest.raises(UserError, match=said):
        attention.check(wanted, gpu, precision)
    attention.check("sdpa", gpu, precision)


def test_a_chosen_attention_reaches_the_model_and_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "flash", lambda: "eager")  # a name that is there without a GPU
    net = model()
    attention.choose(net, "flash")
    assert net.config._attn_implementation == "eager"  # type: ignore[union-attr]
    told: dict[str, bool] = {}
    for kernel in ("cudnn", "flash", "mem_efficient"):
        name = f"enable_{kernel}_sdp"
        monkeypatch.setattr(torch.backends.cuda, name, partial(told.__setitem__, kernel))
    attention.choose(net, "cudnn")
    assert told == {"cudnn": True, "flash": False, "mem_efficient": False}


@pytest.mark.parametrize(
    ("batch", "length", "cores", "workers"),
    [
        (2048, 256, 64, 2),  # a toy's batch is not cut finer
        (2048, 256, 1, 1),
        (65536, 1024, 6, 4),  # 64 rows: six do not come out even
        (65536, 1024, 256, 64),
        (3072, 1024, 2, 1),  # three rows for two
    ],
)
def test_on_cpu_all_cores_work_that_have_enough_to_do(
    batch: int, length: int, cores: int, workers: int
) -> None:
    params = recipe(
        tokens=4 * batch, batch_tokens=batch, lengths=({"length": length, "share": 1.0},)
    )
    assert cpu_workers(params, cores) == workers
