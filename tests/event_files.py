"""Reading of the event files that TensorBoard shows."""

from __future__ import annotations

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return the scalars of event files by tag, as steps and values."""
    events = EventAccumulator(str(folder)).Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def text(folder: Path, tag: str) -> str:
    """Return a text of event files."""
    events = EventAccumulator(str(folder)).Reload()
    (event,) = events.Tensors(tag)
    return event.tensor_proto.string_val[0].decode()
