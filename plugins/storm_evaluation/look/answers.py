"""Documents with the answers of all models, side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from storm_evaluation.evaluation import Evaluation
from storm_evaluation.sample import Sample
from storm_report.look.listing import Example, Part


@dataclasses.dataclass(frozen=True)
class Answered:
    """A document and the samples of the models that were asked it, by their names."""

    samples: dict[str, Sample]

    @property
    def document(self) -> Sample:
        """One of the samples: prompt and target are the same in all."""
        return next(iter(self.samples.values()))

    def differs(self) -> bool:
        """Return whether the models' scores differ."""
        return len({sample.score for sample in self.samples.values()}) > 1

    def example(self, number: int) -> Example:
        """Return the prompt, the expected answer and the models' answers as an example."""
        document = self.document
        name = document.subtask or document.task
        parts = [Part.of_text("prompt", document.prompt)] if document.prompt else []
        if document.target:
            parts.append(Part.of_text("expected", document.target))
        parts += [
            Part.of_text(model, sample.prediction, f"score {sample.score:.4g}", beside=True)
            for model, sample in self.samples.items()
        ]
        return Example(f"document {number:,} · {name}", parts)


def answered(evaluations: Sequence[tuple[str, Evaluation]]) -> Iterator[Answered]:
    """Yield the documents with answers, in the order of the first model that was asked each."""
    by_document: dict[tuple[str, str], dict[str, Sample]] = {}
    for name, evaluation in evaluations:
        for sample in evaluation.samples():
            if sample.prediction:
                by_document.setdefault((sample.task, sample.document), {})[name] = sample
    yield from map(Answered, by_document.values())
