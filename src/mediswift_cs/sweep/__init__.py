"""Runs that differ in the value of one key, and the best of the values."""
