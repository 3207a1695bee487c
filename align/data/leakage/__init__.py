"""Rows that training has and an evaluation has too, and rows that a set has twice: found, shown with both sides, counted."""
