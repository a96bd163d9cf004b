"""The component `token_mixture`: several token sets as one, in declared shares of tokens."""

from __future__ import annotations

import dataclasses

from omegaconf import II

from storm_exp import InputError, SettingError, StageContext, component, setting
from storm_training.data.token_set import DOCUMENTS, PREFERENCES, TokenSet, TokenSetSpec

_REHEARSED = 20_000
"""Tokens of a rehearsal, at most."""


@component("tokens", "token_mixture", version=1)
class TokenMixture:
    """Draws whole examples from each part until its share of the tokens is reached.

    Shares are of tokens, not of examples, and the realised shares are recorded. A part that is
    too small for its share is gone through again, and the user told how often. Nothing is copied:
    the mixture refers to its parts. Validation splits are joined as they are.
    """

    shares: list[float] = setting([], above=0)
    """A weight per part, in the order of the port: 0.7 and 0.3, or 7 and 3."""
    tokens: int | None = setting(None, at_least=1)
    """Tokens of the whole; null: as many as the parts give without any example twice."""
    seed: int = II("seed")
    """Which examples are drawn."""

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        if not self.shares:
            raise SettingError("shares", self.shares, "needs a weight for every part")

    def plan_spec(self, parts: list[TokenSetSpec]) -> TokenSetSpec:
        """Forecast kind and tokens; raises InputError for parts that do not fit each other."""
        self._check(len(parts), [part.kind for part in parts], [part.tokenizer for part in parts])
        return TokenSetSpec(
            kind=_kind([part.kind for part in parts]),
            tokenizer=next((part.tokenizer for part in parts if part.tokenizer), None),
            tokens={"train": self.tokens} if self.tokens else None,
        )

    def rehearsal(self) -> TokenMixture:
        """Return the same of few tokens."""
        return dataclasses.replace(self, tokens=self.tokens and min(self.tokens, _REHEARSED))

    def run(self, stage: StageContext, parts: list[TokenSet]) -> TokenSet:
        """Draw, and write the spans."""
        import numpy as np

        from storm_training.data.mixing import draw, join
        from storm_training.data.token_writer import write_content

        contents = [part.content() for part in parts]
        kinds = [content["kind"] for content in contents]
        self._check(len(parts), kinds, [content["tokenizer"] for content in contents])
        if any(content["parts"] for content in contents):
            raise InputError("a mixture of mixtures: mix their parts, with the products of shares")
        trains = [part.sequences("train") for part in parts]
        chosen = draw([each.lengths() for each in trains], self.shares, self.tokens, self.seed)
        shares = np.array(self.shares) / sum(self.shares)
        realised = chosen.tokens / chosen.tokens.sum()
        for number, part in enumerate(parts):
            stage.reference(part)
            stage.say(
                f"part {number + 1}: {realised[number]:.1%} of the tokens (declared "
                f"{shares[number]:.1%}), gone through {chosen.passes[number]:.2f} times"
            )
            stage.metric(f"share_{number + 1}", float(realised[number]))
        stage.metric("tokens", float(chosen.tokens.sum()), main=True)
        stage.metric("largest_deviation", float(abs(realised - shares).max()))
        splits = {"train": join(stage.directory, "train", trains, chosen.examples)}
        if any(part.count("validation") for part in parts):
            held_out = [p.sequences("validation") if p.count("validation") else None for p in parts]
            every = [np.arange(len(each) if each else 0) for each in held_out]
            splits["validation"] = join(stage.directory, "validation", held_out, every)
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
            raise SettingError("shares", self.shares, f"there are {count} parts")
        if PREFERENCES in kinds:
            raise InputError(f"part {kinds.index(PREFERENCES) + 1} holds pairs: mix chats or texts")
        if len({digest for digest in tokenizers if digest}) > 1:
            raise InputError("the parts were tokenised with different tokenizers")


def _kind(kinds: list[str]) -> str:
    return kinds[0] if len(set(kinds)) == 1 else DOCUMENTS
