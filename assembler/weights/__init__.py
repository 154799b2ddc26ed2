"""Weights in and out: names -> checkpoints, the mapping, the load plan, saving."""
