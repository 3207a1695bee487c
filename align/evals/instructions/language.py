"""IFEval's `language`: what language a response is in, as langdetect tells it.

Its detector draws at random; ours has a seed, set on a factory of our own, so that a response always gets the same answer
and nobody else's detector changes.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated

from langdetect import LangDetectException
from langdetect.detector_factory import PROFILES_DIRECTORY, DetectorFactory
from pydantic import AfterValidator

SEED = 0
LANGUAGES = sorted(path.name for path in Path(PROFILES_DIRECTORY).iterdir())  # ISO 639-1; Chinese is zh-cn and zh-tw


def _known(language: str) -> str:
    if language not in LANGUAGES:
        raise ValueError(f"langdetect knows {', '.join(LANGUAGES)}")
    return language


def response_language(response: str, language: Annotated[str, AfterValidator(_known)]) -> bool:
    """In the language, and in no other more than in it."""
    return is_in(response, language)


def is_in(text: str, language: str) -> bool:
    """A text without anything to tell a language by, such as 12345, counts as in any: so the published checkers do."""
    detector = _detectors().create()
    detector.append(text)
    try:
        return detector.detect() == language
    except LangDetectException:
        return True


@cache
def _detectors() -> DetectorFactory:
    """The bundled profiles in the order of their names: a folder's own order differs between machines."""
    factory = DetectorFactory()
    factory.load_json_profile([(Path(PROFILES_DIRECTORY) / name).read_text("utf-8") for name in LANGUAGES])
    factory.set_seed(SEED)
    return factory
