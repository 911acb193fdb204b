"""Renders the blocks ``<!-- name -->`` of README.md from results/products, so that no figure there is typed by hand.
``PYTHONPATH=notebooks python -m study.readme`` rewrites README.md; ``--check`` says whether it is up to date."""

import re
import sys
from pathlib import Path

import pandas as pd

from .thesis import MAIN

ROOT = Path(__file__).resolve().parents[2]
PRODUCTS = ROOT / "results" / "products"
FEATURES, OWN = "ImageNet features", "single-task networks on their own batches"
CONTROLS = {"labels alone": "one without the loss of retrieval", FEATURES: f"{FEATURES} before any training"}
NAMES = {"map": "mAP", "recall_at_1": "Recall@1", "item": "retrieval"}
VERDICTS = {"inferior": "worse by more than the margin of", "inconclusive": "inconclusive at the margin of"}
VERDICTS |= {"not inferior": "non-inferior at the margin of"}
ANSWER = "06_contrasts", "06_inference", "06_control_differences"  # the tables that ``verdict`` reads


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
    shown |= {"without siblings": alone, "majority class": rows["majority"], "starting point": rows["seed_accuracy"]}
    shown |= {"best published": rows["best_published"]}
    return markdown(pd.DataFrame(shown), bold="accuracy")


def provenance() -> str:
    """What the figures of notebook 07 are, and where it is ahead and behind."""
    main = table("07_accuracy").query("split == 'random' and model == 'taxonomy'")
    published = pd.read_csv(ROOT / "notebooks" / "references.csv").query("metric == 'macro_f1'")["value"].max()
    mean = main[["accuracy", "best_published", "macro_f1"]].mean().map("{:.4f}".format)
    above = [(main["ci_low"] > main[name]).sum() for name in ("seed_accuracy", "best_published")]
    clear = ", ".join(main.loc[main["ahead_low"] > 0, "task"]) or "none"
    return (
        f"Means of {main['n_seeds'].max():g} seeds, intervals over these and {main['n_test'].max():,} test images: "
        f"above the starting point on {above[0]} of {len(main)} labels, above the best published on {above[1]}; with "
        f"its sampling error and all labels together, on {clear}. Mean accuracy {mean['accuracy']} (published "
        f"{mean['best_published']}), macro-F1 {mean['macro_f1']} ({published:.4f})."
    )


def verdict(contrasts: pd.DataFrame, inference: pd.DataFrame, controls: pd.DataFrame) -> str:
    """The answer of the study, from notebook 06, in lines: the planned contrasts, the speed, each kind of control."""
    rows = contrasts[contrasts["contrast"].str.startswith("H1")]
    rows = rows.assign(**100 * rows[["difference", "ci_low", "ci_high", "margin"]])
    rows = rows.replace({"verdict": VERDICTS, "metric": NAMES, "task": NAMES})
    form = "{task} {difference:+.1f} points of {metric} ({ci_low:+.1f} to {ci_high:+.1f}), {verdict} {margin:g}"
    found = [form.format(**row) for row in rows.to_dict("records")]
    speed, n = inference.set_index("what")["images_per_second"], int(rows["n_seeds"].max())
    own = controls[(controls["metric"] == controls["task"].map(MAIN)) & (controls["configuration"] == "joint")]
    seen = "One network that learns three tasks at once, beside three that saw the same images and learned one each: "
    said = [f"{seen}{'; '.join(found)} ({n} seed{'s' * (n > 1)}; paired differences with 95% intervals)."]
    said += [f"It answers {speed['one network'] / speed['three networks']:.1f} times as many photos a second."]
    for name, gaps in own.groupby(own["against"].map(CONTROLS).fillna(OWN), sort=False):
        each = ", ".join(f"{NAMES.get(row['task'], row['task'])} {points(row)}" for _, row in gaps.iterrows())
        said += [f"Against {name}, not planned: {each} points."]
    return "\n".join(said)


def answer() -> str:
    """The question of the study: the kinds of training on the three tasks."""
    found = pd.concat([table("06_comparison"), table("06_controls")])
    most = found["n_seeds"].max()
    fewer = found["n_seeds"].where((found["n_seeds"] < most) & (found["configuration"] != FEATURES))
    found["configuration"] += fewer.map(lambda n: f" ({n:g} seed{'s' * (n > 1)})", na_action="ignore").fillna("")
    found["shown"] = found["mean"].map("{:.4f}".format) + found["std"].map(lambda s: f" ± {s:.4f}" if s > 0 else "")
    rare = found[found["metric"] == "macro_f1_of_10"].set_index("configuration")["shown"]
    found = found[found["metric"] == found["task"].map(MAIN)]
    rows = found.pivot(index="configuration", columns="task", values="shown")
    rows = rows.loc[found["configuration"].unique(), list(MAIN)].rename(columns=NAMES)
    rows.insert(1, "macro-F1", rare)
    rows["million parameters"] = found.groupby("configuration")["parameters"].first().div(1e6).map("{:.1f}".format)
    return (
        f"{markdown(rows.rename_axis('network').reset_index())}\n\nCategory: accuracy over "
        f"{table('02_class_balance')['classes'].iloc[0]} article types, and macro-F1 of those with at least ten test "
        f"images; attributes: mAP over {table('03_groups')['attributes'].sum()} colours and words of product names; "
        f"retrieval: Recall@1. Grouped split, {most:g} seeds, ± their standard deviation."
    )


def points(row: pd.Series) -> str:
    """A difference and its 95% interval, in points."""
    return "{:+.1f} ({:+.1f} to {:+.1f})".format(*100 * row[["difference", "ci_low", "ci_high"]].astype(float))


def robustness() -> str:
    """*Joint* minus single after other trainings, one seed each."""
    gaps = pd.concat(table(f"06_{of}") for of in ("length_differences", "replication_differences", "reweighed"))
    gaps = gaps[gaps["configuration"].str.fullmatch("joint(, .*)?") & (gaps["metric"] == gaps["task"].map(MAIN))]
    seen = gaps["images_seen"].fillna(table("06_comparison")["images_seen"].max()).map("{:,.0f}".format)
    size = gaps["input_size"].replace("None", None).str.strip("[]").str.replace(", ", " x ") + " pixels"
    seen += (", " + size.fillna(gaps["replication"])).fillna("") + gaps["configuration"].str.removeprefix("joint")
    gaps["images seen"], gaps["points"] = seen, gaps.apply(points, axis="columns")
    rows = gaps.pivot_table("points", "images seen", "task", aggfunc="first", sort=False)[list(MAIN)]
    return f"*Joint* minus single, one seed, in points:\n\n{markdown(rows.rename(columns=NAMES).reset_index())}"


def photos() -> str:
    """What the shipped models are worth on photos that people took, of notebook 09."""
    answers = {"any_type": "the most probable type", "types_of_a_class": "the sum over a class's types"}
    found = table("09_people").replace({"answer": answers}).rename(columns={"answer": "class from"})
    n = found.groupby("images")["n"].first()
    found["images"] += found["n"].map(" ({:,})".format)
    values = found[["accuracy", "ci_low", "ci_high"]].to_numpy()
    found["shown"] = ["{:.3f} ({:.3f} to {:.3f})".format(*row) for row in values]
    rows = found.pivot(index=["model", "class from"], columns="images", values="shown").reset_index()
    gain = table("09_people_gain").query("images == 'photos of nine classes' and answer == 'types_of_a_class'")
    return (
        "Accuracy with 95% intervals. Products know nine of the photos' ten classes (no long sleeves), so that at most "
        f"{n['photos of nine classes']} of {n['photos people took']} can be right:\n\n{markdown(rows)}\n\nThe second "
        f"minus the first, paired by photo (nine classes, sum over types): {points(gain.iloc[0])} points."
    )


def render(text: str) -> str:
    """README.md with every block made anew. Raises ``KeyError`` for one that nothing renders."""
    blocks = {block.__name__: block for block in (answer, headline, photos, provenance, robustness)}
    blocks["finding"] = lambda: f"**{verdict(*map(table, ANSWER))}".replace("\n", "\n- ").replace("\n", "**\n\n", 1)
    pattern = re.compile(r"(<!-- (\w+) -->\n).*?(<!-- /\2 -->)", re.DOTALL)
    return pattern.sub(lambda found: f"{found[1]}{blocks[found[2]]()}\n{found[3]}", text)


if __name__ == "__main__":
    README = ROOT / "README.md"
    new = render(old := README.read_text(encoding="utf-8"))
    if "--check" not in sys.argv:
        README.write_text(new, encoding="utf-8")
    elif new != old:
        sys.exit("README.md is not up to date: PYTHONPATH=notebooks python -m study.readme")
