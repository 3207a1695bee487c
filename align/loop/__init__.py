"""TRL's trainers as the loop: exact resume, packed batches, and everything told through the tracker."""
