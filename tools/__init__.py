"""Floor 1: the tool contract, its runtime, and one file for each family of built-in tools."""
