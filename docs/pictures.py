"""Draw the pictures of README.md from tables that lie in docs/pictures, after taking them from results if asked.

`make pictures` takes them from results/lab. The tables are rounded, so that they stay small; a test draws the pictures
anew and compares.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

DOCS = Path(__file__).resolve().parent
TABLES = DOCS / "pictures"
sys.path.insert(0, str(DOCS.parent / "scripts"))

# Picture -> script, and its tables by option: paths below results/DATASET and, zipped where large, below docs/pictures.
PICTURES = {
    "fig2": ("plot_fig2", {"summary": "baseline/attacks/cw/summary.csv"}),
    "fig3": ("plot_fig3", {"recall": "baseline/recall.csv", "ars": "baseline/ars.csv"}),
    "fig8": (
        "plot_fig8",
        {
            "dependence": "baseline/explanations/sequential_pdp.csv.gz",
            "means": "baseline/explanations/sequential_means.csv",
        },
    ),
}
DIGITS = 4  # of numbers in the tables


def tables() -> list[str]:
    """Paths of the tables of all pictures."""
    return sorted({path for _, tables in PICTURES.values() for path in tables.values()})


def take_tables(results: Path, folder: Path) -> None:
    """Copy the tables of all pictures from the results of a data set into a folder, rounded."""
    for path in tables():
        table = pd.read_csv(results / path.removesuffix(".gz"), keep_default_na=False, na_values=[""])
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        zipped = {"method": "gzip", "mtime": 0} if path.endswith(".gz") else None
        table.to_csv(target, index=False, float_format=f"%.{DIGITS}g", compression=zipped)


def draw(name: str, folder: Path) -> Path:
    """Draw a picture into a folder; the path of its PNG."""
    script, tables = PICTURES[name]
    words = [word for option, path in tables.items() for word in (f"--{option}", str(TABLES / path))]
    files = {kind: folder / f"{name}.{kind}" for kind in ("pdf", "svg", "png")}
    module = __import__(script)
    module.main([*words, "--output", str(files["pdf"]), "--svg", str(files["svg"]), "--png", str(files["png"])])
    return files["png"]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, help="take the tables from these results first, as results/lab")
    args = parser.parse_args(argv)
    if args.results:
        take_tables(args.results, TABLES)
    for name in PICTURES:
        picture = draw(name, DOCS)
        for kind in ("pdf", "svg"):
            picture.with_suffix(f".{kind}").unlink()


if __name__ == "__main__":
    main()
