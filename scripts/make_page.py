"""One page of all results of a data set, for any browser, offline: verdict, tables, figures, interactive charts.

Every number of the verdict is a link to the cell of the CSV file that it comes from. The page shows what is there and
says what is missing. Its links lead to files beside it, so it stays in the folder of the data set.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rnnids import cli
from rnnids.errors import InputError
from rnnids.reporting.results import Results
from rnnids.reporting.results_page import read_parts, results_page
from rnnids.storage import atomic_path

PARTS = Path(__file__).resolve().parent / "page"
SHOWN = (".csv", ".html", ".tex", ".pdf", ".svg", ".png")


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--files",
        nargs="*",
        default=[],
        type=Path,
        help="results to show; none: all that lie in the folder of --output",
    )
    parser.add_argument("--captions", default="", help="folder with captions of the figures (*.rst); empty: none")
    parser.add_argument("--settings", nargs="*", default=[], help="KEY=VALUE that captions name")
    parser.add_argument("--dataset", default="", help="its name; empty: that of the folder of --output")
    parser.add_argument("--output", required=True, type=Path, help="output: the page (HTML), in the data set's folder")
    args = parser.parse_args(argv)
    args.dataset = args.dataset or args.output.resolve().parent.name
    return args


def listed(files: Sequence[Path], folder: Path) -> dict[str, Path]:
    """{path below `folder`: file} of all files that a page can show.

    Raises:
        InputError: a file lies elsewhere, so that no link of the page would lead to it once it is moved.
    """
    folder = folder.resolve()
    found = {}
    for file in files:
        if not file.resolve().is_relative_to(folder):
            raise InputError(f"{file}: lies outside {folder}; give --output and --files of one data set")
        if file.suffix in SHOWN and file.is_file():
            found[file.resolve().relative_to(folder).as_posix()] = file
    return found


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    folder = args.output.resolve().parent
    files = args.files or [path for path in sorted(folder.rglob("*")) if path != args.output.resolve()]
    captions = (
        {path.stem: path.read_text(encoding="utf-8") for path in sorted(Path(args.captions).glob("*.rst"))}
        if args.captions
        else {}
    )
    settings = dict(pair.split("=", 1) for pair in args.settings)
    page = results_page(
        Results(listed(files, folder)), args.dataset, parts=read_parts(PARTS), captions=captions, settings=settings
    )
    with atomic_path(args.output) as path:
        path.write_text(page, encoding="utf-8")
    cli.tell("page of %s: %s", args.dataset, args.output)


if __name__ == "__main__":
    cli.run(main)
