"""Renders the blocks between ``<!-- name -->`` and ``<!-- /name -->`` in README.md from results/products, so that no
figure there is typed by hand.

``PYTHONPATH=notebooks python -m study.readme`` rewrites README.md; ``--check`` says whether it is up to date."""

import json
import re
import sys
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[2]
PRODUCTS = ROOT / "results" / "products"
MAIN = {"category": "accuracy", "attributes": "map", "item": "recall_at_1"}  # the metric of each task of the thesis
CONTROLS = {"pretrained features": "ImageNet, untrained", "embedding, own batches": "retrieval, pairs alone (one seed)"}
NAMES = {"map": "mAP", "recall_at_1": "Recall@1", "item": "retrieval"}


def table(name: str) -> pd.DataFrame:
    """A table of the results. Only an empty field is a missing value: a class may be called "NA"."""
    path = PRODUCTS / "tables" / f"{name}.csv"
    return pd.read_csv(path, keep_default_na=False, na_values=[""], dtype={"notebook": str})


def cell(value: object) -> str:
    """A value as Markdown shows it: text as it is, four digits of a fraction, nothing of a missing value."""
    if pd.isna(value):
        return ""
    text = f"{value:.4f}" if isinstance(value, float) else " ".join(str(value).split())
    return re.sub(r"([\\`*_{}\[\]<>#|~])", r"\\\1", text)


def markdown(frame: pd.DataFrame, bold: str = "") -> str:
    """A table in Markdown, with the column ``bold`` in bold letters."""
    cells = frame.astype(object).map(cell)
    if bold:
        cells[bold] = "**" + cells[bold] + "**"
    rows = [list(map(cell, frame)), ["---"] * frame.shape[1], *cells.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def headline() -> str:
    """Accuracy of the main model, the first in the table, on the random split, beside the published figures."""
    found = table("07_accuracy").query("split == 'random'").set_index("task")
    majority = found.loc[found["model"] == "majority", "accuracy"]
    main = found[found["model"] == found["model"].iloc[0]].assign(majority=majority).reset_index()
    published = pd.read_csv(ROOT / "notebooks" / "references.csv").query("metric == 'exact_match'")["value"].max()
    match = table("07_exact_match").query("split == 'random'").head(1).rename(columns={"exact_match": "accuracy"})
    rows = pd.concat([main, match.assign(task="all seven right", best_published=published)])
    shown = {"label": rows["task"], "classes": rows["n_classes"].astype("Int64"), "accuracy": rows["accuracy"]}
    low, high = (rows[end].map("{:.4f}".format) for end in ("ci_low", "ci_high"))
    shown |= {"95% interval": low + "-" + high, "macro-F1": rows["macro_f1"], "majority class": rows["majority"]}
    shown |= {"project seed": rows["seed_accuracy"], "best published": rows["best_published"]}
    return markdown(pd.DataFrame(shown), bold="accuracy")


def provenance() -> str:
    """What notebook 07 ran, on what, for how long, and where it stays behind."""
    manifest = json.loads((PRODUCTS / "manifest.json").read_text(encoding="utf-8"))
    notebook, records = manifest["notebooks"]["07"], manifest["records"]
    machine = records[notebook["environment"]]["machine"]
    trained = {name.removeprefix("07_"): run for name, run in notebook["runs"].items() if "overfit" not in name}
    ran = [f"`{name}` {run['epochs']} epochs in {run['seconds'] / 60:.0f} minutes" for name, run in trained.items()]
    references = pd.read_csv(ROOT / "notebooks" / "references.csv").query("metric == 'macro_f1'")
    main = table("07_accuracy").query("split == 'random' and seed_accuracy.notna()")
    main = main[main["model"] == main["model"].iloc[0]]
    return (
        f"It is above the project seed on {(main['accuracy'] > main['seed_accuracy']).sum()} of {len(main)} labels; "
        f"{main['n_test'].max():,} test images, over which the intervals are, not over seeds. Mean macro-F1 "
        f"{main['macro_f1'].mean():.4f}, best published {references['value'].max():.4f}. Trained: {', '.join(ran)}, on "
        f"{machine['cores']} cores ({machine['cpu']}, {', '.join(machine['gpus']) or 'no GPU'})."
    )


def verdict(contrasts: pd.DataFrame, inference: pd.DataFrame) -> str:
    """The answer of the study in a sentence, from the planned contrasts and the speeds of notebook 06."""
    rows = contrasts[contrasts["contrast"].str.startswith("H1")]
    names = {"category": "accuracy of the category", "attributes": "mAP of the attributes", "item": "Recall@1"}
    found = [f"{100 * row.difference:+.1f} points of {names[row.task]} ({row.verdict})" for row in rows.itertuples()]
    speed, n = inference.set_index("what")["images_per_second"], int(rows["n_seeds"].max())
    return (
        "One network that learns all three tasks at once, beside three that saw the same images and learned one each: "
        f"{', '.join(found)}, and {speed['one network'] / speed['three networks']:.1f} times as many photos a second "
        f"({n} seed{'s' * (n > 1)})."
    )


def answer() -> str:
    """The question of the study: the kinds of training on the three tasks."""
    found = table("08_comparison")
    found = found[found["metric"] == found["task"].map(MAIN)]
    found["shown"] = found["mean"].map("{:.4f}".format) + found["std"].map(lambda s: f" ± {s:.4f}" if s > 0 else "")
    rows = found.pivot(index="configuration", columns="task", values="shown")
    rows = rows.loc[found["configuration"].unique(), list(MAIN)].rename(columns=NAMES)
    rows["million parameters"] = found.groupby("configuration")["parameters"].first().div(1e6).map("{:.1f}".format)
    own = table("04_retrieval").query("metric == 'recall_at_1'").set_index("embedding")["value"].map("{:.4f}".format)
    for name, label in CONTROLS.items():
        rows.loc[label] = ["", "", own[name], ""]
    speed = table("06_inference").set_index("what")["images_per_second"].round()
    gaps = table("06_length_differences").query("metric in @MAIN.values()").set_index("images_seen")["difference"]
    gaps = gaps.mul(100).map("{:+.1f}".format).groupby(level=0).agg(", ".join)
    return (
        f"{markdown(rows.rename_axis('network').reset_index())}\n\nCategory: accuracy, attributes: mAP, retrieval: "
        f"Recall@1, on the test images of the grouped split; {(n := int(found['n_seeds'].max()))} "
        f"seed{'s, ± their standard deviation' * (n > 1)}. One network answers {speed['one network']:g} photos a "
        f"second, three {speed['three networks']:g}. *Joint* minus single in the three tasks, in points, first seed: "
        f"{'; '.join(f'{points} after {images:,} images' for images, points in gaps.items())}."
    )


def photos() -> str:
    """What the shipped models are worth on photos that people took, of notebook 09."""
    answers = {"any_type": "the most probable type", "types_of_a_class": "the sum over a class's types"}
    found = table("09_people").replace({"answer": answers}).rename(columns={"answer": "class from"})
    found["images"] += found["n"].map(" ({:,})".format)
    rows = markdown(found.pivot(index=["model", "class from"], columns="images", values="accuracy").reset_index())
    return f"Right among ten classes, nine of which (no long sleeves) products know, learned from products:\n\n{rows}"


def render(text: str) -> str:
    """README.md with every block made anew. Raises ``KeyError`` for one that nothing renders."""
    blocks = {block.__name__: block for block in (answer, headline, photos, provenance)}
    blocks["finding"] = lambda: f"**{verdict(table('06_contrasts'), table('06_inference'))}**"
    pattern = re.compile(r"(<!-- (\w+) -->\n).*?(<!-- /\2 -->)", re.DOTALL)
    return pattern.sub(lambda found: f"{found[1]}{blocks[found[2]]()}\n{found[3]}", text)


if __name__ == "__main__":
    README = ROOT / "README.md"
    new = render(old := README.read_text(encoding="utf-8"))
    if "--check" not in sys.argv:
        README.write_text(new, encoding="utf-8")
    elif new != old:
        sys.exit("README.md is not up to date: PYTHONPATH=notebooks python -m study.readme")
