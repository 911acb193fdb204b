"""Figures: each a function that returns one and shows nothing."""
