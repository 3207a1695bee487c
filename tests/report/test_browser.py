"""The page as a browser shows it: driven by keys, as a person would."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from align import words
from align.artifact.store import Store
from align.plan import Plan
from align.report import generations, page, votes
from align.report.collect import collect
from tests.report.browser import Page, chromium
from tests.report.conftest import SAID
from tests.report.test_generations import big

pytestmark = pytest.mark.slow
LINES = "document.querySelectorAll('#list [role=option]')"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="module")
def browser(folder: Path) -> Iterator[Page]:
    with chromium(folder) as opened:
        yield opened


def written(folder: Path, finished: tuple[Plan, Store], packed: str | None = None) -> Path:
    plan, store = finished
    seen = collect(plan, store)
    packed = packed or generations.packed("small", generations.read(seen))
    path = folder / "report.html"
    path.write_text(page.write(plan, seen, store, words.Commands("small.yaml"), packed))
    return path


@pytest.fixture
def opened(browser: Page, folder: Path, finished: tuple[Plan, Store]) -> Iterator[Page]:
    browser.open(written(folder, finished))
    browser.wait(f"{LINES}.length === 5")
    yield browser
    assert browser.complaints() == []


def said(browser: Page) -> list[str]:
    return browser.run("return [...document.querySelectorAll('#detail .answer')].map((e) => e.textContent)")


def test_it_opens_without_a_complaint_and_fits_a_laptop(opened: Page) -> None:
    assert opened.run("return document.title") == "small · align report"
    assert opened.run("return document.documentElement.scrollWidth <= innerWidth")
    assert opened.run("return document.querySelectorAll('svg.graph .box').length") == 10


def test_on_a_phone_only_tables_scroll_sideways(opened: Page) -> None:
    """The hidden head of a table's last column, far to the right, makes the page no wider either."""
    heads = "<th>a long head, and more of it, and still more</th><th><span class=hidden>the last one</span></th>"
    opened.run("document.querySelector('.scroll thead tr').insertAdjacentHTML('beforeend', arguments[0])", heads)
    opened.devtools("Emulation.setDeviceMetricsOverride", width=400, height=800, deviceScaleFactor=1, mobile=False)
    try:
        assert opened.run("return document.querySelector('.scroll').scrollWidth") > 500
        assert opened.run("return document.documentElement.scrollWidth") == 400
    finally:
        opened.devtools("Emulation.clearDeviceMetricsOverride")


def test_every_answer_is_shown_as_text_whatever_is_in_it(opened: Page) -> None:
    opened.run("document.getElementById('list').focus()")
    found = [said(opened)]
    for _ in range(4):
        opened.press("down")
        found.append(said(opened))
    expected = [[a or "(an empty answer)", b] for a, b in zip(SAID["sft"], SAID["dpo"], strict=True)]
    assert found == expected
    assert opened.run("return document.querySelectorAll('.reader img, .reader script, .reader b').length") == 0


def test_words_that_differ_are_marked_and_only_those(opened: Page) -> None:
    marked = "return [...document.querySelectorAll('#detail ' + arguments[0])].map((e) => e.textContent.trim())"
    assert opened.run(marked, "ins") == ["small", "here"] and opened.run(marked, "del") == []
    assert opened.run("return differences('a b c', 'a x c')") == [
        [["a ", True], ["b", False], [" c", True]], [["a ", True], ["x", False], [" c", True]],
    ]  # fmt: skip
    assert opened.run("return differences('東京都', '東北都')[0]") == [["東", True], ["京", False], ["都", True]]


def test_keys_sort_by_wins_and_losses_and_search(opened: Page) -> None:
    def first() -> str:
        return opened.run(f"return {LINES}[0].querySelector('.asked').textContent")

    opened.run("document.getElementById('list').focus()")
    opened.press("w")
    assert first() == "question 1"  # 0 -> 0.4
    opened.press("l")
    assert first() == "question 3"  # 0.9 -> 0.1
    opened.press("j")
    assert opened.run("return document.querySelector('[aria-selected=true]').dataset.at") == "1"
    opened.press("/", *"grüße")
    opened.wait(f"{LINES}.length === 1")
    assert first() == "question 4"
    assert "1 of 5 prompts" in opened.run("return document.getElementById('shown').textContent")


def test_a_keyboard_reaches_everything_in_order(opened: Page) -> None:
    reached = []
    for _ in range(9):
        opened.press("tab")
        reached.append(opened.run("return document.activeElement.textContent.trim()"))
    assert reached[0] == "Skip to the content" and reached[1:4] == ["Results", "Read", "Pipeline"]
    assert "Dark" in reached
    assert opened.run("return getComputedStyle(document.activeElement).outlineStyle") != "none"
    assert opened.run(
        "return [...document.querySelectorAll('input, select, textarea, button')].every((e) => "
        "e.labels?.length || e.getAttribute('aria-label') || e.textContent.trim())"
    )
    levels = opened.run("return [...document.querySelectorAll('main :is(h1,h2,h3,h4)')].map((e) => +e.tagName[1])")
    assert levels[0] == 1 and levels.count(1) == 1


CONTROLS = {
    "button",
    "link",
    "combobox",
    "textbox",
    "searchbox",
    "spinbutton",
    "listbox",
    "option",
    "progressbar",
    "dialog",
}


def unnamed(browser: Page) -> list[str]:
    """Controls, and parts that keys reach, of which a screen reader would tell no name."""
    nodes = browser.devtools("Accessibility.getFullAXTree")["nodes"]
    told = [(node["role"]["value"], node.get("name", {}).get("value"), node) for node in nodes if not node["ignored"]]
    assert "button" in {role for role, *_ in told}
    reached = [{p["name"] for p in node.get("properties", ()) if p["value"].get("value")} for *_, node in told]
    return [
        role
        for (role, name, _), properties in zip(told, reached, strict=True)
        if not name and (role in CONTROLS or ("focusable" in properties and role not in ("RootWebArea", "main")))
    ]


def test_a_screen_reader_is_told_every_name_heading_and_table(opened: Page) -> None:
    opened.run("document.querySelectorAll('details').forEach((e) => { e.open = true; })")
    assert unnamed(opened) == []
    levels = opened.run("return [...document.querySelectorAll('main :is(h1,h2,h3,h4)')].map((e) => +e.tagName[1])")
    assert levels[0] == 1 and all(b - a <= 1 for a, b in pairwise(levels))
    assert opened.run("return document.querySelectorAll('main table').length") > 3
    assert opened.run(
        "return [...document.querySelectorAll('main table')].every((t) => t.caption?.textContent.trim() && "
        "[...t.querySelectorAll('th')].every((h) => h.scope && h.textContent.trim()))"
    )
    assert opened.run("return document.getElementById('shown').getAttribute('role')") == "status"


def test_a_vote_is_heard_as_well_as_seen(opened: Page) -> None:
    opened.run("document.getElementById('list').focus()")
    opened.press("v")
    opened.wait("document.getElementById('vote').open")
    opened.press("enter")
    opened.wait("document.getElementById('vote-place').textContent === '1 of 5'")
    assert unnamed(opened) == []
    heard = "return document.querySelector('#vote-ask [role=status]').textContent"
    first = opened.run(heard)
    left, right = opened.run("return ['vote-left', 'vote-right'].map((id) => document.getElementById(id).textContent)")
    assert first.startswith("1 of 5. user: question ") and left.strip("()") in first and right.strip("()") in first
    opened.press("s")
    assert opened.run(heard).startswith("2 of 5. user: question ") and "sft" not in first and "dpo" not in first
    opened.click("#vote-end")


def test_it_prints_light_and_whole_also_from_a_dark_page(opened: Page) -> None:
    """A page of A4 between its margins is 702 pixels wide; a dialog that is open stays off the paper."""
    opened.click("#theme")
    opened.run("document.getElementById('list').focus()")
    opened.press("v")
    opened.devtools("Emulation.setEmulatedMedia", media="print")
    opened.devtools("Emulation.setDeviceMetricsOverride", width=702, height=1020, deviceScaleFactor=1, mobile=False)
    try:
        assert opened.run("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        hidden = ".bar, .controls, .reader, dialog"
        assert opened.run(f"return [...document.querySelectorAll('{hidden}')].every((e) => !e.getClientRects().length)")
        assert opened.run("return document.documentElement.scrollWidth") <= 702
        assert opened.run(
            "return [...document.querySelectorAll('.scroll')].every((e) => e.scrollWidth <= e.clientWidth + 1)"
        )
        graph = opened.run(
            "const r = document.querySelector('svg.graph').getBoundingClientRect(); return [r.width, r.height]"
        )
        assert 300 < graph[0] <= 702 and graph[1] > 50
        pages = base64.b64decode(opened.devtools("Page.printToPDF", printBackground=True)["data"])
        assert pages.startswith(b"%PDF") and 1 < pages.count(b"/Type /Page\n") < 40
    finally:
        opened.devtools("Emulation.setEmulatedMedia", media="")
        opened.devtools("Emulation.clearDeviceMetricsOverride")
        opened.run("document.getElementById('vote').close()")
        opened.click("#theme")


def test_light_and_dark_can_be_chosen(opened: Page) -> None:
    paper = "return getComputedStyle(document.body).backgroundColor"
    before = opened.run(paper)
    opened.click("#theme")
    assert opened.run(paper) != before and opened.run("return document.documentElement.dataset.theme") == "dark"
    opened.click("#theme")
    assert opened.run(paper) == before


def test_votes_are_cast_blind_by_keys_exported_and_counted(
    opened: Page, folder: Path, finished: tuple[Plan, Store]
) -> None:
    """The voter always prefers the longer answer, is undecided once, takes one vote back, and never sees a name."""
    opened.run("document.getElementById('list').focus()")
    opened.press("v")
    opened.wait("document.getElementById('vote').open")
    opened.press("enter")
    texts = "return ['vote-left', 'vote-right'].map((id) => document.getElementById(id).textContent)"
    expected = []
    for number in range(5):
        opened.wait(f"document.getElementById('vote-place').textContent === '{number + 1} of 5'")
        left, right = (t.replace("(an empty answer)", "") for t in opened.run(texts))
        shown = opened.run("return document.getElementById('vote').innerText")
        assert "sft" not in shown and "dpo" not in shown
        if number == 2:
            opened.press("s", "u")
        choice = "tie" if len(left) == len(right) else "left" if len(left) > len(right) else "right"
        opened.press({"tie": "down"}.get(choice, choice))
        expected.append((left, right, choice))
    opened.wait("!document.getElementById('vote-done').hidden")
    assert "was better in" in opened.run("return document.getElementById('vote-result').textContent")
    opened.click("#vote-download")
    path = folder / "small-probes-votes.jsonl"
    deadline = time.monotonic() + 10
    while not path.is_file():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    cast = votes.read(path)
    plan, store = finished
    votes.check(cast, generations.read(collect(plan, store)), "small.yaml")
    (tally,) = votes.tallies(cast)
    longer = [len(b) - len(a) for a, b in zip(SAID["sft"], SAID["dpo"], strict=True)]
    won = {"dpo": sum(d > 0 for d in longer), "sft": sum(d < 0 for d in longer)}
    assert (tally.won, tally.lost) == (won[tally.model], won[tally.against]) and tally.tied == longer.count(0)
    exported = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    assert [(v["left"]["text"], v["right"]["text"], v["choice"]) for v in exported] == expected
    assert sorted(v["row"] for v in exported) == [0, 1, 2, 3, 4]
    for vote in exported:
        assert {vote["left"]["model"], vote["right"]["model"]} == {"sft", "dpo"}
        assert vote["left"]["text"] == SAID[vote["left"]["model"]][vote["row"]]
    assert opened.run("return document.getElementById('vote-lines').value").count("\n") == 5


def test_ten_thousand_samples_stay_usable_and_small(browser: Page, folder: Path, finished: tuple[Plan, Store]) -> None:
    path = written(folder, finished, generations.packed("small", [big(10_000, 60, models=3)]))
    assert path.stat().st_size < 20_000_000
    browser.open(path)
    browser.wait(f"{LINES}.length > 0", seconds=20)
    assert browser.run(f"return {LINES}.length") < 60
    assert "10,000 of 10,000 prompts" in browser.run("return document.getElementById('shown').textContent")
    for act in (
        "document.getElementById('order').value = 'win'; filter()",
        "document.getElementById('search').value = 'question 9999'; filter()",
        "document.getElementById('search').value = ''; filter(); move(9999)",
    ):
        assert browser.run(f"const t = performance.now(); {act}; return performance.now() - t") < 1000, act
    assert browser.run("return document.querySelector('[aria-selected=true]').dataset.at") == "9999"
    assert browser.complaints() == []
