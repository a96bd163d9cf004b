import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm_data.rows.arrow_schema import document_schema
from storm_data.rows.document import DocumentRows
from storm_data.sources.text_documents import TextDocuments
from storm_exp import FileDigests, SettingError, StormError
from storm_exp.testing import make_stage


def fill(folder, files):
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, list):
            content = "".join(json.dumps(row) + "\n" for row in content)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def make(tmp_path, path, name="stage", **settings):
    settings = {"seed": 0, "validation_share": 0.0, **settings}
    return TextDocuments(path=str(path), **settings).run(make_stage(tmp_path, name))


def texts(dataset):
    return {row["id"]: row["text"] for row in dataset.rows("train")}


FILES = {
    "a.txt": "first\n",
    "inner/b.md": "# second",
    "inner/c.py": "print('third')",
    "d.jsonl": [{"text": "fourth", "id": "x"}, {"text": "fifth"}],
    "picture.png": b"\x89PNG\0",
    ".git/config.txt": "hidden",
}


def test_a_folder_gives_a_document_a_file_and_a_line(tmp_path):
    dataset = make(tmp_path, fill(tmp_path / "texts", FILES))
    assert texts(dataset) == {
        "a.txt": "first\n",
        "d.jsonl:x": "fourth",
        "d.jsonl:2": "fifth",
        "inner/b.md": "# second",
        "inner/c.py": "print('third')",
    }
    assert dataset.table("train").schema.equals(document_schema())
    assert {row["source"] for row in dataset.rows("train")} == {"text"}


def test_a_pattern_takes_what_it_matches(tmp_path):
    fill(tmp_path / "texts", FILES)
    assert set(texts(make(tmp_path, tmp_path / "texts" / "**" / "*.py"))) == {"inner/c.py"}
    assert set(texts(make(tmp_path, tmp_path / "texts" / "*.txt", name="flat"))) == {"a.txt"}


def test_suffixes_choose_what_of_a_folder_is_read(tmp_path):
    fill(tmp_path / "texts", {"a.txt": "one", "b.tex": "two"})
    dataset = make(tmp_path, tmp_path / "texts", suffixes=[".tex"])
    assert texts(dataset) == {"b.tex": "two"}


def test_a_file_is_read_alone_whatever_its_name(tmp_path):
    fill(tmp_path, {"LICENSE": "be free", "lines.jsonl": [{"content": "code", "id": 3}]})
    (document,) = make(tmp_path, tmp_path / "LICENSE").rows("train")
    assert document["text"] == "be free"
    assert texts(make(tmp_path, tmp_path / "lines.jsonl", name="lines")) == {"3": "code"}


def test_a_column_that_was_asked_for_is_the_only_one_read(tmp_path):
    rows = [{"text": "no", "body": "yes"}, {"text": "no"}, {"body": "also"}]
    file = fill(tmp_path, {"rows.jsonl": rows}) / "rows.jsonl"
    dataset = make(tmp_path, file, fields={"text": "body"})
    assert sorted(texts(dataset).values()) == ["also", "yes"]
    (rejected,) = dataset.rows("rejected")
    assert (rejected["line"], rejected["reason"]) == (2, "no text")


BAD = [
    ({"text": None}, "no text"),
    ({"body": "x"}, "no text"),
    ({"text": 3}, "malformed text"),
    ({"text": " \n"}, "empty text"),
    ({"text": "x" * 600}, "enormous"),
    ({"text": "one"}, "duplicate"),
]


@pytest.mark.parametrize(("row", "reason"), BAD, ids=str)
def test_a_bad_line_is_rejected_with_its_number_and_reason(tmp_path, row, reason):
    rows = [{"text": "one"}, row, {"text": "two"}]
    dataset = make(tmp_path, fill(tmp_path, {"x.jsonl": rows}) / "x.jsonl", max_characters=500)
    assert dataset.count("train") == 2
    (rejected,) = dataset.rows("rejected")
    assert (rejected["line"], rejected["reason"], rejected["text"] != "") == (2, reason, True)


def test_a_lone_surrogate_is_broken_utf_8(tmp_path):
    file = fill(tmp_path, {"x.jsonl": b'{"text": "\\ud800"}\n{"text": "fine"}\n'}) / "x.jsonl"
    (rejected,) = make(tmp_path, file).rows("rejected")
    assert rejected["reason"] == "broken UTF-8"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\xfe", "broken UTF-8"),
        (b"a\0b", "binary"),
        (b"", "empty text"),
        (b"x" * 5000, "enormous"),
        (b"x" * 900, "enormous"),
        (b"fine", "duplicate"),
    ],
    ids=["latin", "binary", "empty", "long", "over", "twice"],
)
def test_a_bad_file_is_rejected_by_its_name(tmp_path, content, reason):
    folder = fill(tmp_path / "texts", {"a.txt": "fine", "b.txt": content, "c.txt": "good"})
    dataset = make(tmp_path, folder, max_characters=500)
    assert set(texts(dataset)) == {"a.txt", "c.txt"}
    (rejected,) = dataset.rows("rejected")
    assert (rejected["id"], rejected["reason"]) == ("b.txt", reason)


def test_a_byte_order_mark_is_not_part_of_a_document(tmp_path):
    file = fill(tmp_path, {"a.txt": b"\xef\xbb\xbfhello"}) / "a.txt"
    assert list(texts(make(tmp_path, file)).values()) == ["hello"]


def test_the_key_follows_contents_and_names_and_not_the_place(tmp_path):
    digests = FileDigests(tmp_path / "digests.json")

    def key(folder):
        return TextDocuments(path=str(folder), seed=0).fingerprint(digests)

    one, two = (fill(tmp_path / name, FILES) for name in ("one", "two"))
    assert key(one) == key(two)
    (two / "a.txt").rename(two / "z.txt")
    assert key(one) != key(two)
    lone = fill(tmp_path, {"x.txt": "same", "y.txt": "same"})
    assert key(lone / "x.txt") == key(lone / "y.txt")


def test_the_forecast_holds(tmp_path):
    files = {f"{n}.txt": f"text {n}" for n in range(9)} | {"x.jsonl": [{"text": "a"}, {}]}
    folder = fill(tmp_path / "texts", files)
    for settings in ({"validation_rows": 2}, {"validation_share": 0.3}):
        spec = TextDocuments(path=str(folder), seed=0, **settings).plan_spec()
        facts = make(tmp_path, folder, next(iter(settings)), **settings).spec()
        for name, (low, high) in spec.splits.items():
            assert low <= facts.splits[name][0] <= high
        assert facts.columns == spec.columns


@pytest.mark.parametrize(
    ("files", "path", "message"),
    [
        (
            {"a.png": b"\0", "b": "x"},
            "texts",
            r"the suffixes \.jsonl, \.txt.*it has \.png, b",
        ),
        ({"inner/.hidden.txt": "x"}, "texts", "it has no files"),
        ({"a.md": "x"}, "texts/*.txt", "it has no files"),
        ({"a.jsonl": "no json"}, "texts", "neither JSONL"),
        ({"a.jsonl": ""}, "texts/a.jsonl", "the file is empty"),
    ],
)
def test_what_holds_no_document_is_refused_at_plan_time(tmp_path, files, path, message):
    fill(tmp_path / "texts", files)
    with pytest.raises(StormError, match=message):
        TextDocuments(path=str(tmp_path / path), seed=0).plan_spec()


def test_a_place_that_is_not_there_is_refused_at_plan_time(tmp_path):
    for path in ("nowhere", "nowhere/*.txt"):
        with pytest.raises(SettingError, match="there is no such file"):
            TextDocuments(path=str(tmp_path / path), seed=0).plan_spec()


def test_settings_that_cannot_work_are_refused(tmp_path):
    with pytest.raises(SettingError, match=r"must begin with a dot: '\.txt'"):
        TextDocuments(path="x", suffixes=["txt"], seed=0)
    with pytest.raises(SettingError, match="there are 1 rows"):
        fill(tmp_path / "texts", {"a.txt": "x"})
        TextDocuments(path=str(tmp_path / "texts"), validation_rows=1, seed=0).plan_spec()


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip))
def test_a_text_is_kept_as_it_is(text):
    content = DocumentRows().read({"text": text})
    assert content.columns == {"text": text} and content.characters == len(text)


def test_files_that_are_not_read_are_told(tmp_path, capsys):
    folder = tmp_path / "texts"
    fill(folder, {"a.txt": "one", "b.txt": "two", "c.pdf": "x", "d/e.pdf": "y", "LICENSE": "z"})
    make(tmp_path, folder, validation_share=0.0)
    assert "(see the setting suffixes): .pdf: 2, LICENSE: 1" in capsys.readouterr().err
