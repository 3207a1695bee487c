from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from align import plan as plans
from align import words
from align.artifact.store import Store
from align.plan import Plan
from align.recipe import load
from align.report import accounting, lineage_facts, page
from align.report.collect import collect
from align.report.lineage_facts import Parent

COMMANDS = words.Commands("small.yaml", ("stages.dpo.beta=0.1",), "my store")


@pytest.fixture(scope="module")
def text(finished: tuple[Plan, Store]) -> str:
    plan, store = finished
    return page.write(plan, collect(plan, store), store, COMMANDS)


class Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_every_step_table_curve_data_entry_and_digest_is_on_the_page(text: str, finished: tuple[Plan, Store]) -> None:
    plan, store = finished
    for name, seen in collect(plan, store).items():
        assert seen.manifest and seen.manifest.key in text and seen.manifest.digest in text, name
        assert f'id="artifact-{name}"' in text and f'data-step="{name}"' in text
    assert "0.40 ± " in text and "Differences from sft" in text  # the mean gold score of sft
    assert "loss. training: 3 at step 1, 0.1 at step 30" in text
    assert "no turns</dt><dd>3 left out" in text and "2 truncated" in text
    assert "align run small.yaml stages.dpo.beta=0.1 --only dpo --store &#39;my store&#39;" in text
    assert "torch</dt><dd>2.13.0" in text


def test_every_table_scrolls_by_itself_and_an_input_is_named_once(text: str, finished: tuple[Plan, Store]) -> None:
    """A table that does not would make the whole page wider than a phone."""
    before = [text[: at.start()].rsplit("<div", 1)[1] for at in re.finditer("<table", text)]
    assert before and all('class="scroll"' in opened and "</div>" not in opened for opened in before)
    plan, store = finished
    pairs = {"holdout": "pairs", "data": "pairs", "model": "sft"}
    facts = lineage_facts.about(collect(plan, store)["dpo"], store)
    read_twice = replace(facts, parents=[Parent(name, "", step, "") for name, step in pairs.items()])
    assert read_twice.came_from == ["pairs", "sft"]
    assert lineage_facts.about(collect(plan, store)["chat"], store).came_from == ["quickstart:chat"]


def test_nothing_is_loaded_from_anywhere(text: str) -> None:
    for tag, attributes in Elements(text).found:
        for name in ("src", "href", "srcset", "action", "data"):
            if value := attributes.get(name):
                assert value.startswith(("#", "data:,")), (tag, name, value)
        assert tag not in ("iframe", "object", "embed", "base", "img"), tag
    style = re.search("<style>(.*?)</style>", text, re.S)
    assert style and "url(" not in style[1] and "@import" not in style[1]


def test_the_policy_allows_only_the_script_and_style_that_were_written_here(text: str) -> None:
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy and "default-src &#39;none&#39;" in policy[1]
    for tag in ("script", "style"):
        (inside,) = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.S)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src &#39;sha256-{digest}&#39;" in policy[1]
    for _, attributes in Elements(text).found:
        assert not [a for a in attributes if a.startswith("on") or a == "style"], attributes


def test_what_others_wrote_is_text_and_no_markup(text: str) -> None:
    assert "alert(&#39;note&#39;)" in text and "alert(&#34;recipe&#34;)" in text
    assert "<script>alert" not in text and text.count("<script") == text.count("</script>")


def test_a_recipe_half_run_shows_what_is_left_and_why(finished: tuple[Plan, Store], tmp_path: Path) -> None:
    plan, store = finished
    changed = plans.make(load(plan.recipe.path, ["stages.dpo.beta=0.3"]), store)
    told = page.write(changed, collect(changed, store), store, COMMANDS)
    assert "10 steps, 3 to run" in told
    assert "beta 0.1 -&gt; 0.3" in told and "dpo (dpo): to run" in told
    assert "evaluate.sft" in told and "0.40 ± " in told  # what was measured is shown without its comparison


def test_a_recipe_without_any_evaluation_still_makes_a_page(finished: tuple[Plan, Store]) -> None:
    plan, store = finished
    seen = {n: s for n, s in collect(plan, store).items() if s.step.kind not in ("measure", "compare")}
    told = page.write(Plan(plan.recipe, {n: plan.steps[n] for n in seen}), seen, store, COMMANDS)
    assert 'id="results"' not in told and 'id="pipeline"' in told


def test_how_many_slices_there_are_is_told_apart_from_the_rows_of_each(finished: tuple[Plan, Store]) -> None:
    plan, store = finished
    seen = collect(plan, store)["chat"]
    assert seen.manifest and seen.sealed
    counted = replace(seen.manifest, metrics={"slices/train": 2.0, "slices/train/near": 7.0})
    (entry,) = accounting.entries({"chat": replace(seen, sealed=replace(seen.sealed, manifest=counted))})
    assert entry.more == [("slices in train", "2"), ("slices · train · near", "7")]
