import subprocess
import sys

PLAN = """
import sys
from storm_data.sources.chat_jsonl import ChatJsonl
from storm_merging.methods.slerp import Slerp
from storm_models.sources.new_model import NewModel
from storm_models.sources.path import Path
import storm_data, storm_export, storm_merging, storm_models
for plugin in (storm_data, storm_export, storm_merging, storm_models):
    plugin.storm_components()
model = Path(path=sys.argv[1]).plan_spec()
Slerp(schedules={"mlp": [0.0, 1.0]}).plan_spec([model, model])
sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
sizes |= {"num_attention_heads": 1, "model_type": "llama"}
NewModel(config=sizes, seed=0).plan_spec(model)
ChatJsonl(path=sys.argv[2], seed=0).plan_spec()
heavy = {"torch", "numpy", "pyarrow", "transformers", "datasets"} & set(sys.modules)
assert not heavy, heavy
"""


def test_planning_imports_nothing_heavy(tmp_path):
    from storm_models.testing import make_checkpoint

    model = make_checkpoint(tmp_path / "model").directory
    chats = tmp_path / "chats.jsonl"
    chats.write_text('{"messages": []}\n')
    subprocess.run([sys.executable, "-c", PLAN, str(model), str(chats)], check=True)
