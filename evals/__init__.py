"""Beside the floors: real questions, scorers, and the scripted model that stands in for one in tests."""
