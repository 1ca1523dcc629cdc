"""The Python that has vLLM: its environment is another one (`infra/vllm/setup.sh`)."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def vllm_python() -> str:
    """Its path; skips where there is none."""
    python = os.environ.get("VLLM_PYTHON", str(ROOT / ".venv-vllm" / "bin" / "python"))
    if not Path(python).is_file():
        pytest.skip("no vLLM here: infra/vllm/setup.sh makes its environment")
    return python
