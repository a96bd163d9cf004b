"""Components that run in processes of their own."""

import dataclasses
import os
import time
import zlib

from storm_exp import InputError, StageContext, component, setting
from storm_exp.testing.toys import Value, write_value
from storm_toys.sources import Inner, Shape


@component("adder", "shared_out", version=1)
class SharedOut:
    """The number plus an amount, to which each of several workers adds its share."""

    distributed = True

    amount: float = 12.0
    fails_at: int = setting(-1, semantic=False)
    """A worker that raises, while the others wait for it."""
    hangs_at: int = setting(-1, semantic=False)
    """A worker for which the others wait for ever."""
    dies_at: int = setting(-1, semantic=False)
    """A worker that is killed."""

    def run(self, stage: StageContext, number: Value) -> Value:
        (stage.scratch / f"pid-{stage.rank}").write_text(str(os.getpid()), encoding="utf-8")
        stage.say(f"worker {stage.rank} of {stage.world}")
        if stage.rank == self.fails_at:
            raise ArithmeticError("that is too much")
        if stage.rank == self.dies_at:
            os.abort()
        try:
            while stage.rank == self.hangs_at:
                (stage.scratch / "hangs").touch()
                time.sleep(0.01)
        except KeyboardInterrupt:
            (stage.scratch / "kept").touch()
            raise
        shares = [stage.scratch / f"share-{rank}" for rank in range(stage.world)]
        (shares[stage.rank]).write_text(str(self.amount / stage.world), encoding="utf-8")
        while not all(share.exists() and share.read_text("utf-8") for share in shares):
            time.sleep(0.01)
        stage.metric("rank", stage.rank)
        if stage.rank > 0:
            return Value(stage.directory)
        return write_value(stage, number.read() + sum(float(s.read_text("utf-8")) for s in shares))


@component("adder", "elsewhere", version=1)
class Elsewhere:
    """A number that tells its settings, made in processes of its own."""

    distributed: bool = setting(False, semantic=False)
    limit: float = 1e9
    title: str | None = "\\${HOME}"
    nothing: str | None = None
    shape: Shape = Shape.SQUARE
    parts: list[int] = setting([1, 2])
    weights: dict[str, list[float]] = setting({"x": [1.0, 0.5]})
    inner: Inner = setting(Inner)

    def run(self, stage: StageContext, number: Value) -> Value:
        if number.read() > self.limit:
            raise InputError("the number is above the limit", limit=self.limit)
        settings = dataclasses.replace(self, distributed=False)
        return write_value(stage, float(zlib.crc32(repr(settings).encode())))
