"""Measurements, each a module run as `python -m benchmarks.NAME`.

Each prints a table for people and, as its very last line, one JSON object with its figures.
"""
