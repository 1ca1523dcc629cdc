"""Shared by all tests: quiet tools, one Ray for the session, small params and tokens."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Before anything imports torch: two cores, and tests that say the same thing on every machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# Before anything imports ray, which reads its settings then; the launcher's tests do it in here.
from stages.common.ray_session import settle

settle()

ROOT = Path(__file__).parents[1]


def pytest_configure(config: pytest.Config) -> None:
    from tests.talking import Talking

    config.pluginmanager.register(Talking(config), "talking")


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The checkout under test."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of golden data beside the checkout; tests that need it skip without it."""
    folder = Path(os.environ.get("REPO_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no golden data at {folder}")
    return folder


@pytest.fixture(scope="session")
def ray_session() -> Iterator[str]:
    """One local Ray with two CPUs for the whole test session."""
    os.environ["REPO_CPUS"] = "2"
    from stages.common.errors import TryAgain
    from stages.common.ray_session import session

    with ExitStack() as stack:
        try:
            address = stack.enter_context(session())
        except TryAgain as error:
            pytest.skip(str(error))
        yield address


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """Debian's Chromium, headless, driven by Playwright; one for the whole test session."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no chromium here; .ci/run installs Debian's")
    sync = pytest.importorskip("playwright.sync_api")
    sandbox = [] if os.geteuid() else ["--no-sandbox"]  # Chromium refuses its sandbox to root
    with sync.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=sandbox)
        yield started
        started.close()
