"""The oddities that only the engine's own tests need, beside the toys of `storm_exp.testing`."""

from storm_exp import hookimpl

storm_api = ">=1,<2"


@hookimpl
def storm_components() -> list[type]:
    """Return the components of this plugin."""
    from storm_toys import adders, faulty, memos, payloads, rehearsals, sources, workers

    return [
        sources.Settled,
        sources.FromNested,
        sources.Adopted,
        sources.Linked,
        sources.Unavailable,
        adders.Costly,
        adders.OfUnknownLength,
        adders.Counting,
        adders.Patient,
        faulty.PlansOtherwise,
        memos.Remembering,
        payloads.Storing,
        payloads.Referring,
        workers.SharedOut,
        workers.Elsewhere,
        rehearsals.StandIn,
        rehearsals.Large,
        rehearsals.Proportional,
        rehearsals.BadlyRehearsed,
    ]
