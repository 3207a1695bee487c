"""Chat templates as settings name them: one of ours, or a Jinja file, which counts by what it says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator

from align.artifact.digests import of_file
from align.errors import did_you_mean

OURS = ("chatml", "quickstart")


def _known(template: str) -> str:
    if template not in OURS and not Path(template).is_file():
        raise ValueError(f"{template} is no file and no template of ours. {did_you_mean(template, OURS)}")
    return template


ChatTemplate = Annotated[str, AfterValidator(_known)]


def by_content(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by dotted name, every template that is a file replaced by its digest."""
    files = {
        path
        for path, value in identity.items()
        if path.split(".")[-1] == "chat_template" and value not in (None, *OURS)
    }
    return {path: of_file(Path(value)) if path in files else value for path, value in identity.items()}
