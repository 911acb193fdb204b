"""Figures. Every function returns a matplotlib Figure and shows nothing."""
from .plot_images import catalogue_montage, duplicate_pairs, image_montage, prediction_montage  # noqa: F401
