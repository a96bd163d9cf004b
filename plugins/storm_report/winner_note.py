"""Which cell of a sweep has the best figure, where its model is, and what writes its weights."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from storm_exp.report import RunRecord
from storm_report.cell_names import cell_name, seedless_settings
from storm_report.interim import without_interim
from storm_report.markup import number
from storm_report.run_table import groups
from storm_report.whereabouts import command_of, find_winner


def winner_note(record: RunRecord) -> Markup:
    """Return the winner of a sweep in words, or why there is none."""
    winner = "" if record.rehearsal else find_winner(record)
    if isinstance(winner, str):
        text = Markup("<p class='note'>No cell wins: {}.</p>")
        return text.format(winner) if winner else Markup()
    place = next(n for n, cell in enumerate(record.cells) if cell is winner.cell)
    group, seeds = next(
        (n, len(cells)) for n, (_, cells) in enumerate(groups(record)) if cells[0] is winner.cell
    )
    over = f", a mean over {seeds} seeds" if seeds > 1 else ""
    whose = " of the first seed" if seeds > 1 else ""
    folder = record.cell_folders()[place]
    models = [s.label for s in without_interim(winner.cell) if s.shown_as and s.is_whole]
    where = ", ".join(str(Path(folder, label)) for label in models[-1:])
    return Markup(
        "<p class='lead'><strong>{} has the {} {}: {}</strong>{}. The best figure need not be "
        "that of the best model: see the intervals.</p>\n<p class='note'>Its model{}: "
        "<code>{}</code>, beside this page. This writes the weights into files:"
        "</p>\n<pre class='command'>{}</pre>"
    ).format(
        cell_name(seedless_settings(record)[group]),
        winner.direction,
        winner.column,
        number(winner.value),
        over,
        whose,
        where or folder,
        command_of(record, winner.cell),
    )
