"""Files of a person's own that are called as a library is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

RECIPE = """\
name: s
base: {base}
data:
  d: {{source: d.jsonl, as: messages}}
stages:
  sft: {{kind: sft, model: base, data: d, learning_rate: 1e-4}}
"""


@pytest.mark.slow
def test_a_file_called_as_a_library_where_the_command_is_given_is_not_imported_for_it(tmp_path: Path) -> None:
    for library in ("datasets", "torch", "trl"):
        (tmp_path / f"{library}.py").write_text("raise SystemExit('the wrong one')\n")
    (tmp_path / "d.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    (tmp_path / "r.yaml").write_text(RECIPE.format(base=tmp_path))
    for told in (["inspect", "d.jsonl"], ["run", "r.yaml", "--only", "d"]):
        command = [sys.executable, "-P", "-m", "align", *told]
        done = subprocess.run(command, cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
