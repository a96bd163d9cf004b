import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from end_to_end.workplace import Workplace
from storm_exp import InputError
from storm_exp._store.store import Store
from storm_models.checkpoint.derived import derive, store_of
from storm_models.testing import make_checkpoint


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def writes(text, calls=None, seconds=0.0):
    def fill(directory):
        if calls is not None:
            calls.append(threading.get_ident())
        time.sleep(seconds)
        (directory / "text").write_text(text)

    return fill


def test_of_all_who_ask_one_makes_it(store):
    calls = []
    fill = writes("here", calls, seconds=0.2)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: derive(store, "thing", 1, {"of": "a"}, fill), range(4)))
    assert len(calls) == 1
    assert {(place / "text").read_text() for place in found} == {"here"}
    assert len(set(found)) == 1


def test_name_version_and_inputs_tell_derived_artifacts_apart(store):
    asked = [("thing", 1, {"of": "a"}), ("thing", 2, {"of": "a"}), ("thing", 1, {"of": "b"})]
    asked.append(("other", 1, {"of": "a"}))
    places = [derive(store, *each, writes(str(each))) for each in asked]
    assert [(place / "text").read_text() for place in places] == list(map(str, asked))


def test_what_failed_is_not_kept_and_is_tried_again(store):
    def fails(directory):
        (directory / "text").write_text("half")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        derive(store, "thing", 1, {}, fails)
    assert not list(store.root.glob("artifacts/??/*"))
    assert (derive(store, "thing", 1, {}, writes("whole")) / "text").read_text() == "whole"


def test_what_a_dead_process_left_is_made_again(store):
    place = derive(store, "thing", 1, {}, writes("whole"))
    partial = store.open_partial(place.name)
    (partial / "text").write_text("half")
    place.rename(store.root / "gone")
    assert (derive(store, "thing", 1, {}, writes("whole")) / "text").read_text() == "whole"
    assert not partial.exists()


def test_a_parent_that_is_overwritten_meanwhile_is_named_and_nothing_is_kept(tmp_path):
    one, two = (make_checkpoint(tmp_path / name, seed=ord(name)).directory for name in "ab")
    place = Workplace(tmp_path / "work")
    words = ["recipe=merge", f"base_model.path={one}", f"partner.path={two}", "merger.t=0.2"]
    place.run("-m", *words[:-1], "merger.t=0.2,0.4")
    store = Store(place.folder / "outputs/store")
    key = next(m.key for m in store.manifests() if m.settings.get("t") == 0.2)
    weights = one / "model.safetensors"
    other, times = (two / "model.safetensors").read_bytes(), weights.stat()

    def fill(directory):
        weights.write_bytes(other)
        (directory / "text").write_text("of the other")

    message = f"{weights} changed since path took it"
    with pytest.raises(InputError, match=re.escape(message)):
        derive(store, "thing", 1, {"model": key}, fill)
    assert not [m for m in store.manifests() if m.component == "thing"]
    assert times.st_mtime_ns != weights.stat().st_mtime_ns


def test_the_store_of_an_artifact_is_found_through_links(store, tmp_path):
    place = derive(store, "thing", 1, {}, writes("x"))
    link = tmp_path / "link"
    link.symlink_to(place)
    for directory in (place, link, store.open_partial("ab" * 32)):
        found = store_of(directory)
        assert found is not None and found.root == store.root
    assert store_of(tmp_path) is None
