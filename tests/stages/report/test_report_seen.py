"""The page in a real browser: filter, samples, keyboard, axe; colours that all can tell apart."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from stages.report.page import TEMPLATES
from stages.report.stage import run
from tests.stages.report.fabricated_results import job, params, write_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

VARIANTS = ("rope", "nope", "repo")
PRESETS = ("rope", "nope", "r2n1", "n2r1", "repo")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("seen")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        write_run(VARIANTS, (42,))
        run(job(params(VARIANTS, (42,))))
    return made / "report"


@pytest.fixture
def page(browser: "Browser", folder: Path) -> "Iterator[Page]":
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    said: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.goto((folder / "index.html").as_uri())
    yield opened
    assert said == []
    context.close()


def test_the_filter_leaves_the_rows_of_a_task(page: "Page") -> None:
    rows = page.locator(".forest tr[data-task]:visible")
    before = rows.count()
    page.get_by_label("Show tasks with").fill("multikey")
    assert 0 < rows.count() < before
    assert all("multikey" in text for text in rows.locator("th").all_inner_texts())
    assert "rows" in page.locator("#filtered").inner_text()
    page.get_by_label("Show tasks with").fill("")
    assert rows.count() == before


def test_a_sample_is_found_and_opened_with_the_keyboard_alone(page: "Page") -> None:
    page.locator("#browser select").first.focus()
    page.keyboard.type("niah_multikey_1")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.type("RoPE right, RePo wrong")
    found = re.match(r"(\d+) of 100", page.locator("#browser p[role=status]").inner_text())
    assert found and 0 < int(found[1]) < 100
    scores = page.locator("#browser summary, #browser p.plain").all_inner_texts()
    assert len(scores) == int(found[1])
    assert all("RoPE 100," in text and text.endswith("RePo 0") for text in scores)
    page.locator("#browser summary").first.focus()
    page.keyboard.press("Enter")
    opened = page.locator("#browser details[open]")
    assert opened.count() == 1
    number = int(scores[0].partition(":")[0].rpartition("-")[2])
    assert opened.locator("mark").inner_text() == f"{1000 + number}"
    assert opened.locator("li").count() == len(VARIANTS)
    # Markup in a prompt is text.
    assert "What is the <b>number</b>?" in opened.locator(".prompt").inner_text()


def test_the_value_under_the_pointer_is_told(page: "Page") -> None:
    curve = page.locator("section[aria-labelledby=training] svg.chart").first
    curve.scroll_into_view_if_needed()
    curve.hover()
    told = page.locator(".tip").inner_text().splitlines()
    assert told[0].startswith("tokens ")
    assert [line.partition(",")[0] for line in told[1:]] == ["RoPE", "NoPE", "RePo"]
    first = float(told[1].rpartition(" ")[2])
    assert 2 < first < 4  # the fabricated curves fall from 4 to 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("file", ["index.html", "execution.html"])
def test_axe_finds_nothing_serious(
    browser: "Browser", folder: Path, file: str, scheme: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    context = browser.new_context(color_scheme=scheme, bypass_csp=True)  # axe is a script as well
    page = context.new_page()
    page.goto((folder / file).as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    found = axe.Axe().run(page).response["violations"]
    serious = [
        (one["id"], one["help"], [node["html"][:200] for node in one["nodes"][:3]])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == []
    context.close()


def colours(scheme: str) -> dict[str, str]:
    """The style's variables of a scheme: ``{"rope": "#13113e", ...}``."""
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{(.*?)\}", style, flags=re.DOTALL)
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", blocks[0]))
    if scheme == "dark":
        found |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", blocks[1]))
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("eyes", ["all", "protanomaly", "deuteranomaly", "tritanomaly"])
def test_variants_can_be_told_apart_by_everybody(scheme: str, eyes: str) -> None:
    """CAM02-UCS, Machado's simulations at full severity: 1 can just be seen, 15 is another colour."""
    colorspacious = pytest.importorskip("colorspacious")
    told = colours(scheme)
    seen = {}
    for name in PRESETS:
        rgb = np.array([int(told[name][i : i + 2], 16) / 255 for i in (1, 3, 5)])
        if eyes != "all":
            space = {"name": "sRGB1+CVD", "cvd_type": eyes, "severity": 100}
            rgb = np.clip(colorspacious.cspace_convert(rgb, space, "sRGB1"), 0, 1)
        seen[name] = rgb
    for one, other in itertools.combinations(PRESETS, 2):
        apart = colorspacious.deltaE(seen[one], seen[other], input_space="sRGB1")
        assert apart >= 15, (one, other, scheme)
