"""Sources: each reads one kind of dataset into a Catalogue."""

from importlib import import_module
from pathlib import Path

from ..data.catalogue import Catalogue
from .folder import open_folder
from .table import open_table

DATASETS = ("products", "deepfashion-attributes", "deepfashion-inshop")


def open_catalogue(name: str | Path, root: str | Path | None = None, **options) -> Catalogue:
    """The catalogue of one of the ``DATASETS`` below ``root`` (its options: ``open_products``, ``open_attributes``,
    ``open_inshop`` in the module of its name); or of a folder (``open_folder``) or a ``.csv`` or ``.parquet`` table
    (``open_table``) of your own, as it is given or else below ``root``.

    Raises ``CatalogueError`` if the data is not there or does not fit, ``ValueError`` for an unknown name or a dataset
    whose reader is not in this copy of the library, ``TypeError`` for an unknown option."""
    if isinstance(name, str) and name in DATASETS:
        if root is None:
            raise ValueError(f"open_catalogue({name!r}, root): root is needed, the folder that holds the data")
        try:
            reader = import_module(f".{name.replace('-', '_')}", __name__)
        except ModuleNotFoundError as error:
            if not (error.name or "").startswith(__name__):
                raise
            raise ValueError(f"{name}: this copy of the library has no {error.name}, which reads it") from None
        return getattr(reader, f"open_{name.rpartition('-')[2]}")(Path(root), **options)
    path = next((path for path in (Path(name), Path(root or "", name)) if path.exists()), Path(name))
    if path.is_dir():
        return open_folder(path, **options)
    if path.suffix.lower() in (".csv", ".parquet"):
        return open_table(path, **options)
    raise ValueError(f"{str(name)!r}: no dataset, folder or table (.csv, .parquet); there are {', '.join(DATASETS)}")
