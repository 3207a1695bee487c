from __future__ import annotations

import subprocess
import sys

BAR = """
import multiprocessing, os
multiprocessing.set_start_method("forkserver")
import align.models.quiet
from tqdm import tqdm
list(tqdm([1], disable=True))
os._exit(0)
"""


def test_a_library_that_draws_a_bar_leaves_no_semaphore_behind_to_be_complained_of() -> None:
    ended = subprocess.run([sys.executable, "-c", BAR], capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stderr) == (0, "")
