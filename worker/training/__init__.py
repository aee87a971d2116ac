"""Training: packs of jobs, the loop over their steps, and what is measured."""
