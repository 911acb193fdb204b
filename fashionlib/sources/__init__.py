"""Sources: each reads one kind of dataset into a Catalogue."""

from __future__ import annotations

from pathlib import Path

from ..catalogue import Catalogue


def open_catalogue(name: str, root: str | Path | None = None, **options) -> Catalogue:
    """The catalogue of a dataset.

    ``"products"``: Fashion Product Images (Small), below ``root``; see ``products.open_products``.
    ``"synthetic"``: garments drawn on demand, no ``root`` needed; see ``synthetic.open_synthetic``.

    Raises ``CatalogueError`` if the data is not there or does not fit, ``ValueError`` for an unknown name.
    """
    if name == "products":
        from .products import open_products

        return open_products(_needed(name, root), **options)
    if name == "synthetic":
        from .synthetic import open_synthetic

        return open_synthetic(root, **options)
    raise ValueError(f"no dataset {name!r}; there are 'products' and 'synthetic'")


def _needed(name: str, root: str | Path | None) -> Path:
    if root is None:
        raise ValueError(f"open_catalogue({name!r}, root): root is needed, the folder that holds the data")
    return Path(root)
