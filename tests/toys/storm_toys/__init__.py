"""A plugin that computes with numbers in JSON files."""

from pathlib import Path

from storm_exp import hookimpl


@hookimpl
def storm_components() -> list[type]:
    """Return the components of this plugin."""
    from storm_toys import adders, rehearsals, sources, totals, workers

    return [
        sources.Number,
        sources.Drawn,
        sources.Settled,
        sources.FromFile,
        sources.FromNested,
        sources.Adopted,
        sources.Linked,
        sources.Unavailable,
        sources.Word,
        adders.Add,
        adders.Costly,
        adders.OfUnknownLength,
        adders.Weighted,
        adders.Fussy,
        adders.Slow,
        adders.Counting,
        adders.Patient,
        workers.SharedOut,
        workers.Elsewhere,
        totals.Collect,
        rehearsals.StandIn,
        rehearsals.Large,
        rehearsals.Proportional,
        rehearsals.BadlyRehearsed,
    ]


@hookimpl
def storm_config_folder() -> str:
    """Return the folder with presets."""
    return str(Path(__file__).parent / "conf")
