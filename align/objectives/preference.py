"""Terms of direct preference optimization (Rafailov et al. 2023, 2305.18290). Axes: B pairs.

The implicit reward of a completion y is r(x, y) = beta (log pi(y|x) - log pi_ref(y|x)) (their equation 5, up to a term
in x alone, which cancels within a pair).
"""

from __future__ import annotations

from torch import Tensor


def implicit_rewards(policy_logps_B: Tensor, reference_logps_B: Tensor, beta: float) -> Tensor:
    """beta (log pi(y|x) - log pi_ref(y|x)), from sums over the tokens of y."""
    return beta * (policy_logps_B - reference_logps_B)


def reward_margins(
    policy_chosen_B: Tensor,
    policy_rejected_B: Tensor,
    reference_chosen_B: Tensor,
    reference_rejected_B: Tensor,
    beta: float,
) -> Tensor:
    """r(x, chosen) - r(x, rejected); exactly 0 for every pair while the policy still is the reference."""
    chosen_B = implicit_rewards(policy_chosen_B, reference_chosen_B, beta)
    return chosen_B - implicit_rewards(policy_rejected_B, reference_rejected_B, beta)
