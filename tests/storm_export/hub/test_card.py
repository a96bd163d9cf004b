"""Model cards: text from data is escaped, and the metadata is what the hub expects."""

import dataclasses

import pytest
import yaml
from transformers import GenerationConfig

from storm_exp import Manifest, SettingError
from storm_exp.testing import make_stage, run_component
from storm_export.hub.card import body, front_matter
from storm_export.hub.escaping import escape
from storm_export.hub.exporter import LOCK, HubFolderExporter
from storm_export.hub.generation import DEFAULTS, shown_generation
from storm_export.hub.history import History, without_folders
from storm_export.hub.scores import Evaluated, Score
from storm_models.testing import make_checkpoint
from storm_models.trainable_settings import READS
from storm_report.score_interval import score_interval
from storm_training.trainable.settings import Method, TrainableSettings

EVIL = "x|<script>alert(1)</script>\n# [no](http://y) `z` & **w**"


def step(key, component, settings=(), inputs=(), artifact="Checkpoint", config=None):
    values = {field.name: None for field in dataclasses.fields(Manifest)}
    return Manifest(
        **{
            **values,
            "key": key * 64,
            "component": component,
            "version": 1,
            "artifact": artifact,
            "settings": dict(settings),
            "inputs": {name: key * 64 for name, key in dict(inputs).items()},
            "files": {"model.safetensors": [1, key]},
            "spec": {"config": config},
            "metrics": {},
        }
    )


STEPS = [
    step("a", "hub", {"repo": "owner/base"}),
    step("b", "hub_chat", {"repo": "owner/chats"}, artifact="Chats"),
    step("c", "sft", {"trainable": {"method": EVIL}}, {"model": "a", "data": "b"}),
]
SCORES = [Score(task="arc|x", metric="acc", value=0.5, stderr=0.01, documents=9)]


def metadata(history, own=(), **stated):
    text = front_matter("name", history, own, stated)
    assert text.startswith("---\n") and text.endswith("\n---\n")
    return yaml.safe_load(text.strip("-\n"))


def test_the_metadata_has_base_models_data_sets_licence_and_scores():
    card = metadata(History(STEPS), SCORES, license="apache-2.0", language=["en"], tags=[])
    assert card["base_model"] in ("owner/base", ["owner/base"])
    assert card["base_model_relation"] == "finetune"
    assert card["datasets"] in ("owner/chats", ["owner/chats"])
    assert (card["license"], card["language"]) == ("apache-2.0", ["en"])
    assert card["library_name"] == "transformers" and "tags" not in card
    (result,) = card["model-index"][0]["results"]
    assert result["dataset"] == {"name": "arc|x", "type": "arc|x"}
    assert result["metrics"][0]["value"] == 0.5


def test_the_relation_to_the_base_is_that_of_the_last_step():
    merge = step("d", "slerp", {}, {"base": "a", "partner": "c"})
    packed = {"quantization_config": {"quant_method": "fp8"}}
    small = step("e", "fp8_dynamic", {}, {"model": "d"}, config=packed)
    assert History([*STEPS, merge]).relation() == "merge"
    assert History([*STEPS, merge, small]).relation() == "quantized"
    adopted = step("f", "path", {}, {"path": "d"})
    assert History([*STEPS, merge, adopted]).relation() == "merge"
    assert History(STEPS[:1]).relation() == ""
    assert History([]).relation() == ""


def test_text_from_data_is_escaped():
    shown = [Evaluated("c" * 64, EVIL, SCORES), Evaluated("a" * 64, "hub", [])]
    text = body(EVIL, History(STEPS), shown, "c" * 64, {"top_k": EVIL})
    assert "<script>" not in text and "](http://y)" not in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    unescaped = [row.replace("\\|", "").count("|") for row in rows]
    assert set(unescaped[:3]) == {4} and set(unescaped[3:]) == {6}
    assert "0.5 (0.48 to 0.52)" in text and "`" + "c" * 12 + "`" in text


def test_escaped_text_is_one_line():
    assert escape("a\nb | c") == "a b \\| c"
    assert escape("<&>") == "&lt;&amp;&gt;"


@pytest.mark.parametrize(
    "address",
    ["http://evil.com/a_b", "HTTPS://evil.com?q=1&r", "www.evil.com", "me@evil.com", "ftp://x.y"],
)
def test_an_address_in_a_title_is_no_link(address):
    text = body(f"Best `of` {address}|**x**", History([]), [], "", {})
    title = text.splitlines()[0]
    assert title == f"# Best \\`of\\` `{address}`\\|\\*\\*x\\*\\*"


def test_the_interval_of_a_share_is_wilsons():
    # (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n), z = 1.95996 (Wilson 1927)
    for right, documents, shown in ((0, 6, "0 (0 to 0.39)"), (6, 6, "1 (0.61 to 1)")):
        score = Score(
            task="t", metric="acc", value=right / documents, stderr=0.0, documents=documents
        )
        assert score.shown() == shown
    n, p, z = 40, 0.75, 1.959964
    error = (p * (1 - p) / (n - 1)) ** 0.5
    low, high = score_interval(p, error, n)
    half = z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    assert (low, high) == pytest.approx(
        [(p + z * z / (2 * n) + sign * half) / (1 + z * z / n) for sign in (-1, 1)], abs=1e-6
    )


def test_the_interval_of_other_scores_is_of_standard_errors():
    assert score_interval(2.5, 0.1, 40) == pytest.approx((2.304, 2.696))
    assert score_interval(0.5, 0.1, 7) == pytest.approx((0.304, 0.696))
    assert score_interval(37.5, 0.0, 8) is None
    assert score_interval(2.5, None, 1) is None


def test_only_settings_that_change_what_is_generated_are_shown():
    config = {
        "_from_model_config": True,
        "bos_token_id": 1,
        "do_sample": True,
        "max_new_tokens": None,
        "output_attentions": False,
        "temperature": 0.01,
        "top_k": 50,
        "top_p": 0.95,
        "transformers_version": "5.0.0",
        "use_cache": True,
    }
    assert shown_generation(config) == {"do_sample": True, "temperature": 0.01, "top_p": 0.95}
    assert shown_generation(config | {"do_sample": False}) == {}
    assert shown_generation({"num_beams": 2, "length_penalty": 1.0}) == {"num_beams": 2}


def test_the_values_of_absent_settings_are_those_of_transformers():
    known = GenerationConfig._get_default_generation_params()
    names = GenerationConfig().to_dict()
    for name, value in DEFAULTS.items():
        assert name in names or name in known, name
        assert known.get(name, value) == value, name


@pytest.mark.parametrize(
    ("trainable", "shown"),
    [
        ({"method": "all", "rank": 16, "alpha": 32.0, "fraction": 0.5}, "method all"),
        (
            {"method": "spectrum", "rank": 16, "fraction": 0.5, "norms": False},
            "method spectrum, fraction 0.5, norms False",
        ),
        (
            {"method": "lora", "rank": 16, "fraction": 0.5, "modules": []},
            "method lora, rank 16",
        ),
        ({"method": "mine", "depth": 3}, "method mine, depth 3"),
    ],
)
def test_only_the_settings_of_the_chosen_method_are_shown(trainable, shown):
    trained = History([step("c", "sft", {"trainable": trainable})])
    text = body("name", trained, [], "", {})
    assert f"- sft `{'c' * 12}`: {shown}\n" in text


def test_every_setting_of_a_training_belongs_to_a_method():
    fields = {field.name for field in dataclasses.fields(TrainableSettings)} - {"method"}
    assert fields == {name for names in READS.values() for name in names}
    assert set(READS) == {method.value for method in Method}


def test_folders_of_the_machine_are_left_out():
    settings = {"path": "/home/me/models/a", "rate": 0.1, "files": ["~/x.jsonl", "b/c"]}
    assert without_folders(settings) == {"path": "a", "rate": 0.1, "files": ["x.jsonl", "b/c"]}


def test_a_folder_loads_with_the_generation_settings(tmp_path):
    model = make_checkpoint(tmp_path / "model")
    generation = {"do_sample": True, "temperature": 0.01, "top_k": 100, "top_p": 0.95}
    exporter = HubFolderExporter(title="Mine", license="mit", generation=generation)
    made = run_component(exporter, make_stage(tmp_path, "hub"), model)
    config = made.load().generation_config
    assert (config.temperature, config.top_k, config.top_p) == (0.01, 100, 0.95)
    assert config.eos_token_id == model.load().generation_config.eos_token_id
    assert made.tokenizer().chat_template == model.tokenizer().chat_template
    weights = made.directory / "model.safetensors"
    assert weights.samefile(model.directory / "model.safetensors")
    # The model's own file is unchanged.
    assert "top_k" not in (model.directory / "generation_config.json").read_text()
    assert "# Mine" in (made.directory / "README.md").read_text()
    assert '"steps": []' in (made.directory / LOCK).read_text()
    assert "how it was made is not recorded" in (made.directory / "README.md").read_text()
    assert made.spec() == model.spec()


@pytest.mark.parametrize("dataset", ["gsm8k", "a/b/c", ""])
def test_a_benchmark_is_a_data_set_of_the_hub(dataset):
    with pytest.raises(SettingError, match=r"benchmarks\.gsm8k"):
        HubFolderExporter(benchmarks={"gsm8k": dataset})


@pytest.mark.parametrize(
    ("generation", "problem"),
    [
        ({"temperature": "hot"}, "generation.temperature='hot': should be a number from 0 to 100"),
        ({"top_p": 1.5}, "generation.top_p=1.5: should be a number from 0 to 1"),
        ({"top_k": True}, "generation.top_k=True: should be a number"),
        (
            {"temprature": 0.5},
            "generation.temprature=0.5: is not in .*; did you mean 'temperature'",
        ),
    ],
)
def test_generation_settings_are_checked_with_the_plan(generation, problem):
    with pytest.raises(SettingError, match=problem):
        HubFolderExporter(generation=generation)


def test_any_setting_of_transformers_may_be_given():
    HubFolderExporter(generation={"num_beams": 2, "temperature": 0, "do_sample": False})


def test_a_benchmark_without_a_score_is_refused(tmp_path):
    model = make_checkpoint(tmp_path / "model")
    exporter = HubFolderExporter(benchmarks={"gsm8k": "openai/gsm8k"})
    with pytest.raises(
        SettingError, match=r"benchmarks\.gsm8k=.*no connected evaluation has a score of this"
    ):
        run_component(exporter, make_stage(tmp_path, "hub"), model)


def test_the_lock_leaves_out_how_fast_a_step_was():
    metrics = {"training_loss": 2.5, "tokens_per_second": 812.3, "rows_per_second": 7.0}
    (only,) = History([dataclasses.replace(STEPS[0], metrics=metrics)]).lock()
    assert only["metrics"] == {"training_loss": 2.5}
