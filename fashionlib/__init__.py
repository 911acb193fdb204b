"""fashionlib: multitask learning on fashion images.

    source -> Catalogue -> ImageData -> MultitaskModel -> fit -> evaluate -> results

A ``Catalogue`` is a table of images with labels (``sources.open_catalogue``); ``images.cache_images`` decodes it once;
``tasks`` say what is asked of an image; ``models.MultitaskModel`` answers with one backbone and one head a task;
``training.fit`` trains it; ``evaluation`` measures it.
"""

__version__ = "0.1.0"
