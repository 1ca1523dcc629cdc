"""vLLM as the engine of samples, in a process of its own environment (``vllm_child``).

From token ids to token ids. vLLM pins torch, transformers and fastapi, so its Python is another one:
``$REPO_VLLM_PYTHON``, else what ``infra/vllm/setup.sh`` made beside this environment, else this one
where vLLM is installed in it. Checkpoints with learned positions go through vLLM's Transformers
backend. Its kernels are others: tokens may differ from this project's own engine where two are almost
as probable, so results of the two are never mixed (the engine is part of a shard's key). Losses of
windows are always the own engine's.
"""

import contextlib
import json
import os
import platform
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from stages.common import guard
from stages.common.errors import UserError
from stages.common.variables import value
from stages.evaluate import vllm_child
from stages.evaluate.ends import Ends
from stages.evaluate.ends import ids as end_ids
from stages.evaluate.models import extension, settings, window
from stages.evaluate.shards import Model

ENGINE = "vllm"
VARIABLE = "REPO_VLLM_PYTHON"
BESIDE = ".venv-vllm"
"""Folder of ``infra/vllm/setup.sh``, beside this environment's."""
_CHILD = str(vllm_child.__file__)
_LOOK_S = 1.0
"""Between looks whether the process still lives while it says nothing."""
_MEMORY = 0.9
"""Share of the GPU's memory that vLLM takes, its default; an actor has a GPU to itself."""
_HOST_MEMORY = 0.4
"""The same of a host without a GPU, where it is taken at once and others are at work."""


def python(environment: Mapping[str, str] | None = None) -> str:
    """The Python that has vLLM; ``UserError`` where there is none."""
    if named := value(VARIABLE, environment):
        if not Path(named).is_absolute():
            raise UserError(f"{VARIABLE} is {named!r}, no whole path; give that of a Python")
        if not _has_vllm(named):
            raise UserError(
                f"{VARIABLE} is {named!r}, no Python that has vLLM; infra/vllm/setup.sh makes one"
            )
        return named
    # Beside this environment, or in the checkout: a conda environment is elsewhere.
    for folder in (Path(sys.prefix).parent, Path(__file__).parents[2]):
        if _has_vllm(beside := str(folder / BESIDE / "bin" / "python")):
            return beside
    if _has_vllm(sys.executable):
        return sys.executable
    raise UserError(
        "the engine vllm needs a Python that has vLLM; run infra/vllm/setup.sh, or name one in "
        f"{VARIABLE}"
    )


@cache
def _has_vllm(executable: str) -> bool:
    """By that Python itself, without importing vLLM (20 s)."""
    code = "import sys; from importlib.util import find_spec; sys.exit(find_spec('vllm') is None)"
    try:
        found = subprocess.run([executable, "-I", "-c", code], capture_output=True, check=False)
    except OSError:
        return False
    return found.returncode == 0


def model_arguments(
    folder: str, config: Mapping[str, Any], trusted: bool, dtype: str, on_gpu: bool
) -> dict[str, Any]:
    """Of ``vllm.LLM``: its window is the model's, so that one instance reads every length.

    ``dtype``: as our own engine would take it there, ``bfloat16`` or ``float32``.
    """
    own = str(config.get("model_type")).startswith("repo_")
    return {
        "model": folder,
        "skip_tokenizer_init": True,
        "max_model_len": window(config),
        "dtype": dtype,
        "seed": 0,
        "gpu_memory_utilization": _MEMORY if on_gpu else _HOST_MEMORY,
        "enable_prefix_caching": True,
        "enforce_eager": not on_gpu,
        "model_impl": "transformers" if own else "auto",
        # A RePo checkpoint carries the code of this project's own package.
        "trust_remote_code": own or trusted,
    }


def sampling_arguments(max_new_tokens: int, eos: Ends) -> dict[str, Any]:
    """Of ``vllm.SamplingParams``: greedy, ended by our own ends and nothing else."""
    return {
        "temperature": 0.0,
        "max_tokens": max_new_tokens,
        "stop_token_ids": list(end_ids(eos)),
        "ignore_eos": True,
        "detokenize": False,
    }


class Engine:
    """A model in vLLM's process; the process and what was written for it go with this object."""

    def __init__(self, root: Path, model: Model, dtype: str, device: Any) -> None:
        """``model`` as of a shard, its folder relative to ``root``.

        Raises ``UserError``: no Python with vLLM, or vLLM does not load the folder.
        """
        import torch

        self._name, self.dtype, self.device = model.folder, dtype, device
        executable = python()
        place = _place()
        folder = _at_factor(
            root / model.folder, model, getattr(torch, dtype), Path(place.name) / "model"
        )
        config, trusted = settings(folder), os.environ.get("REPO_TRUST_REMOTE_CODE") == "1"
        self._log = Path(place.name) / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                # -I: neither this folder (it has a statistics.py) nor PYTHONPATH is for its imports.
                [executable, "-I", _CHILD],
                env=_environment(device.type == "cuda"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                start_new_session=True,  # what it starts goes with it
            )
        self._read = b""
        self.close = weakref.finalize(self, _end, self._process, place)
        self.versions: dict[str, str] = {}
        arguments = model_arguments(str(folder), config, trusted, dtype, device.type == "cuda")
        self.versions = self._ask({"load": arguments})["versions"]

    def generate(
        self,
        ids: Sequence[Sequence[int]],
        max_new_tokens: int,
        eos: Ends,
        stop: Callable[[int, list[int]], bool] | None = None,
        marks: Sequence[int | None] | None = None,
    ) -> list[Any]:
        """As ``engine.generate``; what ``stop`` would have ended is cut there.

        vLLM shows no positions, so ``marks`` stay unanswered.
        """
        from stages.evaluate.engine import completion

        asked = {
            "prompts": [list(prompt) for prompt in ids],
            "how": sampling_arguments(max_new_tokens, eos),
        }
        tokens = self._ask(asked)["tokens"]
        return [completion(row, found, eos, stop) for row, found in enumerate(tokens)]

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        try:
            self._send(json.dumps(request).encode() + b"\n")
            answer: dict[str, Any] = json.loads(self._line())
        except (BrokenPipeError, EOFError):
            answer = {"error": self._last_words()}
        if "error" in answer:
            versions = answer.get("versions", self.versions)
            name = f"vLLM {versions['vllm']}" if "vllm" in versions else "vLLM"
            what = "load" if "load" in request else "read"
            raise UserError(
                f"{name} does not {what} {self._name} ({answer['error']}); take the engine own"
            )
        return answer

    def _send(self, content: bytes) -> None:
        assert self._process.stdin is not None
        while content:
            content = content[self._process.stdin.write(content) or 0 :]

    def _line(self) -> bytes:
        """The next line; ``EOFError`` once the process has ended, whoever else holds its pipe."""
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        with selectors.DefaultSelector() as waiting:
            waiting.register(pipe, selectors.EVENT_READ)
            while b"\n" not in self._read:
                ended = self._process.poll() is not None
                ready = waiting.select(0.0 if ended else _LOOK_S)
                block = os.read(pipe, 1 << 16) if ready else b""
                if not block and (ready or ended):
                    raise EOFError
                self._read += block
        line, _, self._read = self._read.partition(b"\n")
        return line

    def _last_words(self) -> str:
        """Of a process that ended without an answer."""
        code = self._process.wait()
        said = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        lines = [line.strip() for line in said if line.strip()]
        return f"its process ended with code {code}: {lines[-1][:300] if lines else 'nothing said'}"


def _place() -> "tempfile.TemporaryDirectory[str]":
    """A folder that names its owner: one of an actor that was killed is removed by the next."""
    ours = f"repo-vllm-{platform.node()}-"
    for old in Path(tempfile.gettempdir()).glob(f"{ours}*"):
        owner = old.name.removeprefix(ours).rpartition("-")[0]
        if not guard.alive(owner.replace("+", ":")):
            shutil.rmtree(old, ignore_errors=True)
    mine = guard.mark().replace(":", "+")  # a colon has a meaning in a model's name for vLLM
    return tempfile.TemporaryDirectory(prefix=f"{ours}{mine}-", ignore_cleanup_errors=True)


def _end(process: "subprocess.Popen[bytes]", place: "tempfile.TemporaryDirectory[str]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    place.cleanup()


def _environment(on_gpu: bool) -> dict[str, str]:
    """Ray gives an actor of one core OMP_NUM_THREADS=1; the one vLLM of a host takes all its cores."""
    return {n: v for n, v in os.environ.items() if on_gpu or n != "OMP_NUM_THREADS"}


def _at_factor(folder: Path, model: Model, dtype: Any, place: Path) -> Path:
    """The folder whose config.json says the shard's YaRN factor: itself, or one of links in ``place``.

    A folder of another kind (a base beyond its window) is loaded, extended and written.
    """
    if model.softmax_scale != 1.0:
        raise UserError(
            f"softmax_scale is {model.softmax_scale:g}: vLLM takes no factor on the attention logits; "
            "take the engine own"
        )
    config = settings(folder)
    found = extension(config)
    own = 1.0 if found is None else float(found["factor"])
    factor = own if model.yarn_factor is None else model.yarn_factor
    if factor == own:
        return folder.absolute()
    import repo_model
    from stages.evaluate.loading import load_any

    if str(config.get("model_type")).startswith("repo_"):
        change = repo_model.extend_folder if found is None else repo_model.rescale_folder
        change(folder, place, factor, copy=lambda file, to: to.symlink_to(file.absolute()))
    else:
        load_any(folder, model.folder, factor, dtype).save_pretrained(place)
    return place
