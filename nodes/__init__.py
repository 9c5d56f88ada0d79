"""Floor 2: one step each. A node returns an update and never names its neighbour."""
