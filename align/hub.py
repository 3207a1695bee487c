"""Asking the hub which commit a name stands for. Apart from sources.py, so that a plan need not import an HTTP client."""

from __future__ import annotations

from pathlib import Path

from httpx import HTTPError
from huggingface_hub import HfApi, constants
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError

from align.errors import ArtifactError, DataError


def resolve_commit(where: str, location: str, repo: str, revision: str | None) -> str:
    """Asks the hub which commit a name stands for now; falls back on what its local cache last saw.

    Raises DataError when the id does not exist, or when neither the hub nor the cache knows it.
    """
    try:
        found = HfApi().repo_info(location, repo_type=repo, revision=revision, timeout=10).sha
        if found:
            return found
    except (RepositoryNotFoundError, HFValidationError):
        raise DataError(
            where, f"the hub has no {repo} {location}, or it is private", "", "check the name, or log in: hf auth login"
        ) from None
    except (HfHubHTTPError, HTTPError, OSError) as error:  # no answer, a refusal, or no line at all
        cached = _cached_commit(location, repo, revision)
        if cached:
            return cached
        raise DataError(
            where,
            f"the hub cannot be reached ({type(error).__name__}) and {location} is not in its local cache",
            "",
            "connect, or give a local folder or file instead",
        ) from None
    raise ArtifactError(where, f"the hub gave no commit for {location}")


def _cached_commit(location: str, repo: str, revision: str | None) -> str | None:
    folder = Path(constants.HF_HUB_CACHE) / f"{repo}s--{location.replace('/', '--')}" / "refs" / (revision or "main")
    return folder.read_text().strip() if folder.is_file() else None
