"""Rows from any source to what a trainer eats: readers, formats, split, parquet, rendering with loss masks."""
