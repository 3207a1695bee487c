"""The Python face."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import align
from align.errors import ArtifactError
from align.plan import Plan
from tests.cli.conftest import here, sealed  # noqa: F401 - fixtures

pytestmark = pytest.mark.usefixtures("here")


def test_run_takes_overrides_and_reuses_what_is_sealed(sealed: Callable[..., Plan]) -> None:  # noqa: F811
    sealed()
    outcome = align.run("small.yaml", store=".align")
    assert outcome.ran == [] and not outcome.plan.to_run()


def test_open_gives_the_folder_other_software_reads(sealed: Callable[..., Plan]) -> None:  # noqa: F811
    plan = sealed()
    opened = align.open("small:sft")
    assert opened.path == Path.cwd() / ".align" / f"sft-{plan.steps['sft'].key[:12]}" / "model"
    assert opened.metrics == {"loss": 1.5}
    (opened.path / "model.safetensors").write_text("other")
    with pytest.raises(ArtifactError, match="hash"):
        align.open("small:sft")
