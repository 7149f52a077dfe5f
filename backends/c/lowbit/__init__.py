"""Weights of few bits: packed codes with a table of what they stand for, and single bits multiplied as words."""
