"""The verb `compare`. What it needs is imported in it: this is imported with the plugin."""

from __future__ import annotations

from storm_exp import Answer


def compare(arguments: list[str]) -> int:
    """Tell what differs between two runs, cells or artifacts.

    usage: storm-exp compare A B [--margin 0.02] [--json] [outputs=DIR]

    Each is a run (`latest`, a name, a folder, a part of a folder's name), the folder of a cell of a
    sweep, a stage of the latest run, or the first digits of an artifact's key. Told are settings,
    from which stage on artifacts differ, which rows entered or left data, scores with intervals
    paired by question, and which questions flipped. The terminal shows a part; --json has all.

    for example:
        storm-exp compare latest my-run
        storm-exp compare base_model merger
    """
    from storm_evaluation.side_by_side.differences import find_differences
    from storm_evaluation.side_by_side.lines import lines
    from storm_evaluation.side_by_side.side import find_side
    from storm_evaluation.side_by_side.words import read_words

    words = read_words(arguments)
    first, second = (find_side(word, words.outputs) for word in words.names)
    found = find_differences(first, second, words.margin)
    return Answer("compare", [found.to_json()], lines(found)).print(arguments)
