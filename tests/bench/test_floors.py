from __future__ import annotations

import pytest

from align.bench import floors
from align.bench.measure import Result, judged, ratio
from align.bench.plans import Contender

H100 = {"device": "NVIDIA H100 80GB HBM3", "params": 1e9, "kv_bytes": 1e5}


@pytest.mark.parametrize(("work", "plan", "sets"), [("sft", {}, 6), ("dpo", {}, 8), ("ppo", {"epochs": 4}, 54)])
def test_flops_of_a_token_are_multiples_of_the_parameters(work: str, plan: dict, sets: int) -> None:
    assert floors.flops(work, H100, plan) == sets * 1e9


def test_a_training_floor_is_half_of_the_peak() -> None:
    """6 x 1e9 x 1e4 FLOPs at 494.5e12 a second."""
    assert floors.seconds("sft", H100, {}, 1e4) == pytest.approx(6e13 / 494.5e12)


def test_a_decoding_floor_reads_weights_and_cache_for_every_token() -> None:
    """(2e9 + 64 x (128 + 128) x 1e5) bytes, 256 times, at 0.8 x 3.35e12 a second."""
    plan = {"batch": 64, "prompt_tokens": 128, "new_tokens": 256}
    assert floors.seconds("generate", H100, plan, 64 * 256) == pytest.approx(256 * (2e9 + 64 * 256 * 1e5) / 2.68e12)


def test_a_ppo_floor_is_training_and_decoding() -> None:
    plan = {"episodes": 64, "prompt_tokens": 128, "new_tokens": 128, "epochs": 4}
    trained = 54e9 * 64 * 256 / 494.5e12
    decoded = 128 * (2e9 + 64 * 192 * 1e5) / 2.68e12
    assert floors.seconds("ppo", H100, plan, 64 * 256) == pytest.approx(trained + decoded)


def test_there_is_no_floor_where_the_peaks_are_not_known() -> None:
    assert floors.seconds("sft", H100 | {"device": "CPU"}, {}, 1e4) is None


def told(**changed: object) -> dict:
    measured = {"seconds": [2.0, 1.0, 9.0], "tokens": [200, 100, 100], "first_s": 3.0, "phases": {}, "versions": {}}
    return H100 | measured | {"grad_norm": 1.0, "moved": True, "peak_gb": 1.0} | changed


def test_figures_are_medians_and_count_only_where_something_was_learnt() -> None:
    contender = Contender("align", "training", "dpo", {"pairs": 4})
    result = judged(contender, "dpo", told())
    assert (result.tokens_per_second, result.step_seconds, result.items_per_second) == (100.0, 2.0, 2.0)
    assert result.mfu == pytest.approx(100 * 8e9 / 989e12) and not result.error
    still = judged(contender, "dpo", told(moved=False))
    assert (
        "nothing was learnt" in still.error
        and "nothing was learnt" in judged(contender, "dpo", told(grad_norm=0)).error
    )
    assert ratio(result, still) is None
    assert ratio(result, Result("peer", tokens_per_second=50.0)) == 2.0
