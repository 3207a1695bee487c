"""The libraries' own bars, prints and warnings, kept off the terminal."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import datasets
import transformers
from tqdm import tqdm

# Its own lock is a semaphore of the system's, which a step's process leaves behind, to be complained of when the run ends.
tqdm.set_lock(threading.RLock())


@contextmanager
def quiet() -> Iterator[None]:
    """Silence for the body, or as @quiet() for a function; errors still come through."""
    before = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    chatter = [logging.getLogger(name) for name in ("trl", "accelerate", "datasets", "peft")]
    levels = [logger.level for logger in chatter]
    for logger in chatter:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers.utils.logging.set_verbosity(before)
        for logger, level in zip(chatter, levels, strict=True):
            logger.setLevel(level)
