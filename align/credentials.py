"""Secrets: whether there is a W&B key, and keeping the values of secret variables out of everything that is written."""

from __future__ import annotations

import netrc
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

Mode = Literal["online", "offline", "disabled"]

SECRET = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$")
SHORTEST = 8  # a shorter value might be an ordinary word
HIDDEN = "[secret]"


def wandb_key() -> bool:
    """Whether W&B would find an API key: in the environment, or where `wandb login` puts it."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai").netloc
    for path in (os.environ.get("NETRC"), Path.home() / ".netrc", Path.home() / "_netrc"):
        try:
            if path and netrc.netrc(str(path)).authenticators(host):
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False


def wandb_mode(wanted: str) -> Mode:
    """What W&B does in this run: what the recipe says; under `auto` what the environment says, else online given a key."""
    if wanted != "auto":
        return wanted  # type: ignore[return-value]
    asked = os.environ.get("WANDB_MODE", "").lower()
    if asked in ("offline", "dryrun"):
        return "offline"
    if asked == "disabled" or os.environ.get("WANDB_DISABLED", "").lower() in ("1", "true", "yes"):
        return "disabled"
    return "online" if wandb_key() else "disabled"


def wandb_off(tracking: Any) -> str:
    """Why curves go to local files alone, for the person who might have expected otherwise; empty when they need no word."""
    if tracking.wandb != "auto" or wandb_mode("auto") != "disabled":
        return ""
    return "W&B is off by the environment" if wandb_key() else "W&B is off (no API key: wandb login)"


def hide(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """The text with every value of a secret environment variable taken out."""
    for value in _secrets(environment):
        text = text.replace(value, HIDDEN)
    return text


def hide_in(value: Any) -> Any:
    """The same for every text inside a plain value."""
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, dict):
        return {k: hide_in(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [hide_in(v) for v in value]
    return value


def hide_in_file(path: Path) -> None:
    """Takes secret values out of a text file, if there are any; a file that holds none is not touched."""
    try:
        found = path.read_bytes()
    except OSError:
        return
    clean = found
    for secret in _secrets(os.environ):
        clean = clean.replace(secret.encode(), HIDDEN.encode())
    if clean != found:
        path.write_bytes(clean)


def _secrets(environment: Mapping[str, str]) -> list[str]:
    """Values of variables named like secrets, the longest first so that one inside another leaves no rest."""
    found = {v for k, v in environment.items() if SECRET.search(k.upper()) and len(v) >= SHORTEST}
    return sorted(found, key=len, reverse=True)
