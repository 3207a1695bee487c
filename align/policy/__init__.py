"""The policy under PPO: it and its value model, what it experienced, its updates, their health, and how they are resumed."""
