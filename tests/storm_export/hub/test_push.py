"""What `storm-exp push` sends, and what it says where it cannot."""

from __future__ import annotations

import hashlib
import shutil
import time
import types

import pytest
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from end_to_end.workplace import Workplace
from stand_in_hub import OWNER, TOKEN, StandInHub
from storm_exp import InputError
from storm_exp.testing import make_stage, run_component
from storm_export.hub.exporter import HubFolderExporter
from storm_export.hub.upload import Upload, listing, shown_size
from storm_export.hub.verb import push as push_verb
from storm_inference.targets.target import find_target
from storm_models.testing import make_checkpoint

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
"""huggingface_hub hands httpx a file in a way that httpx would have otherwise."""


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
def push(hub, monkeypatch, tmp_path, capsys):
    """Return a function that pushes with the real client, to the stand-in."""
    from huggingface_hub import constants

    def run(*words, endpoint=hub.url, token=TOKEN, offline=False):
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setenv("HF_TOKEN", token)
        assert push_verb([str(word) for word in words]) == 0
        return capsys.readouterr().out

    return run


def test_a_model_arrives_byte_by_byte_in_one_commit(folder, hub, tmp_path):
    """As a user types it, in a process that has imported nothing."""
    said = Workplace(tmp_path / "work").run_interpreter(
        "push",
        str(folder),
        f"{OWNER}/small",
        "--private",
        "--revision",
        "v1",
        HF_ENDPOINT=hub.url,
        HF_TOKEN=TOKEN,
        HF_HOME=str(tmp_path / "home"),
        HF_HUB_OFFLINE="0",
        HF_HUB_DISABLE_XET="1",
    )
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
    agents = " ".join(agent for _, _, agent in hub.asked)
    assert "torch" not in agents  # nothing is told of what is installed here
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
        (f"{OWNER}/small", {"offline": True}, "HF_HUB_OFFLINE is set"),
        ("them/small", {}, "may not write to them/small"),
    ],
    ids=["wrong token", "no token", "no network", "offline", "another owner"],
)
def test_what_keeps_a_push_back_is_said(folder, hub, push, repository, options, reason):
    with pytest.raises(InputError, match=reason):
        push(folder, repository, **options)
    assert not any(hub.repositories.values())


def test_a_model_is_added_to_a_repository_that_is_there(folder, hub, push):
    hub.repositories[f"{OWNER}/small"] = {"private": True, "branches": {"main": {"a": b"a"}}}
    push(folder, f"{OWNER}/small")
    assert {"a", "README.md"} <= set(hub.repositories[f"{OWNER}/small"]["branches"]["main"])
    assert not any(path == "/api/repos/create" for _, path, _ in hub.asked)


def test_a_file_that_does_not_arrive_is_named_and_nothing_is_published(folder, hub, push):
    hub.full = True
    with pytest.raises(
        InputError, match=r"nothing was published.*(safetensors|tokenizer\.json).*no room"
    ):
        push(folder, f"{OWNER}/small")
    assert hub.repositories[f"{OWNER}/small"]["branches"]["main"] == {}


@pytest.fixture
def impatient(monkeypatch):
    """huggingface_hub waits 23 seconds between the attempts of a transfer; here it does not."""
    from huggingface_hub.utils import _http

    clock = types.SimpleNamespace(**vars(time) | {"sleep": lambda seconds: None})
    monkeypatch.setattr(_http, "time", clock)


def test_a_transfer_that_is_cut_once_is_repeated(folder, hub, push, impatient):
    hub.cut_transfers = 1
    push(folder, f"{OWNER}/small")
    sent = hub.repositories[f"{OWNER}/small"]["branches"]["main"]
    assert sent["model.safetensors"] == (folder / "model.safetensors").read_bytes()


def test_an_upload_that_was_cut_goes_on_where_it_was(folder, hub, push, impatient):
    """The first large file arrives; the connection breaks at every attempt to send the next."""
    first_alone = folder / "tokenizer.json"
    hub.large[hashlib.sha256(first_alone.read_bytes()).hexdigest()] = first_alone.read_bytes()
    hub.cut_transfers = 100
    with pytest.raises(InputError, match=r"nothing was published: .*; push again: files that"):
        push(folder, f"{OWNER}/small")
    assert hub.repositories[f"{OWNER}/small"]["branches"]["main"] == {}
    hub.cut_transfers, hub.asked = 0, []
    push(folder, f"{OWNER}/small")
    sent = hub.repositories[f"{OWNER}/small"]["branches"]["main"]
    assert sent == {name: (folder / name).read_bytes() for name in sent} and len(sent) > 4
    assert sum(method == "PUT" for method, _, _ in hub.asked) == 1


def test_a_commit_whose_answer_is_lost_is_not_said_to_be_nothing(folder, hub, push):
    hub.cut_commits = 1
    with pytest.raises(InputError, match=r"whether .* was published is not known.*push again"):
        push(folder, f"{OWNER}/small")
    sent = dict(hub.repositories[f"{OWNER}/small"]["branches"]["main"])
    assert "model.safetensors" in sent
    hub.asked = []
    assert f"{hub.url}/{OWNER}/small/commit/" in push(folder, f"{OWNER}/small")
    assert hub.repositories[f"{OWNER}/small"]["branches"]["main"] == sent
    # What is there is neither sent nor committed again.
    assert not any(method == "PUT" or "/commit/" in path for method, path, _ in hub.asked)


def test_a_repository_of_somebody_else_that_is_there_stays_as_it_is(folder, hub, push):
    hub.repositories["them/small"] = {"private": False, "branches": {"main": {}}}
    with pytest.raises(InputError, match="may not write to them/small"):
        push(folder, "them/small")
    assert hub.repositories["them/small"]["branches"]["main"] == {}


def test_a_public_repository_is_not_what_private_asks_for(folder, hub, push):
    hub.repositories[f"{OWNER}/small"] = {"private": False, "branches": {"main": {}}}
    with pytest.raises(InputError, match="is public"):
        push(folder, f"{OWNER}/small", "--private")
    assert hub.repositories[f"{OWNER}/small"]["branches"]["main"] == {}


def test_a_card_that_the_hub_refuses_is_not_sent(folder, hub, push, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    card = (folder / "README.md").read_text().replace("license: apache-2.0", "license: 7")
    (copy / "README.md").write_text(card)
    with pytest.raises(InputError, match=r'(?s)nothing was published.*"license" must be a string'):
        push(copy, f"{OWNER}/small")
    assert hub.repositories[f"{OWNER}/small"]["branches"]["main"] == {}


def test_a_link_out_of_the_folder_is_not_followed(folder, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "recipe.lock.json").unlink()
    (copy / "recipe.lock.json").symlink_to(folder / ".env")
    with pytest.raises(InputError, match=r"recipe\.lock\.json is a link"):
        Upload(target=find_target(str(copy)), repository="me/small").files()
    with pytest.raises(InputError, match=r"recipe\.lock\.json is a link"):
        push_verb([str(copy), "me/small"])
    assert capsys.readouterr().out == ""


def test_a_model_without_a_card_is_told_to_get_one(tmp_path):
    model = make_checkpoint(tmp_path / "model")
    with pytest.raises(InputError, match=r"not a folder for the hub.*recipe=export"):
        Upload(target=find_target(str(model.directory)), repository="me/small").files()


@pytest.fixture
def latest(folder, tmp_path, monkeypatch):
    """The latest run, in an empty working directory: its stage merger has a model."""
    monkeypatch.chdir(tmp_path)
    latest = tmp_path / "outputs/latest"
    make_checkpoint(latest / "merger")
    (latest / "gguf").mkdir()
    (latest / "gguf/model-Q8_0.gguf").touch()
    return latest


@pytest.mark.parametrize("word", ["hub", "hubb", "gguf", "merger"])
def test_a_run_without_a_hub_folder_is_told_how_to_get_one(latest, word):
    add = r"add \+exporter@hub=hub_folder \+graph\.hub\.model=(merger to|STAGE .* is one of merger)"
    with pytest.raises(InputError, match=f"the latest run has no such stage; {add}"):
        push_verb([word, "me/small"])


@pytest.mark.parametrize("word", ["hubb", "gguf", "merger"])
def test_another_stage_is_answered_with_the_one_that_can_be_pushed(latest, folder, word):
    (latest / "hub").symlink_to(folder)
    with pytest.raises(InputError, match="of the latest run, hub can be pushed"):
        push_verb([word, "me/small"])


def test_a_sweep_and_no_run_at_all_are_told_how_to_get_a_hub_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    export = r"recipe=export base_model\.path=MODEL"
    with pytest.raises(InputError, match=f"there is no run .*{export}"):
        push_verb(["hub", "me/small"])
    (tmp_path / "outputs/latest/cells").mkdir(parents=True)
    with pytest.raises(InputError, match=f"the latest run is a sweep.*{export}"):
        push_verb(["hub", "me/small"])


REFUSED = [
    "small",
    "a/b/c",
    "me/",
    "../x",
    "me/sm all",
    "-/x",
    "a..b/c",
    "a/b--c",
    "a/b.git",
    "a/b.",
]
REFUSED += [f"a/{'b' * 97}"]


@pytest.mark.parametrize("name", REFUSED)
def test_a_repository_is_owner_and_name(folder, name):
    with pytest.raises(InputError, match="OWNER/NAME"):
        Upload(target=find_target(str(folder)), repository=name)
    with pytest.raises(HFValidationError):  # so does the hub
        validate_repo_id(f"{name}/" if name == "small" else name)


@pytest.mark.parametrize("name", ["me/small", "A.b-c_d/0.5B_x-2", f"a/{'b' * 96}"])
def test_a_repository_that_the_hub_accepts_is_accepted(folder, name):
    validate_repo_id(name)
    Upload(target=find_target(str(folder)), repository=name)


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, "0 B"), (999, "999 B"), (1234, "1.23 kB"), (16e9, "16 GB"), (999_600, "1 MB")],
)
def test_sizes_are_written_as_people_do(size, shown):
    assert shown_size(size) == shown


def test_what_is_sent_is_added_up():
    assert listing({"a": 500, "bb": 600}) == ["  a   500 B", "  bb  600 B", "  2 files, 1.1 kB"]
