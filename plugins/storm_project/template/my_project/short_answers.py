"""The curator `my_project_short_answers`."""

from typing import Any

from storm_data.dataset import Dataset, DatasetSpec
from storm_exp import InputError, StageContext, component, setting


@component("curator", "my_project_short_answers", version=1)
class ShortAnswers:
    """Keeps the chats whose answers are short, and says why it left out the others."""

    max_characters: int = setting(400, at_least=1, unit="characters")
    """The most characters that the answers of a chat have together."""

    def plan_spec(self, data: DatasetSpec) -> DatasetSpec:
        """Return what is known before a row is read, or refuse what cannot work."""
        if data.columns is not None and "messages" not in data.columns:
            raise InputError(f"needs chats; the columns of the data are {data.columns}")
        if data.splits is None:
            return DatasetSpec()
        most = data.splits["train"][1]
        held_out = {name: data.splits[name] for name in ("validation",) if name in data.splits}
        return DatasetSpec(splits={"train": [1, most], "rejected": [0, most], **held_out})

    def run(self, stage: StageContext, data: Dataset) -> Dataset:
        """Divide the rows to train on; those held out for validation stay as they are."""
        import pyarrow as pa

        kept: list[dict[str, Any]] = []
        rejected: list[dict[str, Any]] = []
        for row in data.rows("train"):
            length = sum(
                len(message["content"] or "")
                for message in row["messages"]
                if message["role"] == "assistant"
            )
            if length <= self.max_characters:
                kept.append(row)
            else:
                rejected.append({**row, "reason": f"{length} > {self.max_characters} characters"})
        if not kept:
            problem = "no chat has answers that short"
            raise InputError(problem, max_characters=self.max_characters)
        schema = data.table("train").schema
        made = Dataset(stage.directory)
        made.write("train", kept, schema)
        made.write("rejected", rejected, schema.append(pa.field("reason", pa.string())))
        if "validation" in data.splits():
            table = data.table("validation")
            made.write("validation", table.to_pylist(), table.schema)
        stage.metric("share kept", len(kept) / (len(kept) + len(rejected)), main=True)
        return made
