"""A recipe tried out before anything long runs: every part of it, on samples, in a folder that is deleted afterwards."""
