"""What is heavy is imported without collecting garbage, which afterwards is collected again."""

import gc
from pathlib import Path

import pytest

from align.importing import load
from align.launch.service import Service

RECORDING = """\
import gc, os
DURING = gc.isenabled()
def answer(request, tell):
    gpus = os.environ["CUDA_VISIBLE_DEVICES"]
    tell({"event": "told", "gpus": gpus, "during": DURING, "after": gc.isenabled(), "frozen": gc.get_freeze_count()})
"""


def test_a_service_sees_one_gpu_and_imports_without_collecting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "recording.py").write_text(RECORDING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    with Service("recording") as service:
        told = next(service.ask({}))
    assert told["gpus"] == "3"
    assert not told["during"] and told["after"] and told["frozen"] > 1000


def test_garbage_is_collected_again_after_an_import_that_fails() -> None:
    with pytest.raises(ModuleNotFoundError):
        load("align.there_is_no_such_module")
    assert gc.isenabled()
