"""The work that `align bench` times, ours and peers', each in a process of its own: random weights, real shapes."""
