import torch

from align.objectives.preference import implicit_rewards, reward_margins

chosen, rejected = torch.tensor([-10.0]), torch.tensor([-20.0])
reference_chosen, reference_rejected = torch.tensor([-12.0]), torch.tensor([-19.0])


def test_margin_by_hand() -> None:
    """beta 0.5: 0.5 (-10 + 12) = 1 for the chosen, 0.5 (-20 + 19) = -0.5 for the rejected."""
    assert implicit_rewards(chosen, reference_chosen, 0.5).item() == 1
    assert reward_margins(chosen, rejected, reference_chosen, reference_rejected, 0.5).item() == 1.5


def test_margin_is_zero_where_the_policy_is_the_reference() -> None:
    assert reward_margins(chosen, rejected, chosen, rejected, 0.1).item() == 0
