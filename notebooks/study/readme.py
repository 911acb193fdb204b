"""Renders the blocks ``<!-- name -->`` of README.md from results/products, so that no figure there is typed by hand.
``PYTHONPATH=notebooks python -m study.readme`` rewrites README.md; ``--check`` says whether it is up to date."""

import json
import re
import sys
from pathlib import Path

import pandas as pd

from .thesis import MAIN

ROOT = Path(__file__).resolve().parents[2]
PRODUCTS = ROOT / "results" / "products"
CONTROLS = {"pretrained features": "ImageNet features", "embedding, own batches": "retrieval, pairs alone (one seed)"}
NAMES = {"map": "mAP", "recall_at_1": "Recall@1", "item": "retrieval"}


def table(name: str) -> pd.DataFrame:
    """A table of the results. Only an empty field is a missing value: a class may be called "NA"."""
    return pd.read_csv(PRODUCTS / f"tables/{name}.csv", keep_default_na=False, na_values=[""], dtype={"notebook": str})


def cell(value: object) -> str:
    """A value as Markdown shows it: text as it is, four digits of a fraction, nothing of a missing value."""
    text = f"{value:.4f}" if isinstance(value, float) else " ".join(str(value).split())
    return "" if pd.isna(value) else re.sub(r"([\\`*_{}\[\]<>#|~])", r"\\\1", text)


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
    low, high = (rows[end].map("{:.4f}".format) for end in ("ci_low", "ci_high"))
    alone = rows["task"].map(table("07_without_siblings").set_index("task")["accuracy"])
    shown = {"label": rows["task"], "classes": rows["n_classes"].astype("Int64"), "accuracy": rows["accuracy"]}
    shown |= {"± of seeds": rows["std"], "95% interval": low + "-" + high, "macro-F1": rows["macro_f1"]}
    shown |= {"without siblings": alone, "majority class": rows["majority"], "project seed": rows["seed_accuracy"]}
    shown |= {"best published": rows["best_published"]}
    return markdown(pd.DataFrame(shown), bold="accuracy")


def provenance() -> str:
    """What notebook 07 ran, on what, for how long, and where it stays behind."""
    manifest = json.loads((PRODUCTS / "manifest.json").read_text("utf-8"))
    main = table("07_accuracy").query("split == 'random' and model == 'taxonomy'")
    published = pd.read_csv(ROOT / "notebooks" / "references.csv").query("metric == 'macro_f1'")["value"].max()
    mean = main[["accuracy", "best_published", "macro_f1"]].mean().map("{:.4f}".format)
    above = [(main["ci_low"] > main[name]).sum() for name in ("seed_accuracy", "best_published")]
    runs = {n: run for n, run in manifest["notebooks"]["07"]["runs"].items() if n[3:].startswith(("taxonomy_", "wild"))}
    on = {key: ", ".join(of.get("gpus", ())) or of.get("cpu") for key, of in manifest["records"].items()}
    ran = [f"`{n}` (epochs: {r['epochs']}, {r['seconds'] / 60:.0f} min on {on[r['machine']]})" for n, r in runs.items()]
    clear = ", ".join(main.loc[main["ahead_low"] > 0, "task"]) or "none"
    return (
        f"Means of {main['n_seeds'].max():g} seeds; intervals over seeds and {main['n_test'].max():,} test images, all "
        f"above the project seed on {above[0]} of {len(main)} labels, the best published on {above[1]}; with the "
        f"sampling error of that figure, too, clearly for {clear}. Mean accuracy {mean['accuracy']} (published "
        f"{mean['best_published']}), macro-F1 {mean['macro_f1']} ({published:.4f}). Trained: {'; '.join(ran)}."
    )


def verdict(contrasts: pd.DataFrame, inference: pd.DataFrame) -> str:
    """The answer of the study in a sentence, from the planned contrasts and the speeds of notebook 06."""
    rows = contrasts[contrasts["contrast"].str.startswith("H1")]
    names = {"category": "accuracy of the category", "attributes": "mAP of the attributes", "item": "Recall@1"}
    points = rows.replace({"task": names}).assign(**100 * rows[["difference", "ci_low", "ci_high"]])
    said = "{difference:+.1f} points of {task} ({ci_low:+.1f} to {ci_high:+.1f}: {verdict})"
    found = [said.format(**row) for row in points.to_dict("records")]
    speed, n = inference.set_index("what")["images_per_second"], int(rows["n_seeds"].max())
    return (
        "One network that learns all three tasks at once, beside three that saw the same images and learned one each: "
        f"{', '.join(found)}, and {speed['one network'] / speed['three networks']:.1f} times as many photos a second "
        f"({n} seed{'s' * (n > 1)})."
    )


def answer() -> str:
    """The question of the study: the kinds of training on the three tasks."""
    found = table("08_comparison")
    rare = found[found["metric"] == "macro_f1_of_10"].set_index("configuration")["mean"].map("{:.4f}".format)
    found = found[found["metric"] == found["task"].map(MAIN)]
    found["shown"] = found["mean"].map("{:.4f}".format) + found["std"].map(lambda s: f" ± {s:.4f}" if s > 0 else "")
    rows = found.pivot(index="configuration", columns="task", values="shown")
    rows = rows.loc[found["configuration"].unique(), list(MAIN)].rename(columns=NAMES)
    rows.insert(1, "macro-F1", rare)
    rows["million parameters"] = found.groupby("configuration")["parameters"].first().div(1e6).map("{:.1f}".format)
    own = table("04_retrieval").query("metric == 'recall_at_1'").set_index("embedding")["value"].map("{:.4f}".format)
    for name, label in CONTROLS.items():
        rows.loc[label, "retrieval"] = own[name]
    speed = table("06_inference").set_index("what")["images_per_second"].round()
    gaps = pd.concat(table(f"06_{of}_differences") for of in ("length", "replication"))
    gaps = gaps.query("configuration == 'joint' and metric in @MAIN.values()")
    gaps["at"] = " at " + gaps["input_size"].str.strip("[]").str.replace(", ", " x ") + " pixels"
    gaps = gaps.fillna({"at": ""}).groupby(["images_seen", "at"])["difference"]
    gaps = gaps.agg(lambda each: ", ".join(each.mul(100).map("{:+.1f}".format)))
    return (
        f"{markdown(rows.rename_axis('network').reset_index())}\n\nCategory: accuracy, and macro-F1 of classes with "
        "ten test images; attributes: mAP; retrieval: Recall@1; test images of the grouped split; "
        f"{(n := int(found['n_seeds'].max()))} seed{'s, ± their standard deviation' * (n > 1)}. One network answers "
        f"{speed['one network']:g} photos a second, three {speed['three networks']:g}. *Joint* minus single, "
        f"in points, first seed: {'; '.join(f'{of} after {images:,} images{at}' for (images, at), of in gaps.items())}."
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
