"""Drawn garments: for tests and the smoke profile."""
