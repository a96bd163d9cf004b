import subprocess
import sys

PLAN = """
import sys
import storm_merging, storm_minitron
from storm_data.dataset import DatasetSpec
from storm_merging.methods.block_expand import BlockExpand
from storm_merging.methods.depth_upscale import DepthUpscale
from storm_minitron.depth.block_importance_scanner import BlockImportanceScanner
from storm_minitron.width.importance_scanner import ImportanceScanner
from storm_minitron.depth.minitron_depth import MinitronDepth
from storm_minitron.width.minitron_width import MinitronWidth
from storm_models.checkpoint.checkpoint import Checkpoint
storm_merging.storm_components(), storm_minitron.storm_components()
model = Checkpoint(sys.argv[1]).spec()
data = DatasetSpec(splits={"train": [9, 9], "validation": [9, 9]}, columns=["messages"])
importance = ImportanceScanner(seed=0, max_length=64).plan_spec(model, data)
MinitronWidth(hidden_size=16).plan_spec(model, importance)
blocks = BlockImportanceScanner(seed=0, counts=[1], max_length=64).plan_spec(model, data)
MinitronDepth(layers=1).plan_spec(model, blocks)
MinitronDepth(drop=[0]).plan_spec(DepthUpscale(m=0).plan_spec(BlockExpand(every=1).plan_spec(model)))
heavy = {"torch", "numpy", "pyarrow", "transformers", "datasets"} & set(sys.modules)
assert not heavy, heavy
"""


def test_planning_surgery_imports_nothing_heavy(tmp_path):
    from storm_models.testing import make_checkpoint

    model = make_checkpoint(tmp_path / "model").directory
    subprocess.run([sys.executable, "-c", PLAN, str(model)], check=True)
