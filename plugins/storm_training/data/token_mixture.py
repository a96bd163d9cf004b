"""The component `token_mixture`: several token sets in one, in declared shares of tokens."""

from __future__ import annotations

import dataclasses

from omegaconf import II

from storm_exp import InputError, SettingError, StageContext, component, setting
from storm_training.data.token_set import DOCUMENTS, PREFERENCES, TokenSet, TokenSetSpec

_REHEARSED = 20_000
"""Most tokens of a rehearsal."""


@component("tokens", "token_mixture", version=1)
class TokenMixture:
    """Draws whole examples from each part until its share of the tokens is reached.

    Shares are of tokens, not of examples; the realised shares are recorded. A part that is too
    small for its share is repeated, and a message says how often. Nothing is copied: the mixture
    refers to its parts. Validation splits are concatenated whole.
    """

    shares: list[float] = setting([], above=0)
    """A weight for each part, in the order of the port: 0.7 and 0.3, or 7 and 3."""
    tokens: int | None = setting(None, at_least=1)
    """Tokens of the mixture; null: as many as the parts give without repeating an example."""
    seed: int = II("seed")
    """Seed of the draw."""

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        if not self.shares:
            raise SettingError("shares", self.shares, "needs a weight for every part")

    def plan_spec(self, parts: list[TokenSetSpec]) -> TokenSetSpec:
        """Return kind and tokens; raises InputError for parts that do not fit together."""
        self._check(len(parts), [part.kind for part in parts], [part.tokenizer for part in parts])
        return TokenSetSpec(
            kind=_kind([part.kind for part in parts]),
            tokenizer=next((part.tokenizer for part in parts if part.tokenizer), None),
            tokens={"train": self.tokens} if self.tokens else None,
        )

    def rehearsal(self) -> TokenMixture:
        """Return the mixture with few tokens."""
        return dataclasses.replace(self, tokens=self.tokens and min(self.tokens, _REHEARSED))

    def run(self, stage: StageContext, parts: list[TokenSet]) -> TokenSet:
        """Draw the examples, and write their spans."""
        import numpy as np

        from storm_training.data.mixing import draw, join
        from storm_training.data.token_writer import write_content

        contents = [part.content() for part in parts]
        kinds = [content["kind"] for content in contents]
        self._check(len(parts), kinds, [content["tokenizer"] for content in contents])
        if any(content["parts"] for content in contents):
            raise InputError("a mixture of mixtures: mix their parts, with the products of shares")
        train = [part.sequences("train") for part in parts]
        lengths = [sequences.lengths() for sequences in train]
        drawn = draw(lengths, self.shares, self.tokens, self.seed)
        shares = np.array(self.shares) / sum(self.shares)
        realised = drawn.tokens / drawn.tokens.sum()
        for number, part in enumerate(parts):
            stage.reference(part)
            stage.say(
                f"part {number + 1}: {realised[number]:.1%} of the tokens (declared "
                f"{shares[number]:.1%}), gone through {drawn.passes[number]:.2f} times"
            )
            stage.metric(f"share_{number + 1}", float(realised[number]))
        stage.metric("tokens", float(drawn.tokens.sum()), main=True)
        stage.metric("largest_deviation", float(abs(realised - shares).max()))
        splits = {"train": join(stage.directory, "train", train, drawn.examples)}
        if any(part.count("validation") for part in parts):
            held_out = [p.sequences("validation") if p.count("validation") else None for p in parts]
            indices = [np.arange(len(sequences) if sequences else 0) for sequences in held_out]
            splits["validation"] = join(stage.directory, "validation", held_out, indices)
        return write_content(
            stage.directory,
            _kind(kinds),
            contents[0]["tokenizer"],
            splits,
            parts=[part.key for part in parts],
            shares={"declared": shares.tolist(), "realised": realised.tolist()},
        )

    def _check(self, count: int, kinds: list[str], tokenizers: list[str | None]) -> None:
        if count != len(self.shares):
            raise SettingError("shares", self.shares, f"there are {count} parts: one weight each")
        if PREFERENCES in kinds:
            number = kinds.index(PREFERENCES) + 1
            raise InputError(f"part {number} holds preference pairs: mix chats or documents")
        if len({digest for digest in tokenizers if digest}) > 1:
            raise InputError("the parts were tokenised with different tokenizers")


def _kind(kinds: list[str]) -> str:
    return kinds[0] if len(set(kinds)) == 1 else DOCUMENTS
