"""Where the rows of a merge's embedding come from."""

from __future__ import annotations

import pytest
import torch

from storm_exp import InputError
from storm_merging.vocabulary.merged_vocabulary import MergedVocabulary
from storm_merging.vocabulary.row_sources import VocabularyMatrix, row_sources
from storm_merging.vocabulary.rows_by_token import RowsByToken
from storm_merging.vocabulary.settings import TokenRule
from storm_models.families.architecture import EMBEDDING, HEAD
from storm_models.folder.tokenizer import Tokens

IDS = [{"a": 0, "b": 1}, {"b": 0, "c": 1, "d": 2}, {"c": 0, "d": 1, "a": 2}]
MATRIX = VocabularyMatrix(EMBEDDING, (0, 1, 2), None)


def vocabulary(ids, rows):
    return MergedVocabulary(0, Tokens(ids, [], {}), ids, (), 1 + max(ids.values()), rows)


UNION = vocabulary({"a": 0, "b": 1, "c": 2, "d": 3, "e": 4}, 6)
STORED = [3, 3, 3]


def of(model, matrix=MATRIX, rules=None):
    return row_sources(matrix, UNION, IDS, STORED, rules or {})[model]


def test_a_token_that_a_model_lacks_has_a_row_of_those_that_have_it():
    one = of(0)
    assert one.rows == [((0, 0),), ((0, 1),), ((1, 1), (2, 0)), ((1, 2), (2, 1)), ()]
    assert one.padding == 1
    assert one.filled == {"the mean rows of models 2, 3": ["c", "d"], "zeros": ["e"]}
    assert of(1).filled == {"the mean rows of models 1, 3": ["a"], "zeros": ["e"]}


def test_the_row_of_the_base_comes_first():
    with_base = VocabularyMatrix(EMBEDDING, (0, 1, 2), 2)
    assert of(0, with_base).rows[2] == ((2, 0),)
    assert of(2, with_base).rows[1] == ((0, 1), (1, 0))


def test_a_rule_comes_before_and_may_be_forced():
    rules = {
        "a": TokenRule(1, token="c", force=True),
        "c": TokenRule(2),
        "e": TokenRule(0, token_id=2),
        "d": TokenRule(force=True),
    }
    one = of(0, rules=rules)
    assert one.rows == [((1, 1),), ((0, 1),), ((2, 0),), (), ((0, 2),)]
    assert one.forced == ["a"]
    assert of(1, rules=rules).rows == [((1, 1),), ((1, 0),), ((1, 1),), (), ((0, 2),)]


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        (TokenRule(0), "no row for it: its tokenizer has no token 'e'"),
        (TokenRule(0, token="x"), "its tokenizer has no token 'x'"),
        (TokenRule(0, token_id=3), "has 3 rows, and no row 3"),
        (TokenRule(2), "model 3, of which .* is not merged"),
    ],
)
def test_a_row_that_is_not_there_is_named(rule, problem):
    matrix = VocabularyMatrix(EMBEDDING, (0, 1), None)
    with pytest.raises(InputError, match=f"tokenizer.tokens.e: .*{problem}"):
        row_sources(matrix, UNION, IDS, STORED, {"e": rule})


def test_a_token_without_a_row_is_named():
    with pytest.raises(InputError, match=r"embed_tokens.weight of model 2 has 2 rows, .* 'd'"):
        row_sources(MATRIX, UNION, IDS, [3, 2, 3], {})


def test_a_model_without_the_matrix_is_named():
    with pytest.raises(InputError, match=r"model 2 has no model\.embed_tokens\.weight"):
        row_sources(MATRIX, UNION, IDS, [3, 0, 3], {})


class Stored:
    """A model's weights in memory."""

    def __init__(self, **tensors):
        self._tensors = tensors
        self.headers = {name: ("F32", tuple(tensor.shape)) for name, tensor in tensors.items()}

    def read(self, name, start, stop):
        return self._tensors[name].flatten()[start:stop]


@pytest.mark.parametrize("step", [1, 3, 4, 24])
def test_rows_are_read_in_pieces_of_any_size(step):
    generator = torch.Generator().manual_seed(0)
    models = [Stored(**{EMBEDDING: torch.randn(3, 4, generator=generator)}) for _ in range(3)]
    first, second, third = (model.read(EMBEDDING, 0, 12).reshape(3, 4) for model in models)
    view = RowsByToken(models, 0, {EMBEDDING: of(0), HEAD: of(0)})
    means = [(second[1] + third[0]) / 2, (second[2] + third[1]) / 2]
    rows = torch.stack([first[0], first[1], *means, torch.zeros(4)])
    expected = torch.cat([rows, rows.mean(0, keepdim=True)]).flatten()
    for name in (EMBEDDING, HEAD):  # a head that is tied is read from the embedding
        assert view.headers[name] == ("F32", (6, 4))
        parts = [view.read(name, start, min(24, start + step)) for start in range(0, 24, step)]
        assert torch.allclose(torch.cat(parts), expected)
