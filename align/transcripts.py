"""The process that reads generations for `align report`: it knows parquet, which that process does not. No torch here.

{"do": "read", "files": [{"path", "sha256"}]}   -> {"event": "rows", "rows": [...]} for each file, in order
Each ends with {"event": "done"} or {"event": "failed", "class", "args"}.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from align.artifact.digests import of_file
from align.data.store_rows import read_rows
from align.errors import ArtifactError
from align.serving import Tell

ROW_TYPE = "scored_generation"


def answer(request: dict[str, Any], tell: Tell) -> None:
    for asked in request["files"]:
        path = Path(asked["path"])
        if of_file(path) != asked["sha256"]:
            raise ArtifactError(
                str(path), "its content does not match the hash in the manifest", "", "run the step again with --force"
            )
        tell({"event": "rows", "rows": list(read_rows([path], ROW_TYPE))})
