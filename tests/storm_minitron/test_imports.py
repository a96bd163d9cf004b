import subprocess
import sys

PLAN = """
import sys
import storm_merging, storm_minitron
from storm_data.dataset import DatasetForecast
from storm_merging.methods.block_expand import BlockExpand
from storm_merging.methods.depth_upscale import DepthUpscale
from storm_minitron.depth.block_importance_scanner import BlockImportanceScanner
from storm_minitron.width.importance_scanner import ImportanceScanner
from storm_minitron.depth.minitron_depth import MinitronDepth
from storm_minitron.width.minitron_width import MinitronWidth
from storm_models.checkpoint.checkpoint import Checkpoint
storm_merging.storm_components(), storm_minitron.storm_components()
model = Checkpoint(sys.argv[1]).facts()
data = DatasetForecast(splits={"train": [9, 9], "validation": [9, 9]}, columns=["messages"])
importance = ImportanceScanner(seed=0, max_length=64).forecast(model, data)
MinitronWidth(hidden_size=16).forecast(model, importance)
blocks = BlockImportanceScanner(seed=0, counts=[1], max_length=64).forecast(model, data)
MinitronDepth(layers=1).forecast(model, blocks)
MinitronDepth(drop=[0]).forecast(DepthUpscale(m=0).forecast(BlockExpand(every=1).forecast(model)))
heavy = {"torch", "numpy", "pyarrow", "transformers", "datasets"} & set(sys.modules)
assert not heavy, heavy
"""


def test_planning_surgery_imports_nothing_heavy(tmp_path):
    from storm_models.testing import make_checkpoint

    model = make_checkpoint(tmp_path / "model").directory
    subprocess.run([sys.executable, "-c", PLAN, str(model)], check=True)
