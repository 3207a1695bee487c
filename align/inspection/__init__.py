"""A source looked at before anything is trained on it: what it holds, and what a model would see of it."""
