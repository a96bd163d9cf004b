import shutil

import pytest

from families import LLAMA_8B, MISTRAL_7B
from storm_exp import InputError, SettingError
from storm_exp.testing import make_stage
from storm_models.chat.settings import ChatSettings
from storm_models.sources import repository
from storm_models.sources.hub import Hub
from storm_models.testing import make_checkpoint

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of the hub, on a machine without a network."""
    folder = tmp_path / "hub"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(repository, "_reachable", lambda: False)
    return folder


@pytest.fixture
def cached(cache):
    """The same with `storm/tiny` fetched at `main`."""
    folder = cache / "models--storm--tiny"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT)
    return make_checkpoint(folder / "snapshots" / COMMIT)


def test_a_plan_without_a_network_knows_sizes_and_what_to_fetch(cache, digests):
    hub = Hub(repo="meta-llama/Llama-3.1-8B-Instruct", expected_config=LLAMA_8B)
    assert hub.plan_spec().parameters == 8_030_261_248
    assert hub.plan_spec().shapes is not None
    assert hub.fetches() == ["model meta-llama/Llama-3.1-8B-Instruct at main, about 16.1 GB"]
    assert hub.fingerprint(digests) == {"revision": "main", "chat": "own"}


def test_running_without_a_network_says_how_to_fetch(cache, tmp_path):
    with pytest.raises(InputError, match="hf download storm/tiny --revision main"):
        Hub(repo="storm/tiny").run(make_stage(tmp_path))


def test_what_the_cache_holds_needs_no_network(cached, tmp_path, digests):
    hub = Hub(repo="storm/tiny")
    assert hub.fetches() == []
    assert hub.fingerprint(digests) == {"commit": COMMIT, "chat": "own"}
    assert hub.plan_spec() == cached.spec()
    stage = make_stage(tmp_path)
    checkpoint = hub.run(stage)
    link = stage.directory / "model.safetensors"
    assert link.readlink() == cached.directory / "model.safetensors"
    assert checkpoint.load() is not None


def test_a_commit_given_as_revision_is_the_fingerprint(cache, digests):
    hub = Hub(repo="a/b", revision=COMMIT)
    assert hub.fingerprint(digests) == {"commit": COMMIT, "chat": "own"}


def test_a_snapshot_without_its_weights_still_has_to_be_fetched(cached):
    (cached.directory / "model.safetensors").unlink()
    assert Hub(repo="storm/tiny").fetches() == ["model storm/tiny at main"]


def test_a_checkpoint_that_is_not_the_expected_one_is_refused(cached):
    with pytest.raises(SettingError, match=r"vocab_size.*says 262"):
        Hub(repo="storm/tiny", expected_config={"vocab_size": 128256}).plan_spec()


@pytest.mark.parametrize("repo", ["gpt2", "/data/model", "a/b/c", "a/"])
def test_what_is_no_repository_is_refused(repo):
    with pytest.raises(SettingError, match="owner/name"):
        Hub(repo=repo)


def test_the_commit_asked_for_once_is_kept_by_the_cache(cached, digests):
    shutil.rmtree(cached.directory)
    assert Hub(repo="storm/tiny").fingerprint(digests) == {"revision": "main", "chat": "own"}


def test_a_family_whose_tokens_a_published_tokenizer_lacks_is_refused_before_it_is_fetched(cache):
    for template, right in (("chatml", False), ("llama3", False), ("solar", True), ("own", True)):
        hub = Hub(
            repo="mistralai/Mistral-7B-v0.1",
            expected_config=MISTRAL_7B,
            chat=ChatSettings(template=template),
        )
        if right:
            assert hub.plan_spec().has_chat_template == (template == "solar")
        else:
            with pytest.raises(SettingError, match="the tokenizer has no token"):
                hub.plan_spec()


def test_the_twin_of_what_the_cache_holds_has_its_config_and_tokenizer(cached, tmp_path):
    for weights in cached.weight_files():
        weights.unlink()
    twin = Hub(repo="storm/tiny").rehearsal()
    made = twin.run(make_stage(tmp_path))
    assert made.tokenizer_digest() == cached.tokenizer_digest()
    assert made.config()["num_hidden_layers"] == cached.config()["num_hidden_layers"]
    assert Hub(repo="storm/tiny").not_rehearsed() == [
        "storm/tiny: whether you may fetch it, and its weights"
    ]


def test_a_rehearsal_refuses_a_cache_that_is_not_what_was_expected(cached):
    with pytest.raises(SettingError, match="expected_config"):
        Hub(repo="storm/tiny", expected_config={"num_hidden_layers": 3}).rehearsal()
