"""The view of token sets: every example as tokens, before it is packed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from storm_report.look.listing import Example, Listing
from storm_report.look.view import Choice, Subject
from storm_training.data.examples_file import LEGEND
from storm_training.data.token_set import PREFERENCES, SIDES, TokenSet

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from storm_training.data.token_sequences import TokenSequences


class TokenSetView:
    """Shows the tokens of examples, coloured by the loss mask, or the rows that were left out."""

    together = False

    def opens(self, place: Path) -> bool:
        """Return whether the folder has a token set."""
        return (place / "tokens.json").is_file()

    def show(self, subjects: Sequence[Subject], choice: Choice) -> Listing:
        """Return the listing of a split; raises InputError for an unknown one."""
        from storm_training.look.left_out import left_out_rows
        from storm_training.look.tokenizer_of import tokenizer_of

        (subject,) = subjects
        tokens = TokenSet(subject.place)
        content, sequences = tokens.content(), tokens.sequences(choice.split)
        tokenizer, note = tokenizer_of(subject, choice, content["tokenizer"])
        counts = content["splits"][choice.split]
        facts = [
            f"{counts['examples']:,} {content['kind']}, {counts['tokens']:,} tokens, of which the "
            f"loss counts {counts['supervised']:,}; the longest has {counts['longest']:,}"
        ]
        titles = SIDES if content["kind"] == PREFERENCES else (content["kind"].rstrip("s"),)
        examples = _examples(tokenizer, sequences, titles, choice.first)
        if choice.dropped:
            found = left_out_rows(subject, choice.split)
            examples = (row for number, row in enumerate(found) if number >= choice.first)
        return Listing(
            f"{subject.name} · {choice.split}" + " · rows left out" * choice.dropped,
            facts + ([note] if note else []),
            examples,
            tokens.dropped(choice.split),
            "" if choice.dropped else LEGEND,
        )


def _examples(
    tokenizer: PreTrainedTokenizerBase | None,
    sequences: TokenSequences,
    titles: Sequence[str],
    first: int,
) -> Iterator[Example]:
    from storm_training.data.token_parts import token_part

    for number in range(first, len(sequences)):
        parts = [
            token_part(tokenizer, input_ids, loss_mask, title)
            for title, (input_ids, loss_mask) in zip(titles, sequences.example(number), strict=True)
        ]
        yield Example(f"example {number + 1:,}", parts)
