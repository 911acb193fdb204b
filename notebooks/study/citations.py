"""What to cite, as BibTeX (``python -m fashionlib cite``). CITATION.cff says the same; a test compares."""

from __future__ import annotations

from fashionlib import __version__

# (kind, key, fields): this software, the thesis that it follows, and the two datasets.
WORKS = (
    (
        "software",
        "fashionlib",
        {
            "author": "{The fashionlib contributors}",
            "title": "fashionlib",
            "version": __version__,
            "year": "2026",
            "license": "MIT",
        },
    ),
    (
        "mastersthesis",
        "zuroshvili2025multitask",
        {
            "author": "Zuroshvili, Elene",
            "title": "Multitask learning for fashion images",
            "school": "Central European University",
            "year": "2025",
            "note": "The title given here is descriptive; it is not the wording of the thesis's title page.",
        },
    ),
    (
        "inproceedings",
        "liu2016deepfashion",
        {
            "author": "Liu, Ziwei and Luo, Ping and Qiu, Shi and Wang, Xiaogang and Tang, Xiaoou",
            "title": "DeepFashion: Powering Robust Clothes Recognition and Retrieval with Rich Annotations",
            "booktitle": "IEEE Conference on Computer Vision and Pattern Recognition (CVPR)",
            "pages": "1096--1104",
            "year": "2016",
            "doi": "10.1109/CVPR.2016.124",
        },
    ),
    (
        "misc",
        "aggarwal2019fashion",
        {
            "author": "Aggarwal, Param",
            "title": "Fashion Product Images (Small)",
            "howpublished": "Kaggle",
            "year": "2019",
            "url": "https://www.kaggle.com/datasets/paramaggarwal/fashion-product-images-small",
        },
    ),
)


def bibtex() -> str:
    """All works, one BibTeX entry each; the doubled braces keep a title's capitals."""
    entries = []
    for kind, key, fields in WORKS:
        fields = fields | {"title": f"{{{fields['title']}}}"}
        lines = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items())
        entries.append(f"@{kind}{{{key},\n{lines}}}\n")
    return "\n".join(entries)
