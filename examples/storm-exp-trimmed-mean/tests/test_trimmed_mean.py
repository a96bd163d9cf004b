import pytest
import torch
from storm_trimmed_mean import RelativeDistance, TrimmedMean

from storm_exp.testing import check_component, plan, run
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.testing import make_checkpoint


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return [make_checkpoint(folder / f"model-{seed}", seed=seed) for seed in range(3)]


@pytest.fixture
def recipe(models):
    stages = ("base_model", "second", "third")
    paths = [f"{s}.path={m.directory}" for s, m in zip(stages, models, strict=True)]
    return ["recipe=median", *paths]


def test_the_merger_keeps_its_contract(tmp_path, models):
    merged = check_component(TrimmedMean(trim=0.5), tmp_path, models)
    for name, tensor in merged.tensors():
        stacked = torch.stack([model.tensor(name) for model in models])
        assert torch.equal(tensor, stacked.median(dim=0).values), name


def test_the_distance_keeps_its_contract(tmp_path, models):
    drift = check_component(RelativeDistance(), tmp_path, model=models[1], origin=models[0])
    assert set(drift.read()) == set(models[0].headers())
    few = RelativeDistance(most=2)
    still = check_component(few, tmp_path / "still", models[0], models[0], fresh=False)
    assert list(still.read().values()) == [0.0, 0.0]


def test_two_models_are_refused_before_anything_is_made(tmp_path, recipe):
    result = run(tmp_path, *recipe, "graph.merger.models=[base_model,second]")
    assert result.error == "merger: needs three models or more, not 2"
    assert result.record is None


def test_a_share_outside_its_bounds_is_refused(tmp_path, recipe):
    assert "must be between 0 and 0.5" in run(tmp_path, *recipe, "merger.trim=0.6").error


def test_the_preset_is_the_median(tmp_path, recipe):
    nodes = plan(tmp_path, *recipe).nodes.values()
    (merger,) = (node for node in nodes if node.label == "merger")
    assert merger.settings == TrimmedMean(trim=0.5)


def test_the_recipe_reports_and_prints_the_drift(tmp_path, recipe):
    result = run(tmp_path, *recipe)
    assert result.code == 0, result.err
    largest = result.stage("drift").metrics["largest drift"]
    assert Checkpoint(tmp_path / "outputs/latest/merger").spec().parameters
    report = (tmp_path / "outputs/latest/report.html").read_text(encoding="utf-8")
    assert "largest drift" in report
    assert run(tmp_path, "drift").out == f"drift: {largest:.4g}\n"
    assert "kept beside the artifacts: 1 memo" in run(tmp_path, "plan", *recipe).out
