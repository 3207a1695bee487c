"""TRL 1.12's PPOTrainer, the last there was, on the same prompts and lengths."""

from __future__ import annotations

from itertools import pairwise
from tempfile import TemporaryDirectory
from typing import Any

import torch
from datasets import Dataset
from transformers import DataCollatorWithPadding
from trl.experimental.ppo import PPOConfig, PPOTrainer  # type: ignore[import-not-found]

from align.workloads import shapes
from align.workloads.clock import Schedule, Taken, now


def peer(plan: dict[str, Any]) -> dict[str, Any]:
    schedule, batch, micro = Schedule(*plan["schedule"]), plan["episodes"], plan["peer_micro_batch"]
    rows, tokenizer = shapes.Rows(plan["size"]), shapes.tokenizer(padding_side="left")
    updates = schedule.warm_up + schedule.timed
    data = Dataset.from_list([{"input_ids": rows.tokens(plan["prompt_tokens"])} for _ in range(batch * (updates + 1))])
    policy, reference = (shapes.causal(plan["size"], shapes.half()) for _ in range(2))
    reward, value = (shapes.classifier(plan["size"], shapes.half()) for _ in range(2))
    with TemporaryDirectory() as folder:
        args = PPOConfig(
            output_dir=folder, per_device_train_batch_size=micro, gradient_accumulation_steps=batch // micro,
            num_mini_batches=1, num_ppo_epochs=plan["epochs"], total_episodes=batch * updates,
            response_length=plan["new_tokens"], local_rollout_forward_batch_size=64, report_to=[], save_strategy="no",
            bf16=torch.cuda.is_available(), use_cpu=not torch.cuda.is_available(), gradient_checkpointing=False,
            num_sample_generations=0, temperature=0.7, stop_token=None, logging_steps=1, disable_tqdm=True,
        )  # fmt: skip
        trainer = PPOTrainer(
            args=args, processing_class=tokenizer, model=policy, ref_model=reference, reward_model=reward,
            value_model=value, train_dataset=data, eval_dataset=data.select(range(4)),
            data_collator=DataCollatorWithPadding(tokenizer),
        )  # fmt: skip
        return shapes.about(policy) | _timed(trainer, policy, plan, schedule)


def _timed(trainer: Any, policy: Any, plan: dict[str, Any], schedule: Schedule) -> dict[str, Any]:
    """From one update's log to the next. The trainer tells no gradient norm: the weights that moved stand for it."""
    marks, taken = [now()], Taken()
    log = trainer.log
    weight = next(p for p in policy.parameters() if p.requires_grad)
    before = weight.detach().clone()

    def marked(*args: Any, **kwargs: Any) -> Any:
        marks.append(now())
        return log(*args, **kwargs)

    trainer.log = marked
    trainer.train()
    spent = [b - a for a, b in pairwise(marks)]
    taken.first_s, taken.seconds = spent[0], spent[schedule.warm_up :]
    taken.tokens = [plan["episodes"] * (plan["prompt_tokens"] + plan["new_tokens"])] * len(taken.seconds)
    taken.moved = not torch.equal(before, weight.detach())
    taken.grad_norm = float((weight.detach().float() - before.float()).norm())
    return taken.told()
