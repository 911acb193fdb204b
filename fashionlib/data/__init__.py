"""Catalogue, images, splits."""
