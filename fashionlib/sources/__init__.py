"""Sources: each reads one kind of dataset into a Catalogue."""

from __future__ import annotations

from pathlib import Path

from ..data.catalogue import Catalogue

DATASETS = ("products", "deepfashion-attributes", "deepfashion-inshop", "synthetic")


def open_catalogue(name: str | Path, root: str | Path | None = None, **options) -> Catalogue:
    """The catalogue of a dataset, or of your own photos.

    ``"products"``: Fashion Product Images (Small), below ``root``; see ``products.open_products``.
    ``"deepfashion-attributes"``, ``"deepfashion-inshop"``: the official releases; see ``deepfashion``.
    ``"synthetic"``: garments drawn on demand, no ``root`` needed; see ``synthetic.open_synthetic``.
    The path of a ``.csv`` or ``.parquet`` file, as it is given or else below ``root``: see ``table.open_table``.
    The path of a folder of class-named folders, likewise: see ``folder.open_folder``.

    Raises ``CatalogueError`` if the data is not there or does not fit, ``ValueError`` for an unknown name.
    """
    if name == "products":
        from .products import open_products

        return open_products(_needed(name, root), **options)
    if name == "deepfashion-attributes":
        from .deepfashion import open_attributes

        return open_attributes(_needed(name, root), **options)
    if name == "deepfashion-inshop":
        from .deepfashion import open_inshop

        return open_inshop(_needed(name, root), **options)
    if name == "synthetic":
        from study.drawn.catalogue import open_synthetic

        return open_synthetic(root, **options)
    path = _own(name, root)
    if path.is_dir():
        from .folder import open_folder

        return open_folder(path, **options)
    if path.suffix.lower() in (".csv", ".parquet"):
        from .table import open_table

        return open_table(path, **options)
    raise ValueError(
        f"no dataset {str(name)!r}, nor a folder or a .csv or .parquet table of your own there; "
        f"there are {', '.join(DATASETS)}"
    )


def _own(name: str | Path, root: str | Path | None) -> Path:
    """A path as it is given, or else below ``root``."""
    path = Path(name)
    return Path(root) / path if root is not None and not path.exists() and (Path(root) / path).exists() else path


def _needed(name: str, root: str | Path | None) -> Path:
    if root is None:
        raise ValueError(f"open_catalogue({name!r}, root): root is needed, the folder that holds the data")
    return Path(root)
