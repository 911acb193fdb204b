"""Figures: each a function that returns one."""
