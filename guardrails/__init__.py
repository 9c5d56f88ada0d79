"""Floor 1: pure policy, such as the limits of a run and the screening of its input."""
