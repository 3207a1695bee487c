"""The private names that the loop overrides or reads are still there, in the places where it expects them."""

import inspect

import pytest
import transformers
import trl

from align.loop import trl_private


@pytest.mark.parametrize("name", trl_private.USED["Trainer"])
def test_transformers_still_has_the_method(name: str) -> None:
    ours = inspect.signature(getattr(trl_private.Loop, name)).parameters
    theirs = inspect.signature(getattr(transformers.Trainer, name)).parameters
    assert list(ours) == list(theirs)


@pytest.mark.parametrize("trainer", [trl.SFTTrainer, trl.DPOTrainer, trl.RewardTrainer])
@pytest.mark.parametrize("name", trl_private.USED["TRL"])
def test_trl_still_has_the_method(trainer: type, name: str) -> None:
    assert callable(getattr(trainer, name))


def test_dpo_trainer_still_computes_reference_logprobs_where_we_stop_it() -> None:
    assert all(callable(getattr(trl.DPOTrainer, name)) for name in trl_private.USED["DPOTrainer"])


def test_the_running_averages_still_have_their_names() -> None:
    sources = [inspect.getsource(c) for c in (transformers.Trainer, trl.SFTTrainer, trl.DPOTrainer)]
    for name in trl_private.USED["attributes"]:
        assert any(f"self.{name}" in source for source in sources), name
    loop = inspect.getsource(transformers.Trainer._inner_training_loop)
    reset, begun = loop.index("self._tr_loss = "), loop.index("on_train_begin")
    assert reset < begun, "the averages must be reset before on_train_begin, which restores them"


def test_the_head_still_asks_whether_to_score_labelled_positions_only() -> None:
    import trl.kernels.chunked_logprob
    import trl.trainer.utils

    assert "compact = _use_triton(hidden_states.device)" in inspect.getsource(trl.trainer.utils.add_fused_lm_head)
    assert trl.kernels.chunked_logprob._use_triton is not trl.trainer.utils._use_triton
