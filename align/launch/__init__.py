"""Child processes: a preloaded server that forks one child a step, and ranks for several devices."""
