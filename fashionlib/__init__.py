"""Multitask learning on fashion images: many labels, one backbone.

    source -> Catalogue -> ImageData -> MultitaskModel -> fit -> evaluate -> results
                                                   \\-> Tagger -> index, cleaning

A complete study: ``my.csv`` has a row for each photo, ``image,type,pattern,sleeve``::

    from fashionlib.evaluation import predict
    from fashionlib.images import cache_images
    from fashionlib.models import MultitaskModel
    from fashionlib.settings import Settings
    from fashionlib.sources import open_catalogue
    from fashionlib.tagging import Tagger
    from fashionlib.training import fit

    catalogue = open_catalogue("my.csv", images="photos", category="type", attributes=["pattern", "sleeve"])
    data = cache_images(catalogue, size=(60, 80), folder="cache")
    model = MultitaskModel("resnet18", data.catalogue.select("category", "attributes"), size=data.size)
    run = fit(model, data, Settings(epochs=5), run_dir="runs/mine")
    print(predict(run.model, data, "test").metrics())
    print(Tagger.load("runs/mine/model.pth").tag("new photos"))

The folder may be copied into another project, under any parent package: imports inside it are relative. Libraries
that only some of it needs (accelerate, albumentations, pymilvus, ray, ...) are imported where they are used.

The modules, in the order in which they are best read:

    catalogue      Catalogue: images, labels, splits, item ids - the one data structure
    sources        open_catalogue: DeepFashion, Fashion Product Images, drawn garments, a table or folder of your own
    splits         training, validation, test; with all images of an item on one side
    images         cache_images: every picture decoded once, bad files listed
    tasks          SingleLabel, MultiLabel, Hierarchy, Similarity: what is asked of an image
    models         MultitaskModel: one backbone, one head a task
    settings       Settings and Stage: how a model is trained
    training       fit: the one loop, which finds finished runs and goes on with broken ones
    evaluation     predict, and metrics with confidence intervals
    retrieval      does an embedding find the same item again?
    tagging        Tagger: a trained model applied to new photos
    bulk           tag_folder: a whole folder to parquet, on one machine or many, going on where it was stopped
    index          the most similar photos of a catalogue, with filters
    cleaning       suspicious labels, missing labels, near-duplicates
    plots          every figure, each a function that returns it
    results        the only writer of results/: tables, figures, manifest

Behind them:

    training       batches, orders, augment, epochs, optimisation, processes, inference, hardware, checks, runs,
                   checkpoints, tracking, progress, files, labels, calibration, transfer, decoding
    measuring      metrics, attribute_metrics, ranking, outcomes, comparison, benchmark, ranking_speed, search_speed,
                   tagging_speed
    tagging        photos, shards, scale
    searching      milvus_index, milvus_collection, milvus_connection, index_checks, duplicates, suspects
    drawing        plot_attributes, plot_cleaning, plot_comparison, plot_images, plot_names, plot_retrieval,
                   plot_scores, plot_style
    writing        latex, provenance, citations, script
"""

__version__ = "0.1.0"
