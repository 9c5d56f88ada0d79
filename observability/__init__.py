"""Floor 1: the one writer of what happened, such as the log of tool calls."""
