"""What a recipe did, for people: one HTML file with everything in it, votes cast in it, and a model card."""
