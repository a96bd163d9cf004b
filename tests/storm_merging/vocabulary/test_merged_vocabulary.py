"""Which tokens a merge has, and under which ids."""

from __future__ import annotations

import json

import pytest
from transformers import AutoTokenizer

from storm_exp import InputError, SettingError
from storm_merging.vocabulary.alignment import check_same
from storm_merging.vocabulary.merged_vocabulary import merged_vocabulary, read_tokenizer_tokens
from storm_merging.vocabulary.settings import VocabularySettings
from storm_models.folder.tokenizer import tokenizer_digest, tokens_digest
from storm_models.testing import make_byte_tokenizer


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Tokenizers of bytes with further tokens: two plain ones, and a special one of the second."""
    made = []
    for name, extra in (("first", ("<a>", "<b>")), ("second", ("<b>", "<c>"))):
        folder = tmp_path_factory.mktemp(name)
        tokenizer = make_byte_tokenizer(extra)
        if name == "second":
            tokenizer.add_special_tokens({"additional_special_tokens": ["<turn>", "<a>"]})
        tokenizer.save_pretrained(folder)
        made.append(folder)
    return made


def tokens_of(folders):
    return [read_tokenizer_tokens(folder) for folder in folders]


def test_a_union_adds_what_the_first_lacks_in_order(folders):
    first, second = tokens_of(folders)
    merged = merged_vocabulary(VocabularySettings(source="union"), [first, second], 0)
    size = 1 + max(first.ids.values())
    assert {token: merged.ids[token] for token in first.ids} == first.ids
    assert (merged.ids["<c>"], merged.ids["<turn>"]) == (size, size + 1)
    entries = {entry["content"]: entry for entry in merged.entries}
    assert entries["<turn>"]["special"]
    assert not entries["<c>"]["special"]
    # Plain in the first, special in the second: it stays in its place.
    assert entries["<a>"]["id"] == first.ids["<a>"]
    assert merged.rows == merged.size == size + 2


def test_its_digest_is_known_before_it_is_written(folders, tmp_path):
    first, second = tokens_of(folders)
    merged = merged_vocabulary(VocabularySettings(source="union"), [first, second], 0)
    content = json.loads((folders[0] / "tokenizer.json").read_text(encoding="utf-8"))
    kept = [each for each in content["added_tokens"] if each["content"] != "<a>"]
    content["added_tokens"] = [*kept, *merged.entries]
    (tmp_path / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    assert tokens_digest(merged.tokens) == tokenizer_digest(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(
        (folders[0] / "tokenizer_config.json").read_text(encoding="utf-8"), encoding="utf-8"
    )
    assert AutoTokenizer.from_pretrained(tmp_path).get_vocab() == merged.ids


def test_rows_are_padded_to_a_multiple(folders):
    settings = VocabularySettings(pad_to_multiple_of=64, tokens={"<n>": {"source": "zero"}})
    merged = merged_vocabulary(settings, tokens_of(folders[:1]), 0)
    assert merged.size == merged.ids["<n>"] + 1
    assert merged.rows % 64 == 0
    assert merged.rows - merged.size < 64


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"source": "unoin"}, "did you mean 'union'"),
        ({"source": "3"}, "the number of a model, 1 to 2"),
        ({"tokens": {"<n>": 1}}, "must hold source, force"),
        ({"tokens": {"<n>": {"sorce": 1}}}, "did you mean 'source'"),
        ({"tokens": {"<n>": {"source": 3}}}, "must be the number of a model, 1 to 2, or zero"),
        ({"tokens": {"<n>": {"source": 1, "force": 1}}}, "must be true or false"),
        ({"tokens": {"<n>": {"source": {"model": 1}}}}, "needs either token or token_id"),
        ({"tokens": {"<n>": {"source": {"model": 1, "token_id": -1}}}}, "a row's number"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, problem):
    made = VocabularySettings(**settings)
    with pytest.raises(SettingError, match=problem):
        made.place(0, 2), made.rules(2)


def test_tokenizers_that_differ_are_named_by_row_and_token(folders):
    first, second = tokens_of(folders)
    row = first.ids["<a>"]
    with pytest.raises(
        InputError, match=f"row {row} of .* is the token '<a>' in one, the token '<b>'"
    ):
        check_same({0: first, 1: second})
    check_same({0: first, 1: first})
    other = second.__class__(
        first.directory, first.tokens._replace(merges=["a b"]), first.ids, first.added
    )
    with pytest.raises(InputError, match="split text differently, with the same tokens"):
        check_same({0: first, 1: other})
