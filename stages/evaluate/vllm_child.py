"""vLLM's own process: ``python vllm_child.py``, in its environment, with nothing of this project.

vLLM pins torch, transformers and fastapi, which this project pins otherwise. A line of JSON comes
in, and one goes out:

- ``{"load": arguments of vllm.LLM}``: ``{"versions": {"vllm": "0.32.0", "torch": ...}}``
- ``{"prompts": [[id, ...], ...], "how": arguments of vllm.SamplingParams}``: ``{"tokens": ...}``
- what fails: ``{"error": one line, "versions": ...}``

It ends with its standard input, or with the process that started it.
"""

import json
import os
import sys
import threading
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_SETTINGS = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # what fails says why here, not in a grandchild's log
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # to cores that other actors are at work on
    "HF_HUB_OFFLINE": "1",
}
_PACKAGES = ("vllm", "vllm-cpu", "torch", "transformers")
_LOOK_S = 1.0
_LONGEST = 500
"""Letters of an error: pydantic's run over many lines."""


def main() -> None:
    """Answer until there are no more requests."""
    # vLLM and its libraries print: that goes to the log, and answers to where stdout was.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    engine: Any = None
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            if "load" in asked:
                engine = _load(asked["load"])
                answer: dict[str, Any] = {"versions": _versions()}
            else:
                answer = {"tokens": _generate(engine, asked["prompts"], asked["how"])}
        except Exception as error:
            said = " ".join(f"{type(error).__name__}: {error}".split())
            answer = {"error": said[:_LONGEST], "versions": _versions()}
        print(json.dumps(answer), file=answers, flush=True)


def _load(arguments: dict[str, Any]) -> Any:
    from vllm import LLM

    return LLM(**arguments)


def _generate(engine: Any, prompts: list[list[int]], how: dict[str, Any]) -> list[list[int]]:
    from vllm import SamplingParams

    asked = [{"prompt_token_ids": ids} for ids in prompts]
    outputs = engine.generate(asked, SamplingParams(**how), use_tqdm=False)
    return [list(output.outputs[0].token_ids) for output in outputs]


def _versions() -> dict[str, str]:
    """Of what can change a token; the build for CPUs has a name of its own."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package.removesuffix("-cpu")] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _end_with(parent: int) -> None:
    """An actor may be killed with -9 in the middle of a batch: then nobody waits for its end."""
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os._exit(75)


if __name__ == "__main__":
    main()
