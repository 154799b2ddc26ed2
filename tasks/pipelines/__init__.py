"""A task from text to result in one call: `pipeline("fill-mask", model=…)` in `create.py`."""
