from __future__ import annotations

from xml.etree import ElementTree

import pytest

from align.errors import Problem
from align.gates.judge import Judgement, Verdict, Waiting
from align.gates.written import counted, figure, junit, markdown, remark


def verdict(gate: str, outcome: str = "pass", **told: object) -> Verdict:
    facts: dict = {"value": 0.7134, "operator": ">", "threshold": 0.5, "low": 0.66, "high": 0.763, "confidence": 0.95,
                   "n": 500, "clusters": 500} | told  # fmt: skip
    return Verdict(gate, 3, outcome, outcome == "fail", **facts)  # type: ignore[arg-type]


MIXED = Judgement(
    [
        verdict("a.b.c > 0.5"),
        verdict("a.b.c < 0.5", "fail"),
        verdict("a.b.d > 0.7 or inconclusive", "inconclusive", n_to_decide=12_345),
    ],
    [Waiting("e.f.g > 0", 6, ("evaluate",))],
    [Problem(7, "h.i.j > 0", "no slice <far>. Known: \x1b[31m|x|, </testsuite>.")],
)


def test_junit_has_one_case_a_gate_and_every_name_is_escaped() -> None:
    root = ElementTree.fromstring(junit("r", MIXED))
    suite = root[0]
    assert {k: suite.get(k) for k in ("tests", "failures", "errors", "skipped")} == {
        "tests": "5", "failures": "1", "errors": "2", "skipped": "1",
    }  # fmt: skip
    assert [(c.get("name"), c[0].tag) for c in suite] == [
        ("a.b.c > 0.5", "system-out"), ("a.b.c < 0.5", "failure"), ("a.b.d > 0.7 or inconclusive", "skipped"),
        ("e.f.g > 0", "error"), ("h.i.j > 0", "error"),
    ]  # fmt: skip
    assert suite[4][0].get("message") == "no slice <far>. Known: \ufffd[31m|x|, </testsuite>."


def test_an_undecided_gate_that_blocks_is_a_failure() -> None:
    blocked = Verdict("a.b > 1", 1, "inconclusive", True, 1.0, ">", 1.0)
    assert ElementTree.fromstring(junit("r", Judgement([blocked])))[0][0][0].tag == "failure"


def test_markdown_is_a_table_that_no_name_can_break() -> None:
    lines = markdown("r", MIXED).splitlines()
    assert lines[0] == "### r gates: 1 passed, 1 failed, 1 inconclusive, 1 waiting, 1 not judged"
    assert lines[4] == "| ✓ | `a.b.c > 0.5` | 0.71 (0.66 to 0.76) | n = 500 |"
    assert lines[8].endswith("no slice &lt;far>. Known: \ufffd[31m\\|x\\|, &lt;/testsuite>. |")
    assert lines[-1] == "Each end of an interval holds with confidence 0.95."


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ({"low": 0.1, "high": 0.9}, "0.71 (0.10 to 0.90)"),
        ({"low": 0.7132, "high": 0.7136}, "0.71340 (0.71320 to 0.71360)"),
        ({"low": None, "high": None}, "0.7134"),
        ({"low": None, "high": None, "value": 12_000.0}, "12,000"),
        ({"low": float("-inf"), "high": float("inf")}, "0.7134 (no interval)"),
        ({"value": 0.0, "low": 0.0, "high": 0.0}, "0 (0 to 0)"),
    ],
)
def test_a_figure_has_the_decimals_that_its_interval_deserves(told: dict, wanted: str) -> None:
    assert figure(verdict("a.b > 1", **told)) == wanted


def test_a_remark_says_what_stands_behind_a_figure() -> None:
    assert remark(verdict("a.b > 1", paired=True, clusters=100)) == "n = 500 (100 prompts), paired"
    assert remark(MIXED.verdicts[2]) == "n = 500, about 13,000 rows would decide, let through"
    assert "stands on the threshold" in remark(verdict("a.b > 1", "inconclusive", value=0.5))
    assert "too few prompts" in remark(verdict("a.b > 1", "inconclusive"))
    assert counted(Judgement()) == ""
