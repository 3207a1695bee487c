"""One-line mistakes, each with the test that catches it: `python -m tests.mutants [NAME ...]` prints which survive.

tests/mutating.py makes them. A mistake survives where its test passes; the text to be replaced must stand in its file exactly
once, so that the table cannot rot in silence.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass

from tests.mutating import surviving


@dataclass(frozen=True)
class Mutant:
    name: str
    file: str
    old: str
    new: str
    test: str  # file::name under tests/


def _of(file: str, tests: str, *rows: tuple[str, str, str, str]) -> list[Mutant]:
    return [Mutant(name, f"align/{file}", old, new, f"tests/{tests}::{test}") for name, old, new, test in rows]


MUTANTS = [
    *_of(
        "data/leakage/references.py",
        "data/leakage/test_references.py",
        (
            "a template with other numbers counts as a leak",
            "if number.any() and",
            "if not number.any() and",
            "test_the_same_template_with_other_numbers_is_another_question",
        ),
        (
            "siblings of a question count as the question",
            "if of_its_own < OF_ITS_OWN * shared:",
            "if of_its_own < 0 * shared:",
            "test_one_template_with_other_words_is_another_question",
        ),
    ),
    *_of(
        "data/leakage/scan.py",
        "data/leakage/test_scan.py",
        (
            "a pair turned round is a duplicate",
            "found.starts[last[place]]] ^= _REJECTED",
            "found.starts[last[place]]] ^= np.uint64(0)",
            "test_the_same_pair_turned_round_is_a_contradiction_and_no_duplicate",
        ),
        (
            "each prompt falls by itself",
            "decides[order] = places[order][first][group]",
            "decides[order] = places[order]",
            "test_nearly_the_same_prompts_fall_on_one_side",
        ),
    ),
    *_of(
        "data/leakage/duplicates.py",
        "data/leakage/test_duplicates.py",
        (
            "numbers of duplicates may differ",
            "return same_numbers & (likeness",
            "return (likeness",
            "test_texts_that_share_most_words_but_not_the_numbers_are_apart",
        ),
    ),
    *_of(
        "objectives/advantages.py",
        "objectives/test_advantages.py",
        (
            "rewards without mask",
            "rewards_BT = torch.where(real_BT, rewards_BT, 0.0)",
            "rewards_BT = rewards_BT * 1.0",
            "test_gae_equals_its_definition_on_masked_rows",
        ),
        (
            "values without mask",
            "values_BT = torch.where(real_BT, values_BT, 0.0)",
            "values_BT = values_BT * 1.0",
            "test_gae_equals_its_definition_on_masked_rows",
        ),
        (
            "gamma forgotten in the error",
            "rewards_BT[:, t] + gamma * next_value_B",
            "rewards_BT[:, t] + next_value_B",
            "test_lambda_zero_is_the_one_step_error_and_lambda_one_the_return_less_the_value",
        ),
        (
            "gamma forgotten in the sum",
            "gamma * gae_lambda * following_B",
            "gae_lambda * following_B",
            "test_lambda_zero_is_the_one_step_error_and_lambda_one_the_return_less_the_value",
        ),
        (
            "lambda forgotten",
            "gamma * gae_lambda * following_B",
            "gamma * following_B",
            "test_gae_equals_its_definition_on_masked_rows",
        ),
        (
            "next value shifted by one",
            "next_value_B = values_BT[:, t]",
            "next_value_B = values_BT[:, t - 1]",
            "test_gae_equals_its_definition_on_masked_rows",
        ),
        (
            "returns without values",
            "return advantages_BT, advantages_BT + values_BT",
            "return advantages_BT, advantages_BT",
            "test_gae_equals_its_definition_on_masked_rows",
        ),
    ),
    *_of(
        "objectives/masked.py",
        "objectives/test_clipped.py",
        (
            "pads counted in means",
            "count = mask_BT.sum() if dim is None",
            "count = torch.ones_like(mask_BT).sum() if dim is None",
            "test_entropy_is_a_mean_over_real_tokens",
        ),
    ),
    *_of(
        "objectives/whitening.py",
        "objectives/test_whitening.py",
        (
            "pads counted",
            "count = summed(mask_BT.sum().to(values_BT.dtype))",
            "count = summed(torch.ones_like(values_BT).sum())",
            "test_moments_count_real_positions_only",
        ),
        (
            "mean lost",
            "white_BT = white_BT + mean",
            "white_BT = white_BT + 0",
            "test_whitening_without_shifting_keeps_the_mean",
        ),
        (
            "variance for deviation",
            "torch.rsqrt(variance + EPSILON)",
            "(1 / (variance + EPSILON))",
            "test_whitened_values_have_mean_zero_and_deviation_one_and_zeros_off_the_mask",
        ),
        (
            "own mean for everyone's",
            "mean = summed(masked_sum(values_BT, mask_BT)) / count",
            "mean = masked_sum(values_BT, mask_BT) / count",
            "test_parts_whitened_with_summed_statistics_equal_the_whole",
        ),
    ),
    *_of(
        "objectives/kl.py",
        "objectives/test_kl.py",
        (
            "price with the wrong sign",
            "-kl_coef * k1",
            "kl_coef * k1",
            "test_score_stands_on_the_last_real_token_whether_the_row_stopped_or_hit_the_limit",
        ),
        (
            "score one token early",
            "(lengths_B - 1).clamp(min=0)",
            "(lengths_B - 2).clamp(min=0)",
            "test_score_stands_on_the_last_real_token_whether_the_row_stopped_or_hit_the_limit",
        ),
        (
            "score on the padding",
            "lengths_B = mask_BT.sum(1).long()",
            "lengths_B = torch.ones_like(mask_BT).sum(1).long()",
            "test_score_stands_on_the_last_real_token_whether_the_row_stopped_or_hit_the_limit",
        ),
        (
            "ratio not clamped",
            ".clamp(-LOG_RATIO_BOUND, LOG_RATIO_BOUND)",
            ".clamp(-1000.0, 1000.0)",
            "test_log_ratios_are_clamped_at_20_nats",
        ),
        (
            "half forgotten",
            "0.5 * log_ratio_BT.square()",
            "log_ratio_BT.square()",
            "test_as_losses_k2_has_the_gradient_of_the_kl_and_k1_none",
        ),
        (
            "the other direction",
            "torch.exp(-log_ratio_BT) - 1 + log_ratio_BT",
            "torch.exp(log_ratio_BT) - 1 - log_ratio_BT",
            "test_k1_and_k3_are_unbiased",
        ),
        (
            "steering without bound",
            "min(max(kl / self.target - 1, -0.2), 0.2)",
            "kl / self.target - 1",
            "test_adaptive_coefficient_steers_towards_the_target",
        ),
        (
            "steering the wrong way",
            "1 + error * episodes",
            "1 - error * episodes",
            "test_adaptive_coefficient_steers_towards_the_target",
        ),
    ),
    *_of(
        "objectives/clipped.py",
        "objectives/test_clipped.py",
        (
            "the smaller loss",
            "loss_BT = torch.maximum(-advantages_BT * ratio_BT",
            "loss_BT = torch.minimum(-advantages_BT * ratio_BT",
            "test_policy_loss_takes_the_larger_of_the_two",
        ),
        (
            "sign of the advantage",
            "-advantages_BT * clipped_BT)",
            "advantages_BT * clipped_BT)",
            "test_policy_loss_takes_the_larger_of_the_two",
        ),
        (
            "dual clip for good tokens too",
            "torch.where(advantages_BT < 0, torch.minimum",
            "torch.where(advantages_BT != 0, torch.minimum",
            "test_dual_clip_bounds_the_loss_of_bad_tokens_only",
        ),
        (
            "policy loss without mask",
            "return torch.where(mask_BT.bool(), loss_BT, 0.0)",
            "return loss_BT",
            "test_losses_are_zero_off_the_mask_and_pass_no_nan_back",
        ),
        (
            "the smaller error",
            "squared_BT = torch.maximum(squared_BT",
            "squared_BT = torch.minimum(squared_BT",
            "test_value_loss_is_half_the_larger_squared_error",
        ),
        (
            "half forgotten in the value loss",
            "0.5 * squared_BT",
            "squared_BT",
            "test_value_loss_is_half_the_larger_squared_error",
        ),
        (
            "clip fraction on either side",
            "(ratio_BT < 1 - clip_range) & (advantages_BT < 0)",
            "(ratio_BT < 1 - clip_range)",
            "test_ratio_sums_count_real_tokens_only",
        ),
        (
            "approx_kl the wrong way round",
            "masked_sum(k3(-log_ratio_BT), mask_BT)",
            "masked_sum(k3(log_ratio_BT), mask_BT)",
            "test_ratio_sums_count_real_tokens_only",
        ),
        (
            "mean for sum in the KL",
            "masked_sum(log_ratio_BT, mask_BT, dim=1).mean()",
            "masked_mean(log_ratio_BT, mask_BT)",
            "test_sequence_kl_sums_over_tokens_and_averages_over_sequences",
        ),
        (
            "variance of values, not errors",
            "masked_moments(returns_BT - values_BT, mask_BT)",
            "masked_moments(values_BT, mask_BT)",
            "test_explained_variance_is_masked_one_when_right_and_zero_for_a_constant",
        ),
    ),
    *_of(
        "objectives/tempered.py",
        "objectives/test_tempered.py",
        (
            "1/T forgotten",
            "logits_NV.float() / temperature",
            "logits_NV.float()",
            "test_terms_are_those_of_the_tempered_distribution",
        ),
    ),
    *_of(
        "objectives/preference.py",
        "policy/test_known_answer.py",
        (
            "reference forgotten",
            "beta * (policy_logps_B - reference_logps_B)",
            "beta * policy_logps_B",
            "test_ppo_and_dpo_come_to_the_closed_form_optimum[by_dpo-0.6]",
        ),
    ),
    *_of(
        "rollout/packing.py",
        "rollout/test_packing.py",
        (
            "shifted by one",
            "[packed.at_N - 1]",
            "[packed.at_N]",
            "test_packed_and_padded_states_are_those_of_each_row_alone",
        ),
        (
            "neighbours seen",
            "torch.tensor([0, *lengths]).cumsum(0)",
            "torch.tensor([0, sum(lengths)]).cumsum(0)",
            "test_nothing_is_seen_of_neighbours",
        ),
    ),
    *_of(
        "rollout/portable.py",
        "rollout/test_portable.py",
        (
            "padding kept behind the stop token",
            "length = len(row) if end is None else end + 1",
            "length = len(row)",
            "test_a_completion_ends_with_its_first_stop_token",
        ),
        (
            "stop token cut off",
            "length = len(row) if end is None else end + 1",
            "length = len(row) if end is None else end",
            "test_a_completion_ends_with_its_first_stop_token",
        ),
    ),
    *_of(
        "rollout/portable.py",
        "rollout/test_engine_logprobs.py",
        (
            "temperature not sampled at",
            '"temperature": sampling.temperature',
            '"temperature": 1.0',
            "test_samples_of_a_peaked_policy_follow_its_tempered_distribution",
        ),
    ),
    *_of(
        "policy/experience.py",
        "policy/test_experience.py",
        (
            "pad counted in the mask",
            "device=device) < lengths_B[:, None]",
            "device=device) <= lengths_B[:, None]",
            "test_padding_puts_tokens_where_the_mask_says",
        ),
        (
            "KL for free",
            "looked.log_ratio(), mask_BT, kl_coef)",
            "looked.log_ratio(), mask_BT, 0.0)",
            "test_rewards_hold_the_price_of_kl_and_the_score_on_the_last_token",
        ),
        (
            "rewards centred",
            "whiten(rewards_BT, mask_BT, shift_mean=False",
            "whiten(rewards_BT, mask_BT, shift_mean=True",
            "test_rewards_are_whitened_before_and_advantages_after_the_estimate",
        ),
        (
            "log-ratio against itself",
            "clamped_log_ratio(self.logprobs_BT, self.reference_BT)",
            "clamped_log_ratio(self.logprobs_BT, self.logprobs_BT)",
            "test_kl_is_summed_over_tokens_and_averaged_over_sequences",
        ),
    ),
    *_of(
        "policy/one_base.py",
        "policy/test_models.py",
        (
            "a value model that does not start as the reward model",
            "(*below.adapters, VALUE)",
            "(VALUE,)",
            "test_on_one_base_the_reward_model_scores_and_the_value_model_starts_as_on_their_own",
        ),
        (
            "gradients of the other adapter turned off",
            "_train_only(below.owner, (POLICY, VALUE))",
            "_train_only(below.owner, (VALUE,))",
            "test_on_one_base_each_loss_reaches_its_own_adapter_and_nothing_else",
        ),
    ),
    *_of(
        "policy/models.py",
        "policy/test_models.py",
        (
            "reference that learns",
            "deepcopy(actor_critic.policy)",
            "(actor_critic.policy)",
            "test_reference_logprobs_never_change_while_the_policys_do",
        ),
        (
            "adapter left on in the reference",
            "with active(self._learner.policy, ()):",
            'with active(self._learner.policy, ("default",)):',
            "test_reference_logprobs_never_change_while_the_policys_do",
        ),
        (
            "dropout on",
            "self.value_body, self.value_head = policy.eval()",
            "self.value_body, self.value_head = policy.train()",
            "test_dropout_is_off_in_every_model_in_every_phase",
        ),
        (
            "bias not scaled by the gain",
            "reward.head_bias * reward.gain + reward.bias",
            "reward.head_bias + reward.bias",
            "test_a_value_model_from_a_reward_model_starts_with_its_normalised_score",
        ),
        (
            "scores through the adapter",
            "with self._adapted.disable_adapter():",
            "with nullcontext():",
            "test_an_adapter_on_the_reward_models_body_moves_values_but_never_scores",
        ),
    ),
    *_of(
        "policy/update.py",
        "policy/test_update.py",
        (
            "mean over the micro batch",
            "(loss / tokens).backward()",
            "(loss / learnt.mask_BT[micro].sum()).backward()",
            "test_gradients_are_equal_for_one_batch_of_eight_and_eight_of_one",
        ),
        (
            "one epoch only",
            "for epoch in range(spec.epochs):",
            "for epoch in range(1):",
            "test_optimizer_steps_are_epochs_times_minibatches",
        ),
        (
            "entropy punished",
            '"entropy": -spec.entropy_coef',
            '"entropy": spec.entropy_coef',
            "test_the_entropy_bonus_raises_the_entropy",
        ),
        (
            "value loss without coefficient",
            '"value_loss": spec.vf_coef',
            '"value_loss": 1.0',
            "test_the_value_loss_counts_by_its_coefficient",
        ),
        (
            "first epoch shuffled",
            "    if epoch:\n",
            "    if True:\n",
            "test_every_epoch_sees_every_row_once_and_only_the_first_in_order",
        ),
        (
            "gradients kept after a step",
            "    optimizer.step()\n    optimizer.zero_grad(set_to_none=True)",
            "    optimizer.step()",
            "test_gradients_are_gone_after_a_step",
        ),
        (
            "NaN gradient applied",
            "if norm - norm != 0:",
            "if norm < 0:",
            "test_a_gradient_that_is_not_finite_changes_no_weight",
        ),
        (
            "norms clipped together",
            'groups = {"policy": model.policy_parameters(), "value": model.value_parameters()}',
            'groups = {"value": [], "policy": [*model.policy_parameters(), *model.value_parameters()]}',
            "test_norms_of_policy_and_value_model_are_clipped_apart",
        ),
    ),
    *_of(
        "policy/health.py",
        "policy/test_health.py",
        (
            "equal rewards never forgotten",
            "max(rewards) == min(rewards) else 0",
            "max(rewards) == min(rewards) else self.equal",
            "test_equal_rewards_are_a_collapse_only_many_updates_in_a_row",
        ),
        (
            "negative KL ignored",
            'if abs(told["kl"]) > self.kl_bound',
            'if told["kl"] > self.kl_bound',
            "test_kl_entropy_and_nan_are_tripwires",
        ),
    ),
    *_of(
        "policy/state.py",
        "stages/test_ppo.py",
        (
            "controller's state lost",
            'return Progress(**values["progress"])',
            'return Progress(**{**values["progress"], "kl_coef": 0.05})',
            "test_killed_and_resumed_equals_the_undisturbed_run_bit_for_bit[programmatic, adaptive KL]",
        ),
        (
            "optimizer's state lost",
            "checkpoints.read_optimizer(good, optimizer, scheduler)",
            "pass",
            "test_killed_and_resumed_equals_the_undisturbed_run_bit_for_bit[reward model as value model]",
        ),
    ),
    *_of(
        "policy/learner.py",
        "stages/test_ppo.py",
        (
            "learning rate never decays",
            "        self.scheduler.step()\n",
            "",
            "test_every_diagnostic_of_an_update_is_logged",
        ),
    ),
    *_of(
        "policy/learner.py",
        "policy/test_health.py",
        (
            "samples drawn from one seed",
            'seed_of(seed, "rollout")',
            "7",
            "test_sampling_is_asked_for_at_the_temperature_and_with_a_seed_of_the_update",
        ),
    ),
    *_of(
        "scoring/mixture.py",
        "scoring/test_mixture.py",
        (
            "weights forgotten",
            "t.weight * parts[t.name][i]",
            "parts[t.name][i]",
            "test_rewards_are_the_weighted_sum_and_parts_are_unweighted",
        ),
        (
            "penalty for stopping",
            "if not episode.completion.stopped:",
            "if episode.completion.stopped:",
            "test_a_completion_without_a_stop_token_pays_a_penalty_or_gets_a_fixed_score",
        ),
    ),
    *_of(
        "stages/reward.py",
        "stages/test_reward.py",
        (
            "bias of the wrong sign",
            "bias, deviation = -sum(scores)",
            "bias, deviation = sum(scores)",
            "test_demonstrations_average_0_and_nothing_else_moves",
        ),
        (
            "margins read as 0",
            'float(pair.row.get("margin", 0.0)) for',
            "0.0 for",
            "test_a_margin_is_used_where_some_rows_have_one_and_that_is_told",
        ),
        (
            "scored before the stop token",
            "self.ids.prompt_ids + self.ids.chosen_ids",
            "self.ids.prompt_ids + self.ids.chosen_ids[:-1]",
            "test_the_loss_is_bradley_and_terrys[None-0.0]",
        ),
        (
            "long pairs dropped in silence",
            "float(len(found) - len(kept))",
            "0.0",
            "test_a_pair_that_is_too_long_is_counted_and_refused_beyond_the_budget",
        ),
        (
            "chosen and rejected confused",
            '"rejected_ids": [p.rejected for p in pairs]',
            '"rejected_ids": [p.chosen for p in pairs]',
            "test_a_planted_preference_is_learnt_beyond_its_interval",
        ),
    ),
    *_of(
        "stages/prepare.py",
        "stages/test_prepare_leaks.py",
        (
            "the report tells of rows that were left out",
            "statistics.report(kept)",
            "statistics.report()",
            "test_what_is_told_of_rows_is_told_of_those_that_stay",
        ),
    ),
    *_of(
        "data/token_rows.py",
        "data/test_token_rows.py",
        (
            "masked tokens of another program's are trained",
            "[int(label != MASKED) for label in labels]",
            "[1 for label in labels]",
            "test_labels_and_masks_say_what_is_trained",
        ),
    ),
    *_of(
        "loop/rankings.py",
        "loop/test_rankings.py",
        (
            "rankings are dealt pair by pair",
            "shared(group, -(-len(group) // self.most))]",
            "shared(group, len(group))]",
            "test_every_row_stands_in_one_batch_of_a_pass_with_its_whole_ranking",
        ),
        (
            "the same rankings meet in every pass",
            'random.Random(f"{self.seed} {number}")',
            'random.Random(f"{self.seed}")',
            "test_what_is_trained_on_is_whole_rankings",
        ),
    ),
    *_of(
        "loop/trl_private.py",
        "loop/test_rankings.py",
        (
            "micro batches of a ragged batch weigh the same",
            'batch["loss_weight"] = float(own * self.args.world_size * in_step)',
            'batch["loss_weight"] = 1.0',
            "test_a_ragged_batch_weighs_every_pair_the_same_however_it_is_cut_up",
        ),
        (
            "an empty micro batch counts in the averages",
            'batch["told_weight"] = float(all_ranks * in_step)',
            'batch["told_weight"] = 1.0',
            "test_a_ragged_batch_weighs_every_pair_the_same_however_it_is_cut_up",
        ),
    ),
    *_of(
        "loop/trl_private.py",
        "loop/test_resume.py",
        (
            "a resumed pass is drawn again",
            "lambda: int(self.state.epoch or 0)",
            "lambda: self.state.global_step",
            "test_a_stopped_run_resumes_to_the_same_bytes[dpo on rankings]",
        ),
    ),
    *_of(
        "loop/arguments.py",
        "stages/test_reward.py",
        (
            "centring forgotten",
            "center_rewards_coefficient=spec.center or None",
            "center_rewards_coefficient=None",
            "test_the_loss_is_bradley_and_terrys[None-0.1]",
        ),
    ),
    *_of(
        "models/lora.py",
        "stages/test_reward.py",
        (
            "head neither trained nor saved",
            'task_type="SEQ_CLS" if score_head else "CAUSAL_LM",\n        modules_to_save=[score_head] if score_head else None,',
            "",
            "test_the_trained_head_is_saved_with_an_adapter_and_its_loss_is_an_error",
        ),
    ),
    *_of(
        "models/reward.py",
        "models/test_reward_models.py",
        (
            "head drawn as transformers draws it",
            "/ math.sqrt(width + 1)",
            "* 0.02",
            "test_a_new_head_has_deviation_one_over_root_of_width_plus_one_and_no_bias",
        ),
        (
            "scores in bfloat16",
            "torch.autocast(hidden_BTH.device.type, enabled=False)",
            "torch.autocast(hidden_BTH.device.type, torch.bfloat16)",
            "test_scores_stay_float32_under_autocast",
        ),
    ),
    *_of(
        "evals/reward_quality.py",
        "evals/test_reward_quality.py",
        (
            "a tie won",
            "return 0.5 if self.margin == 0",
            "return 1.0 if self.margin == 0",
            "test_a_tie_is_half_and_pairs_of_one_prompt_are_one_cluster",
        ),
        (
            "bins weighted alike",
            'sum(b["pairs"] * abs(b["confidence"] - b["accuracy"]) for b in told) / len(pairs)',
            'sum(abs(b["confidence"] - b["accuracy"]) for b in told)',
            "test_calibration_error_is_how_far_confidence_is_from_being_right",
        ),
    ),
    *_of(
        "scoring/reward_model.py",
        "scoring/test_reward_model.py",
        (
            "score not normalised",
            "gain * raw_B",
            "gain + raw_B",
            "test_scores_are_gain_times_raw_plus_bias_at_the_last_real_token",
        ),
        (
            "special tokens read by the judge",
            "if t not in special]",
            "if t is not special]",
            "test_special_tokens_never_reach_the_judge",
        ),
        (
            "stop token for all",
            "return episode.prompt_ids + inside + ([stop] if stopped else [])",
            "return episode.prompt_ids + inside + [stop]",
            "test_scores_are_gain_times_raw_plus_bias_at_the_last_real_token",
        ),
    ),
    *_of(
        "estimates.py",
        "test_estimates.py",
        (
            "rows of a prompt as independent",
            "        parts[cluster] += (y - value * x) / total",
            "        parts[len(parts)] = (y - value * x) / total",
            "test_rows_of_one_prompt_are_one_piece_of_evidence",
        ),
        (
            "small sample not corrected",
            "for p in parts.values()) * count / (count - 1))",
            "for p in parts.values()))",
            "test_ratio_by_hand",
        ),
        (
            "paired rows as independent",
            "both = {c: parts.get(c, 0.0) - others.get(c, 0.0) for c",
            "both = {c: parts.get(c, 0.0) + others.get(c, 0.0) for c",
            "test_the_same_rows_are_paired",
        ),
        (
            "no change as certainty",
            "moved = sum(c != 0 for c in changes) + 2",
            "moved = sum(c != 0 for c in changes)",
            "test_equal_answers_to_ten_prompts_are_no_proof_of_equality",
        ),
    ),
    *_of(
        "estimates.py",
        "test_bounded_estimates.py",
        (
            "a share guessed from values",
            'if scale == "share" and set(values) <= {0.0, 1.0}:',
            "if set(values) <= {0.0, 1.0}:",
            "test_a_real_quantity_that_is_always_0_is_told_as_0_and_a_share_is_not",
        ),
        (
            "bounds of a share beyond it",
            'if self.method == "logit" and 0 < self.value < 1:',
            "if False:",
            "test_a_share_s_bounds_are_those_of_its_logit",
        ),
        (
            "agreement as certainty",
            'if found is None or found > NOTHING or scale == "real":',
            "if True:",
            "test_ties_alone_are_no_proof_of_a_tie",
        ),
    ),
    *_of(
        "gates/judge.py",
        "gates/test_judge.py",
        (
            "two-sided bounds for a one-sided gate",
            "low, high = estimate.bounds(2 * confidence - 1)",
            "low, high = estimate.bounds(confidence)",
            "test_a_verdict_needs_the_whole_one_sided_bound",
        ),
        (
            "undecided gates let through",
            'outcome == "fail" or (outcome == "inconclusive" and not gate.tolerant)',
            'outcome == "fail"',
            "test_a_verdict_needs_the_whole_one_sided_bound",
        ),
        (
            "a baseline of other data taken",
            "if ours.data != theirs.data or ours.prompts != theirs.prompts:",
            "if ours.prompts != theirs.prompts:",
            "test_a_baseline_from_other_data_is_refused",
        ),
    ),
    *_of(
        "estimates.py",
        "gates/test_gates_over_seeds.py",
        (
            "prompts forgotten over seeds",
            "for e in (self.over, self.within)]",
            "for e in (self.over,)]",
            "test_prompts_count_also_where_seeds_agree",
        ),
    ),
    *_of(
        "paired.py",
        "test_paired.py",
        (
            "many differences not corrected for",
            "ps[index] * (len(told) - rank)",
            "ps[index]",
            "test_of_many_differences_that_are_none_few_survive",
        ),
    ),
    *_of(
        "asked.py",
        "test_asked.py",
        (
            "a missing slice found only after training",
            "if not set(wanted) & set(there or ()):",
            "if there is None:",
            "test_a_suite_that_names_a_missing_slice_is_told_with_the_slices_there",
        ),
    ),
    *_of(
        "evals/suites/contest.py",
        "evals/test_contest.py",
        (
            "a win rate of equal answers alone",
            "if asked and not any(decided[i] for i in asked):",
            "if not any(decided):",
            "test_equal_answers_make_no_win_rate_of_a_judge_that_says_nothing",
        ),
    ),
    *_of(
        "gates/figures.py",
        "gates/test_judge.py",
        (
            "an edited report believed",
            'if digests.of_file(path) != Manifest.read(artifact).files["report.json"]["sha256"]:',
            "if False:",
            "test_a_report_edited_after_sealing_is_refused",
        ),
        (
            "a slice that is the whole",
            'if part in (ALL, s, f"axis_{a}")',
            "if True",
            "test_a_slice_and_a_drop_between_slices_are_judged",
        ),
    ),
    *_of(
        "evals/instructions/following.py",
        "evals/instructions/test_following.py",
        (
            "a blank response follows",
            "bool(response.strip()) and check(response)",
            "check(response)",
            "test_a_blank_response_follows_nothing_and_whatever_follows_strictly_follows_loosely",
        ),
        ("the last line kept", "lines[:-1]", "lines[:]", "test_there_are_eight_variants"),
    ),
    *_of(
        "evals/instructions/arguments.py",
        "evals/instructions/test_following.py",
        (
            "less than or as many",
            "found < asked",
            "found <= asked",
            "test_a_text_made_to_comply_follows_and_one_that_just_fails_does_not",
        ),
    ),
    *_of(
        "evals/instructions/keywords.py",
        "evals/instructions/test_known_answers.py",
        (
            "forbidden inside a word",
            r"{re.escape(word)}(?!\w)",
            "{re.escape(word)}",
            "test_a_check_agrees_with_the_hand",
        ),
    ),
    *_of(
        "evals/instructions/language.py",
        "evals/instructions/test_following.py",
        (
            "a detector without seed",
            "factory.set_seed(SEED)",
            "factory.set_seed(None)",
            "test_a_language_is_told_alike_every_time_and_nobody_elses_detector_is_touched",
        ),
    ),
    *_of(
        "evals/suites/instruction.py",
        "evals/test_instruction_suite.py",
        (
            "any for all of a prompt",
            "[all(kept for _, kept in row) for row in found]",
            "[any(kept for _, kept in row) for row in found]",
            "test_prompts_and_instructions_are_counted_strictly_and_loosely",
        ),
    ),
    *_of(
        "data/comparisons.py",
        "data/test_known_formats.py",
        (
            "the worse rank is chosen",
            "[-rank for rank in ranks])",
            "[rank for rank in ranks])",
            "test_a_format_is_detected_told_and_converted",
        ),
        (
            "ties become pairs",
            "            ties += 1\n            continue",
            "            ties += 1",
            "test_ties_are_left_out_and_counted",
        ),
        (
            "overall score before the ratings",
            'return sum(ratings) / len(ratings) if ratings else _finite(each.get("overall_score"))',
            'return _finite(each.get("overall_score"))',
            "test_a_format_is_detected_told_and_converted",
        ),
    ),
    *_of(
        "data/conversations.py",
        "data/test_known_formats.py",
        (
            "an ambiguous System turn is guessed",
            'if "assistant" in roles:',
            "if False:",
            "test_single_key_turns_that_do_not_say_who_speaks_are_refused",
        ),
    ),
    *_of(
        "data/known_formats.py",
        "data/test_known_formats.py",
        (
            "rejected answers are imitated",
            "fits(raw) and not any(isinstance(raw.get(name), bool) for name in _JUDGEMENTS)",
            "fits(raw)",
            "test_a_rejected_answer_is_not_imitated",
        ),
    ),
    *_of(
        "data/pair_health.py",
        "data/test_pair_health.py",
        (
            "contradictions across prompts",
            "self._keys.extend((hash(texts.prompt),",
            "self._keys.extend((0,",
            "test_pairs_of_other_prompts_do_not_contradict",
        ),
    ),
    *_of(
        "stages/prepare.py",
        "stages/test_prepare.py",
        (
            "a broken row is lost without a count",
            "                ledger.drop(problem, source)\n",
            "                del problem\n",
            "test_bad_rows_within_the_budget_are_dropped_and_counted_by_reason",
        ),
    ),
    *_of(
        "stages/mix.py",
        "stages/test_mix.py",
        (
            "the first rows instead of a sample",
            "if draw.random() * (there - position) < take:",
            "if take:",
            "test_every_row_is_as_likely_as_any_other",
        ),
    ),
]


def main() -> None:
    """Prints {"baseline": exit code, "survived": [...]} as its last line."""
    sys.dont_write_bytecode = True
    os.environ.update(
        PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false"
    )
    chosen = [m for m in MUTANTS if not sys.argv[1:] or m.name in sys.argv[1:]]
    baseline, survived = surviving(chosen)
    print(json.dumps({"baseline": baseline, "survived": survived, "mutants": len(chosen)}))


if __name__ == "__main__":
    main()
