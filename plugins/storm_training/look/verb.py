"""The verb `look`. Heavy imports are in functions: the module is imported with the plugin."""

from __future__ import annotations

import argparse
import dataclasses
import io
import itertools
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from storm_exp import InputError

if TYPE_CHECKING:
    from storm_report.look.listing import Example, Listing

_ROWS, _ROWS_OF_RUN = 5, 2


def look(arguments: list[str]) -> int:
    """Show data as training sees it."""
    from storm_inference.targets.claimed import claimed

    options = _read(arguments)
    if options is None:
        return 0
    page = _page_file(options.page)
    store = Path(options.store)
    words = [word for word in (options.what, options.model) if word]
    with claimed("look", store, *words):
        return _look(arguments, options, page)


def _look(arguments: list[str], options: argparse.Namespace, page: Path | None) -> int:
    from storm_report.controls import escape_controls
    from storm_report.look.view import Choice
    from storm_training.look.subjects import find_model, find_subjects

    store = Path(options.store)
    found = find_subjects(options.what, store)
    choice = Choice(
        split=options.split,
        dropped=options.dropped,
        first=(options.row or 1) - 1,
        model=find_model(options.model, store) if options.model else None,
    )
    rows = options.rows or (1 if options.row else _ROWS if len(found.viewed) == 1 else _ROWS_OF_RUN)
    listings = [each.view.show(each.subjects, choice) for each in found.viewed]
    if options.json:
        return _print_objects(listings, rows, options, found.gone)
    if page is None:
        _print(listings, rows, options)
    else:
        command = shlex.join(["storm-exp", "look", *arguments])
        _write(page, found.title, command, listings, rows, options)
    if found.gone:
        print(f"\nno longer in the store: {escape_controls(', '.join(found.gone))}")
    return 0


def _read(arguments: list[str]) -> argparse.Namespace | None:
    from storm_inference.targets.options import OptionParser, positive
    from storm_inference.targets.target import LATEST, STORE

    parser = OptionParser(
        "look",
        "Show data as training sees it: rows, tokens with the loss mask, packed rows, and answers.",
        "CHATS.jsonl --dropped",
        "tokens --row 3 --ids",
        "finetuner",
        "--page run.html",
    )
    add = parser.add_argument
    add(
        "what",
        nargs="?",
        default=str(LATEST),
        help="a stage of the latest run, the first digits of a key, a run's folder, or a file or "
        f"folder of rows (default: {LATEST})",
    )
    add("--rows", type=positive, metavar="N", help="how many rows (default: 5; 2 of every stage)")
    add("--row", type=positive, metavar="N", help="begin with row N, counted from 1")
    add("--search", metavar="TEXT", help="only rows that contain the text, whatever the case")
    add("--dropped", action="store_true", help="rows that were left out, with the reasons")
    add("--split", default="train", metavar="NAME", help="the split (default: train)")
    add("--model", metavar="MODEL", help="show rows as tokens of this model, by its chat template")
    add("--ids", action="store_true", help="a line per token, with position and id")
    add("--full", action="store_true", help="show rows of any length")
    add("--page", metavar="FILE", help="write a page, FILE.html, instead of text")
    add("--json", action="store_true", help="print one JSON object, with the rows of each listing")
    add("--store", metavar="DIR", default=str(STORE), help=f"store of keys (default: {STORE})")
    return parser.read(arguments)


def _page_file(name: str | None) -> Path | None:
    if name is None:
        return None
    file = Path(name).expanduser()
    if file.suffix not in (".html", ".htm"):
        raise InputError(f"--page {name}: the page is HTML; name it, for example, {file.stem}.html")
    if not file.parent.is_dir():
        raise InputError(f"--page {name}: there is no folder {file.parent}")
    return file


def _chosen(listing: Listing, rows: int, search: str | None) -> Iterator[Example]:
    found = (e for e in listing.examples if search is None or e.contains(search))
    return itertools.islice(found, rows)


def _nothing(options: argparse.Namespace) -> str:
    if options.search is not None:
        return f"no row contains {options.search!r}"
    kind = "rows that were left out" if options.dropped else "rows"
    return f"no {kind}" + (f" from number {options.row} on" if options.row else "")


def _print_objects(
    listings: list[Listing], rows: int, options: argparse.Namespace, gone: list[str]
) -> int:
    from storm_exp import Answer

    items = [
        {
            "title": listing.title,
            "facts": listing.facts,
            "left_out": listing.left_out,
            "rows": [dataclasses.asdict(row) for row in _chosen(listing, rows, options.search)],
        }
        for listing in listings
    ]
    notes = [f"no longer in the store: {name}" for name in gone]
    return Answer("look", items, notes=notes).print(["--json"])


def _print(listings: list[Listing], rows: int, options: argparse.Namespace) -> None:
    from storm_report.look.plain import PlainText

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    text = PlainText(coloured=coloured, whole=options.full, ids=options.ids)
    for number, listing in enumerate(listings):
        if number:
            print()
        for line in text.head(listing):
            print(line)
        shown = 0
        for example in _chosen(listing, rows, options.search):
            shown += 1
            for line in text.example(example):
                print(line)
        if not shown:
            print(f"\n{_nothing(options)}")


def _write(
    file: Path,
    title: str,
    command: str,
    listings: list[Listing],
    rows: int,
    options: argparse.Namespace,
) -> None:
    from markupsafe import Markup

    from storm_report.look.markup import listing_markup
    from storm_report.look.page import write_look_page
    from storm_report.look.plain import LONGEST

    longest = None if options.full else LONGEST
    sections = []
    for listing in listings:
        examples = list(_chosen(listing, rows, options.search))
        html = listing_markup(listing, examples, longest)
        if not examples:
            html += Markup("<p>{}</p>").format(_nothing(options))
        sections.append((listing.title, html))
    try:
        write_look_page(file, title, command, sections)
    except OSError as error:
        raise InputError(f"--page {file}: cannot be written ({error})") from error
    print(f"written: {file}")
