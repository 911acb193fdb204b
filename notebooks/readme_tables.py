"""Renders the tables in README.md from results/, so that no figure there is typed by hand.

python notebooks/readme_tables.py          rewrites README.md
python notebooks/readme_tables.py --check  only says whether it is up to date
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
TABLES = ROOT / "results/products/tables"


def headline() -> str:
    """Accuracy of the main model on the random split, beside the published figures."""
    table = pd.read_csv(TABLES / "07_accuracy.csv")
    main = table[(table["model"] == "taxonomy") & (table["split"] == "random")]
    match = pd.read_csv(TABLES / "07_exact_match.csv").set_index(["model", "split"]).loc[("taxonomy", "random")]
    published = pd.read_csv(ROOT / "notebooks/references.csv").query("metric == 'exact_match'")["value"].max()
    majority = table[(table["model"] == "majority") & (table["split"] == "random")].set_index("task")["accuracy"]
    lines = [
        "| label | classes | accuracy (95% interval) | macro-F1 | majority class | project seed | best published |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in main.itertuples():
        lines.append(
            f"| {row.task} | {row.n_classes} | **{row.accuracy:.4f}** ({row.ci_low:.4f}-{row.ci_high:.4f}) | "
            f"{row.macro_f1:.3f} | {majority[row.task]:.4f} | {row.seed_accuracy:.4f} | {row.best_published:.4f} |"
        )
    interval = f"({match.ci_low:.4f}-{match.ci_high:.4f})"
    lines.append(f"| all seven right | | **{match.exact_match:.4f}** {interval} | | | | {published:.4f} |")
    return "\n".join(lines)


def provenance() -> str:
    """What ran, on what, for how long."""
    manifest = json.loads((ROOT / "results/products/manifest.json").read_text())
    entry = manifest["notebooks"]["07"]
    facts = manifest["artefacts"]["tables/07_accuracy.csv"]
    cycles = [run for name, run in entry["runs"].items() if re.fullmatch(r"07_taxonomy_random(_\d+)?", name)]
    epochs, minutes = sum(run["epochs"] for run in cycles), sum(run["seconds"] for run in cycles) / 60
    main = pd.read_csv(TABLES / "07_accuracy.csv").query("model == 'taxonomy' and split == 'random'")
    images, short = main["n_test"].max(), main.loc[main["accuracy"] <= main["seed_accuracy"], "task"]
    verdict = f"It is above the project seed on {len(main) - len(short)} of {len(main)} labels"
    verdict += f"; it falls short on {' and '.join(short)}." if len(short) else "."
    machine = entry["machine"]
    gpus = ", ".join(machine["gpus"]) or "no GPU"
    return (
        f"{verdict} One seed ({facts['seeds'][0]}), {facts['settings']['backbones']['main']} from scratch at "
        f"60 x 80 pixels, "
        f"{epochs} epochs in {minutes:.0f} minutes on {machine['cores']} cores ({machine['cpu']}, "
        f"{machine['precision']}, {gpus}); {images:,} test images. The intervals are over test images, not over seeds."
    )


def answer() -> str:
    """The question of the study: the kinds of training, and what the staged network is beside those for one task."""
    metric = {"category": "accuracy", "attributes": "map", "item": "recall_at_1"}
    table = pd.read_csv(TABLES / "06_comparison.csv")
    table = table[table["metric"] == table["task"].map(metric)].set_index(["configuration", "task"])
    images = pd.read_csv(TABLES / "06_budget.csv").set_index("configuration")["images_seen"]
    lines = [
        "| network | category: accuracy | attributes: mAP | retrieval: Recall@1 | images seen | parameters |",
        "|---|---|---|---|---|---|",
    ]
    for name in table.index.unique("configuration"):
        rows = table.loc[name]
        cells = [
            f"{rows.loc[task, 'mean']:.4f} ± {rows.loc[task, 'std']:.4f}" if task in rows.index else ""
            for task in metric
        ]
        million = f"{rows['parameters'].iloc[0] / 1e6:.1f} million"
        lines.append(f"| {name} | {' | '.join(cells)} | {images[name]:,.0f} | {million} |")
    speed = pd.read_csv(TABLES / "06_inference.csv").set_index("what")["images_per_second"]
    one, three = speed["one network"], speed["three networks"]
    return "\n".join(
        [
            *lines,
            "",
            f"Means of {table['n_seeds'].max()} seeds, ± their standard deviation. The staged network",
            f"- beside each network for one task: {_beside('06_verdict')};",
            f"- beside networks for one task that are trained as long, one seed: {_beside('06_as_long')};",
            f"- beside the one that learned everything at once: {_beside('06_stages_worth')};",
            f"- with a larger backbone, one seed, the measures in the order above: {_larger(metric)};",
            f"- answers {one:.0f} photos a second, where three networks answer {three:.0f}.",
        ]
    )


def _beside(table: str) -> str:
    """The staged network's differences in points, each with its interval and what it says."""
    rows = pd.read_csv(TABLES / f"{table}.csv").query("configuration == 'staged'")
    said = {"within": "not told apart"}
    return ", ".join(
        f"{row.task.replace('item', 'retrieval')} {100 * row.difference:+.1f} points "
        f"({100 * row.ci_low:+.1f} to {100 * row.ci_high:+.1f}: {said.get(row.verdict, row.verdict)})"
        for row in rows.itertuples()
    )


def _larger(metric: dict[str, str]) -> str:
    """The staged network of each backbone, as they were measured beside each other."""
    rows = pd.read_csv(TABLES / "06_backbones.csv")
    rows = rows[rows["metric"] == rows["task"].map(metric)]
    said = []
    for name, part in list(rows.groupby("configuration", sort=False))[::-1]:
        values = part.set_index("task").loc[list(metric), "mean"]
        minutes = part["train_minutes"].iloc[0]
        said.append(
            f"{name.removeprefix('staged, ')} {', '.join(f'{value:.4f}' for value in values)} ({minutes:.0f} min)"
        )
    return " against ".join(said)


def hours() -> str:
    """How long the photographs take."""
    spent = pd.read_csv(TABLES / "08_training_time.csv")
    machines = "; ".join(
        f"{', '.join(part['notebook'].astype(str).str.zfill(2))} on {cpu} in {precision.removeprefix('torch.')}, "
        f"{threads} thread{'s' if threads > 1 else ''} a training"
        for (cpu, precision, threads), part in spent.groupby(["cpu", "precision", "threads"], sort=False)
    )
    trainings, total = spent["trainings"].sum(), spent["core_hours"].sum()
    took = f"{total:.1f} hours of a core, {total / 2:.1f} hours of two"
    return f"The {trainings} trainings of notebooks 02 to 07 took {took} ({machines})."


def baselines() -> str:
    """The single-task models of the notebooks that have been run on the photographs, each beside what needs no
    training for it."""
    named = {"map": "mAP", "recall_at_1": "Recall@1"}
    lines = ["| task | notebook | split | measure | value (95% interval) | without learning it |", "|---|" + 5 * "---|"]
    for number, task, name, metric, *floors in (
        ("02", "category (article type)", "02_accuracy", "accuracy", "majority class"),
        ("03", "attributes of the product's name", "03_scores", "map", "prior"),
        (
            "04",
            "find the same product line",
            "04_retrieval",
            "recall_at_1",
            "colour histogram",
            "category-trained features",
        ),
    ):
        if not (TABLES / f"{name}.csv").exists():
            lines.append(f"| {task} | {number} | | | not run yet on the photographs | |")
            continue
        table = pd.read_csv(TABLES / f"{name}.csv")
        if "metric" in table:
            table = table[table["metric"] == metric].rename(columns={"value": metric, "embedding": "model"})
        table = table.set_index("model")
        ours = table.loc["triplet embedding" if number == "04" else "single task"]
        interval = f"({ours['ci_low']:.4f}-{ours['ci_high']:.4f})"
        least = ", ".join(f"{name} {table.loc[name, metric]:.4f}" for name in floors)
        value = f"**{ours[metric]:.4f}** {interval}"
        lines.append(f"| {task} | {number} | {ours['split']} | {named.get(metric, metric)} | {value} | {least} |")
    return "\n".join(lines)


def shop() -> str:
    """What notebook 09 measured on the photographs."""
    speed = pd.read_csv(TABLES / "09_tagging_speed.csv").set_index("what").loc["tag_folder"]
    index = pd.read_csv(TABLES / "09_index.csv").iloc[-1]
    growth = pd.read_csv(TABLES / "09_index_growth.csv").pivot(index="items", columns="cost", values="value")
    planted = pd.read_csv(TABLES / "09_planted.csv").query("kind == 'all' and examined == planted").iloc[0]
    seen = pd.read_csv(TABLES / "09_suspects.csv")["verdict"].value_counts()
    moved = pd.read_csv(TABLES / "09_transfer_difference.csv").set_index("metric").loc["accuracy"]
    beyond = "; ".join(
        f"{items / 1e6:.0f} million: {growth.at[items, 'insert_seconds'] / 60:.0f} min, "
        f"{growth.at[items, 'filtered_query_ms'] / 1000:.1f} s, {growth.at[items, 'disk_mb'] / 1000:.1f} GB"
        for items in (10**6, 10**7)
    )
    lines = [
        "| on the photographs | |",
        "|---|---|",
        f"| a folder of JPEG files to parquet, ResNet-50 | {speed.images_per_second:.0f} images/s, "
        f"{speed.ratio_to_bare:.2f} of the bare network |",
        f"| an index of {index['items']:,.0f} items in a folder | filled in {index.insert_seconds:.0f} s, "
        f"filtered query {index.filtered_query_ms:.0f} ms (median), recall@10 {index.filtered_recall:.3f} |",
        f"| the same, extrapolated: fill, filtered query, disk | {beyond} |",
        f"| {planted.planted:,.0f} labels made wrong on purpose | {planted.found:,.0f} of them among the first "
        f"{planted.examined:,.0f} suspects ({planted.precision:.0%}; by chance {planted.chance:.0%}) |",
        f"| the {seen.sum()} most suspicious labels as they are | "
        f"{', '.join(f'{count} {verdict}' for verdict, count in seen.items())} |",
        f"| fine-tuned on another shop's drawn garments | accuracy {moved.difference:+.3f} ({moved.ci_low:+.3f} to "
        f"{moved.ci_high:+.3f}) over training from scratch |",
    ]
    return "\n".join(lines)


def render(text: str) -> str:
    """README.md with every block between ``<!-- name -->`` and ``<!-- /name -->`` made anew."""
    for block in (answer, headline, provenance, baselines, hours, shop):
        name = block.__name__
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not pattern.search(text):
            raise SystemExit(f"README.md: no block {name!r}")
        text = pattern.sub(lambda found, block=block: f"{found[1]}{block()}\n{found[2]}", text)
    return text


if __name__ == "__main__":
    readme = ROOT / "README.md"
    old = readme.read_text(encoding="utf-8")
    new = render(old)
    if "--check" in sys.argv[1:]:
        sys.exit(0 if new == old else "README.md is not up to date: run python notebooks/readme_tables.py")
    readme.write_text(new, encoding="utf-8")
