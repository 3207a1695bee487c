"""Tasks of lm-eval in files of one's own: they count by what they say, not by where they lie."""

from __future__ import annotations

import re
from pathlib import Path

from align.artifact.digests import of_file, of_value


def is_file(task: str) -> bool:
    """Whether a task is written in a file; otherwise lm-eval knows it by name."""
    return task.endswith((".yaml", ".yml"))


def content_of(task: str) -> str:
    """The name, or what the file says: a digest of it and of every file that it names, from its own folder or from here.

    Files that only those files name are not looked for.
    """
    if not is_file(task):
        return task
    path = Path(task)
    words = set(re.findall(r"[\w./-]{1,200}", path.read_text()))
    modules = {f"{word.rpartition('.')[0]}.py" for word in words if "." in word}  # of `!function rules.score`
    named = [(word, folder / word) for word in sorted(words | modules) for folder in (Path(), path.parent)]
    files = [(word, of_file(file)) for word, file in named if file.is_file()]
    return f"file:{of_value([of_file(path), files])[:16]}"
