"""The picture of the report that README shows: ``python docs/picture.py [REPORT] [PNG]``.

Needs Chromium on PATH and Playwright (``pip install -e '.[dev]'``).
"""

import os
import shutil
import sys
from pathlib import Path

WIDTH, HEIGHT = 1040, 1000
"""Of the part of the page that is shown, CSS pixels: the answer and the first rows below it."""


def take(report: Path, picture: Path) -> None:
    """Open ``report`` in a headless Chromium and save a picture of its first screen."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        sys.exit("docs/picture.py: no chromium on PATH; install it (Debian: apt install chromium)")
    sandbox = [] if os.geteuid() else ["--no-sandbox"]  # Chromium refuses its sandbox to root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=sandbox)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(report.resolve().as_uri())
        page.screenshot(path=picture)
        browser.close()


if __name__ == "__main__":
    given = [Path(argument) for argument in sys.argv[1:]]
    take(*given, *[Path("report/index.html"), Path("docs/report.png")][len(given) :])
