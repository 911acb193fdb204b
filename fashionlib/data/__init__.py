"""Catalogue, images, splits, duplicates."""
