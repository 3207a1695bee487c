"""One finished recipe for the tests that only read it."""

from __future__ import annotations

import pytest

from align.artifact.store import Store
from align.plan import Plan
from tests.report.finished import finish

SAID = {
    "sft": ["the cat sleeps", "", "</script><script>alert(1)</script>", "<!-- <b>bold</b> -->", "Grüße 🐈 \u2028 東京"],
    "dpo": ["the small cat sleeps here", "a dog", "nothing", "<img src=x onerror=alert(2)>", "Grüße 🐕 \u2028 東京"],
}
SCORES = {"sft": [0.5, 0.0, 0.2, 0.9, 0.4], "dpo": [0.75, 0.4, 0.3, 0.1, 0.5]}


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Store]:
    return finish(tmp_path_factory.mktemp("finished"), SAID, SCORES)
