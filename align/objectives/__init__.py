"""Pure tensor maths: log-probabilities, masked statistics, and the terms of the losses."""
