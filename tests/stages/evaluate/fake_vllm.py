"""A Python whose ``vllm`` takes vLLM's arguments and answers by rule: an environment of its own."""

import json
import venv
from pathlib import Path
from typing import Any

_PACKAGE = """
import json, os, pathlib, types
LOG = pathlib.Path(__file__).with_name("asked.jsonl")
FAULT = pathlib.Path(__file__).with_name("fault")

def said(**what):
    with LOG.open("a") as file:
        file.write(json.dumps(what) + "\\n")

def fault(where):
    text = FAULT.read_text() if FAULT.exists() else ""
    if text.startswith(where):
        exec(text.removeprefix(where + ":"))

class SamplingParams(types.SimpleNamespace):
    pass

class LLM:
    def __init__(self, **arguments):
        print("vLLM talks on standard output")
        with open(arguments["model"] + "/config.json") as file:
            config = json.load(file)
        files = sorted(os.listdir(arguments["model"]))
        said(arguments=arguments, config=config, files=files, pid=os.getpid())
        fault("load")

    def generate(self, asked, how, use_tqdm):
        fault("generate")
        prompts = [prompt["prompt_token_ids"] for prompt in asked]
        said(prompts=prompts, how=vars(how))
        tokens = types.SimpleNamespace(token_ids=(*ANSWER, *how.stop_token_ids[:1]))
        return [types.SimpleNamespace(outputs=[tokens]) for _ in prompts]
"""


class FakeVllm:
    """Its Python, what it was asked, and how it can be made to fail."""

    def __init__(self, folder: Path, answer: list[int]) -> None:
        venv.create(folder, with_pip=False, symlinks=True)
        (self._packages,) = folder.glob("lib/python*/site-packages")
        (self._packages / "vllm.py").write_text(f"ANSWER = {answer}\n{_PACKAGE}")
        for name, version in (("vllm", "0.99.1"), ("torch", "2.99")):
            made = self._packages / f"{name}-{version}.dist-info"
            made.mkdir()
            (made / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
        self.python = str(folder / "bin" / "python")

    def asked(self, kind: str) -> list[dict[str, Any]]:
        """The lines that hold ``arguments`` (of LLM) or ``prompts``."""
        log = self._packages / "asked.jsonl"
        lines = log.read_text().splitlines() if log.exists() else []
        return [row for row in map(json.loads, lines) if kind in row]

    def fails(self, where: str, code: str) -> None:
        """Run ``code`` in it: ``where`` is load or generate."""
        (self._packages / "fault").write_text(f"{where}:{code}")
