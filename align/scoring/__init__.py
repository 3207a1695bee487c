"""Scores for completions: named scorers now; a user's file, reward models and judges belong here too."""
