"""Floor 1: what an agent keeps: checkpoints, the message buffer, indexed documents."""
