"""Multitask learning on fashion images: many labels, one backbone.

    source -> Catalogue -> ImageData -> MultitaskModel -> fit -> predict -> metrics
                                                   \\-> Tagger -> index, cleaning

A complete study: ``my.csv`` has a row for each photo, ``image,type,pattern,sleeve``::

    from fashionlib import MultitaskModel, Settings, Tagger, cache_images, fit, open_catalogue, predict

    catalogue = open_catalogue("my.csv", images="photos", category="type", attributes=["pattern", "sleeve"])
    data = cache_images(catalogue, size=(60, 80), folder="cache")
    tasks = data.catalogue.select("category", "attributes")
    model = MultitaskModel("tf_efficientnet_lite0", tasks, weights="pretrained", size=data.size)
    settings = Settings(epochs=4, batch_size=64)
    run = fit(model, data, settings, run_dir="runs/mine")
    print(predict(run.model, data, "test").metrics())
    print(Tagger.load("runs/mine/model.pth").tag("new photos"))

The folder may be copied into another project, under any parent package; libraries that only some of it needs (lancedb,
ray, ...) are imported where they are used. Each floor imports only from those below:

    shop/           Tagger, bulk jobs, index of similar photos, near-duplicates, cleaning: may be deleted
    training/       Settings, fit, checkpoints
    sources/        open_catalogue: your own table or folder, and readers of datasets, which may be deleted
    evaluation/     predict, retrieval, calibration, comparison of runs
    models.py       MultitaskModel;  backbones.py  any network of timm
    data/           Catalogue, cache_images, splits
    tasks/          SingleLabel, MultiLabel, Hierarchy, Similarity: head, loss, prediction, metrics
    metrics/        arrays in, numbers out;  machine/  hardware, processes, files, progress
"""

from importlib import import_module

__version__ = "0.2.0"

WHERE = {
    "Catalogue": "data.catalogue",
    "CatalogueError": "data.catalogue",
    "MultitaskModel": "models",
    "Settings": "training.settings",
    "Stage": "training.settings",
    "Tagger": "shop.tagging",
    "cache_images": "data.images",
    "fit": "training.fit",
    "open_catalogue": "sources",
    "open_index": "shop.index",
    "predict": "evaluation.predict",
    "read_embeddings": "shop.bulk",
    "tag_table": "shop.tagging",
}
__all__ = list(WHERE)  # noqa: PLE0604


def __getattr__(name: str):
    """Each public name is imported when it is first asked for."""
    if name not in WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; there are {', '.join(WHERE)}")
    return getattr(import_module(f".{WHERE[name]}", __name__), name)
