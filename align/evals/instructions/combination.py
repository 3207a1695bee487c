"""IFEval's `combination`: two responses in one, and the request repeated before the answer."""

from __future__ import annotations

from align.evals.instructions.arguments import Text

DIVIDER = "******"


def two_responses(response: str) -> bool:
    """Two different responses with ****** between them; one before the first or after the last is allowed."""
    parts = [part.strip() for part in response.split(DIVIDER)]
    given = [part for part in parts if part]
    return all(parts[1:-1]) and len(given) == 2 and given[0] != given[1]


def repeat_prompt(response: str, prompt_to_repeat: Text) -> bool:
    """Begins with the request word for word; case does not count."""
    return response.strip().lower().startswith(prompt_to_repeat.strip().lower())
