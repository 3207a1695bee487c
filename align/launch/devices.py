"""Which GPUs a child sees."""

from __future__ import annotations

from collections.abc import Mapping

VISIBLE = "CUDA_VISIBLE_DEVICES"


def of_one(environment: Mapping[str, str]) -> dict[str, str]:
    """What a process that computes on one device is to find in its environment: the first GPU that this one sees.

    transformers' trainer splits each batch over all GPUs that it sees (nn.DataParallel), which TRL refuses.
    """
    return {VISIBLE: environment.get(VISIBLE, "0").split(",")[0]}
