"""Preference alignment from one recipe, with lineage between the stages."""

__version__ = "0.1.0"
