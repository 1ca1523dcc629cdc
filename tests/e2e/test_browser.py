"""The report in a real browser: Debian's Chromium, driven by Playwright."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.checkouts import Project

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


def open_report(browser: "Browser", project: Project, **context: Any) -> "tuple[Page, list[str]]":
    page = browser.new_context(**context).new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("requestfailed", lambda request: said.append(request.url))
    page.goto((project.folder / "report" / "index.html").as_uri())
    return page, said


def test_tables_have_numbers_plots_are_drawn_and_nothing_is_wrong(
    browser: "Browser", project: Project
) -> None:
    page, said = open_report(browser, project, viewport=DESK)
    assert said == []
    cells = page.locator("table td").all_inner_texts()
    assert len(cells) > 50
    assert sum(any(sign.isdigit() for sign in cell) for cell in cells) > 30
    plots = page.locator("svg:visible")
    assert plots.count() >= 3
    for number in range(plots.count()):
        box = plots.nth(number).bounding_box()
        assert box is not None and box["width"] > 20 and box["height"] > 5
    drawn = page.locator("svg path, svg polyline, svg circle, svg line")
    assert drawn.count() > 20


def test_every_link_within_the_page_leads_somewhere(browser: "Browser", project: Project) -> None:
    page, _ = open_report(browser, project, viewport=DESK)
    targets = page.eval_on_selector_all("a[href^='#']", "links => links.map(a => a.hash)")
    sections = page.eval_on_selector_all("main h2[id]", "h => h.map(e => e.id)")
    assert len(sections) >= 4
    assert set(sections) <= {target[1:] for target in targets}
    for target in targets:
        assert page.locator(f"[id='{target[1:]}']").count() == 1, target
    page.locator("nav a").last.click()
    assert page.evaluate("window.scrollY") > 0


def test_a_phone_needs_no_sideways_scrolling(browser: "Browser", project: Project) -> None:
    page, said = open_report(browser, project, viewport=PHONE)
    assert said == []
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= PHONE["width"]
    size = page.evaluate("parseFloat(getComputedStyle(document.body).fontSize)")
    assert size >= 14


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_light_and_dark(
    browser: "Browser", project: Project, scheme: str
) -> None:
    page, _ = open_report(browser, project, viewport=DESK, color_scheme=scheme)
    ink, paper = page.evaluate(
        "(() => { const s = getComputedStyle(document.body); return [s.color, s.backgroundColor] })()"
    )
    light, dark = sorted((luminance(ink), luminance(paper)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 7  # WCAG 2.2 AAA
    assert (luminance(paper) > 0.5) == (scheme == "light")


def luminance(colour: str) -> float:
    """Relative luminance of ``rgb(r, g, b)``, 0 to 1 (WCAG 2.2)."""
    parts = [float(part) / 255 for part in colour.strip("rgba()").split(",")[:3]]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_picture_for_the_readme_can_be_made(
    browser: "Browser", project: Project, project_root: Path, tmp_path: Path
) -> None:
    import subprocess
    import sys

    picture = tmp_path / "report.png"
    subprocess.run(
        [
            sys.executable,
            "docs/picture.py",
            str(project.folder / "report" / "index.html"),
            str(picture),
        ],
        cwd=project_root,
        check=True,
    )
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 20_000
