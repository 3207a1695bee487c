"""Suites that measure a model, and the statistics of what they find."""
