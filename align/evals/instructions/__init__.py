"""Verifiable instructions: what IFEval (Zhou et al. 2023, 2311.07911) asks of a response, checked without a judge."""
