"""What `storm-exp push` sends, and what it says where it cannot."""

from __future__ import annotations

import shutil

import pytest

from end_to_end.workplace import Workplace
from stand_in_hub import OWNER, TOKEN, StandInHub
from storm_exp import InputError
from storm_exp.testing import make_stage, run_component
from storm_export.hub.exporter import HubFolderExporter
from storm_export.hub.upload import Upload, listing, shown_size
from storm_inference.targets.target import find_target
from storm_models.testing import make_checkpoint


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A hub folder outside a store, beside files that are nobody's business."""
    place = tmp_path_factory.mktemp("hub")
    model = make_checkpoint(place / "model")
    stage = make_stage(place, "exporter")
    written = run_component(HubFolderExporter(license="apache-2.0"), stage, model).directory
    (written / ".env").write_text("SECRET=1")
    (written / "notes.txt").write_text("private")
    return written


@pytest.fixture
def hub():
    with StandInHub() as made:
        yield made


@pytest.fixture
def push(tmp_path, hub):
    """Return a function that pushes as a user does, to the stand-in."""
    place = Workplace(tmp_path / "work")

    def run(*words, code=0, endpoint=hub.url, token=TOKEN, offline="0"):
        home = str(tmp_path / "home")  # of tokens: the tester's own stays where it is
        return place.run_interpreter(
            "push",
            *map(str, words),
            code=code,
            HF_ENDPOINT=endpoint,
            HF_TOKEN=token,
            HF_HOME=home,
            HF_HUB_OFFLINE=offline,
            HF_HUB_DISABLE_XET="1",
        )

    return run


def test_a_model_arrives_byte_by_byte_in_one_commit(folder, hub, push):
    said = push(folder, f"{OWNER}/small", "--private", "--revision", "v1")
    repository = hub.repositories[f"{OWNER}/small"]
    assert repository["private"]
    sent = repository["branches"]["v1"]
    assert {"README.md", "recipe.lock.json", "model.safetensors", "config.json"} <= set(sent)
    assert sent == {name: (folder / name).read_bytes() for name in sent}
    assert not {".env", "notes.txt"} & set(sent)
    assert repository["branches"]["main"] == {}
    assert all(f"  {name} " in said for name in sent)
    assert said.rstrip().splitlines()[-1].startswith(f"{hub.url}/{OWNER}/small/commit/")
    assert sum("/commit/" in path for _, path, _ in hub.asked) == 1


def test_nothing_is_told_of_this_machine(folder, hub, push):
    push(folder, f"{OWNER}/small")
    agents = " ".join(agent for _, _, agent in hub.asked)
    assert "torch" not in agents and "telemetry" not in agents
    assert not any("telemetry" in path for _, path, _ in hub.asked)


def test_a_dry_run_asks_nobody(folder, hub, push):
    said = push(folder, f"{OWNER}/small", "--dry-run", token="")
    assert "model.safetensors" in said and "nothing was uploaded" in said
    assert hub.asked == []


@pytest.mark.parametrize(
    ("repository", "options", "reason"),
    [
        (f"{OWNER}/small", {"token": "hf_wrong"}, "does not accept the token"),
        (f"{OWNER}/small", {"token": ""}, "no token for the hub: set HF_TOKEN"),
        (f"{OWNER}/small", {"endpoint": "http://127.0.0.1:9"}, "127.0.0.1:9 cannot be reached"),
        (f"{OWNER}/small", {"offline": "1"}, "HF_HUB_OFFLINE is set"),
        ("them/small", {}, "may not write to them/small"),
    ],
    ids=["wrong token", "no token", "no network", "offline", "another owner"],
)
def test_what_keeps_a_push_back_is_said(folder, hub, push, repository, options, reason):
    said = push(folder, repository, code=1, **options)
    assert reason in said
    assert "Traceback" not in said
    assert not any(hub.repositories.values())


def test_a_public_repository_is_not_what_private_asks_for(folder, hub, push):
    hub.repositories[f"{OWNER}/small"] = {"private": False, "branches": {"main": {}}}
    assert "is public" in push(folder, f"{OWNER}/small", "--private", code=1)
    assert hub.repositories[f"{OWNER}/small"]["branches"]["main"] == {}


def test_a_card_that_the_hub_refuses_is_not_sent(folder, hub, push, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    card = (folder / "README.md").read_text().replace("license: apache-2.0", "license: 7")
    (copy / "README.md").write_text(card)
    said = push(copy, f"{OWNER}/small", code=1)
    assert "nothing was published" in said and '"license" must be a string' in said
    assert hub.repositories[f"{OWNER}/small"]["branches"]["main"] == {}


def test_a_link_out_of_the_folder_is_not_followed(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "recipe.lock.json").unlink()
    (copy / "recipe.lock.json").symlink_to(folder / ".env")
    with pytest.raises(InputError, match=r"recipe\.lock\.json is a link"):
        Upload(target=find_target(str(copy)), repository="me/small").files()


def test_a_model_without_a_card_is_told_to_get_one(tmp_path):
    model = make_checkpoint(tmp_path / "model")
    with pytest.raises(InputError, match=r"not a hub folder.*\+exporter=hub_folder"):
        Upload(target=find_target(str(model.directory)), repository="me/small").files()


@pytest.mark.parametrize("name", ["small", "a/b/c", "me/", "../x", "me/sm all", "-/x"])
def test_a_repository_is_owner_and_name(folder, name):
    with pytest.raises(InputError, match="OWNER/NAME"):
        Upload(target=find_target(str(folder)), repository=name)


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, "0 B"), (999, "999 B"), (1234, "1.23 kB"), (16e9, "16 GB"), (999_600, "1 MB")],
)
def test_sizes_are_written_as_people_do(size, shown):
    assert shown_size(size) == shown


def test_what_is_sent_is_added_up():
    assert listing({"a": 500, "bb": 600}) == ["  a   500 B", "  bb  600 B", "  2 files, 1.1 kB"]
