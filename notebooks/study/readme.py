"""Renders the blocks ``<!-- name -->`` of README.md from results/products, so that no figure there is typed by hand.
``PYTHONPATH=notebooks python -m study.readme`` rewrites README.md; ``--check`` says whether it is up to date."""

import re
import sys
from pathlib import Path

import pandas as pd

from .thesis import MAIN

ROOT = Path(__file__).resolve().parents[2]
PRODUCTS = ROOT / "results" / "products"
FEATURES, OWN = "ImageNet features", "single-task networks on batches of their own kind"
WHAT = "One network that learns three tasks at once, compared with three that saw the same images and learned one each"
CONTROLS = {"labels alone": "one without the loss of retrieval", FEATURES: f"{FEATURES} before any training"}
NAMES = {"map": "mAP", "recall_at_1": "Recall@1", "item": "retrieval"}
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
    shown = {"label": rows["task"], "classes": rows["n_classes"].astype("Int64"), "accuracy": rows["accuracy"]}
    shown |= {"± of seeds": rows["std"], "95% interval": low + "-" + high, "macro-F1": rows["macro_f1"]}
    shown["without siblings"] = rows["task"].map(table("07_without_siblings").set_index("task")["accuracy"])
    others = {"majority": "majority class", "seed_accuracy": "starting point", "best_published": "best published"}
    shown |= {name: rows[column] for column, name in others.items()}
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
        f"above the starting point on {above[0]} of {len(main)} labels, above the best published on {above[1]}; by "
        f"simultaneous intervals that hold its sampling error, too, on {clear}. Mean accuracy {mean['accuracy']} "
        f"(published {mean['best_published']}), macro-F1 {mean['macro_f1']} ({published:.4f})."
    )


def verdict(contrasts: pd.DataFrame, inference: pd.DataFrame, controls: pd.DataFrame) -> str:
    """The answer of the study, from notebook 06: a sentence, the pre-specified contrasts, each kind of control."""
    rows = contrasts[contrasts["contrast"].str.startswith("H1")].replace({"metric": NAMES, "task": NAMES})
    form = "{verdict} in {task} ({gap:+.1f} points of {metric})"
    found = ", ".join(form.format(gap=100 * row["difference"], **row) for row in rows.to_dict("records"))
    each = [f"{row['task']} {points(row, f'; margin {100 * row.margin:g}')}" for _, row in rows.iterrows()]
    speed, n = inference.set_index("what")["images_per_second"], int(rows["n_seeds"].max())
    own = controls[(controls["metric"] == controls["task"].map(MAIN)) & (controls["configuration"] == "joint")]
    own = own.assign(more=("; seeds: " + own["n_seeds"].astype(str)).where(own["against"] != FEATURES, ""))
    kind = own["against"].map(CONTROLS).fillna(OWN)
    gaps = ", ".join((100 * own.loc[kind == OWN, "difference"]).map("{:+.1f}".format))
    said = f"{speed['one network'] / speed['three networks']:.1f} times as many photos a second, {found}"
    said = [f"{WHAT}: {said}{f'; compared with {OWN}: {gaps} points' if gaps else ''}."]
    said += [f"Pre-specified, {n} seed{'s' * (n > 1)}, paired differences with 95% intervals: {', '.join(each)}."]
    for name, rows in own.groupby(kind, sort=False):
        each = [f"{NAMES.get(row['task'], row['task'])} {points(row, row['more'])}" for _, row in rows.iterrows()]
        said += [f"Exploratory, compared with {name}: {', '.join(each)}."]
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


def points(row: pd.Series, more: str = "") -> str:
    """A difference and its 95% interval, in points, and what ``more`` there is to say of it."""
    return "{:+.1f} ({:+.1f} to {:+.1f}{})".format(*100 * row[["difference", "ci_low", "ci_high"]].astype(float), more)


def robustness() -> str:
    """*Joint* minus single after other trainings, one seed each."""
    gaps = [table(f"06_{of}_differences") for of in ("length", "rate", "replication")]
    gaps = pd.concat([*gaps, table("06_reweighed")])
    gaps = gaps[gaps["configuration"].str.fullmatch("joint(, .*)?") & (gaps["metric"] == gaps["task"].map(MAIN))]
    seen = gaps["images_seen"].fillna(table("06_comparison")["images_seen"].max()).map("{:,.0f}".format)
    size = gaps["input_size"].replace("None", None).str.strip("[]").str.replace(", ", " x ") + " pixels"
    seen += (", " + size.fillna(gaps["replication"])).fillna("") + gaps["configuration"].str.removeprefix("joint")
    gaps["images seen"], gaps["points"] = seen, gaps.apply(points, axis="columns")
    rows = gaps.pivot_table("points", "images seen", "task", aggfunc="first", sort=False)[list(MAIN)]
    spread = table("06_comparison").query("metric in @MAIN.values()").groupby("task")["std"].max()[list(MAIN)]
    luck = f"less than {', '.join((300 * spread).map('{:.1f}'.format))} (three standard deviations) may be luck"
    return f"*Joint* minus single, one seed, in points; {luck}:\n\n{markdown(rows.rename(columns=NAMES).reset_index())}"


def photos() -> str:
    """What the shipped models are worth on photos that people took, of notebook 09."""
    answers = {"any_type": "the most probable type", "types_of_a_class": "the sum over a class's types"}
    found = table("09_people").replace({"answer": answers}).rename(columns={"answer": "class from"})
    n = found.groupby("images")["n"].first()
    found["images"] += found["n"].map(" ({:,})".format)
    form = "{0.accuracy:.3f} ({0.ci_low:.3f} to {0.ci_high:.3f})".format
    rows = found.assign(shown=list(map(form, found.itertuples())))
    rows = rows.pivot(index=["model", "class from"], columns="images", values="shown").reset_index()
    gain = table("09_people_gain").query("images == 'photos of nine classes' and answer == 'types_of_a_class'")
    return (
        "Accuracy with 95% intervals. `tag` answers the most probable type; the sum needs to know each class's types. "
        "Products know nine of the photos' ten classes (no long sleeves), so that at most "
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
