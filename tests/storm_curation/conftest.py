import pytest

from storm_curation.judge.rubric import Question
from storm_curation.judge.zero_shot import ZeroShot
from storm_data.dataset import Dataset
from storm_data.rows.arrow_schema import chat_schema
from storm_inference.testing import save_toy_checkpoint
from storm_models.checkpoint.checkpoint import Checkpoint


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    return Checkpoint(save_toy_checkpoint(tmp_path_factory.mktemp("toy")))


@pytest.fixture
def write_data(tmp_path):
    def write(rows, name="data", **columns):
        folder = tmp_path / name
        folder.mkdir()
        data = Dataset(folder)
        data.write("train", rows, chat_schema(**columns))
        data.write("validation", rows[:2], chat_schema(**columns))
        return data

    return write


@pytest.fixture
def make_judge():
    def make(**settings):
        defaults = {
            "head": "Rate.\n",
            "example": "Q:{instruction}\nA:{response}",
            "education": Question(text="\nworth?", answers=["1", "2", "3", "4", "5"]),
            "difficulty": Question(
                text="\nhard?", answers=["e", "m", "h"], labels=["easy", "medium", "hard"]
            ),
            "max_length": 200,
            "batch_size": 4,
            "pad_to_multiple_of": 16,
            "shard_rows": 8,
        }
        return ZeroShot(**{**defaults, **settings})

    return make


def chat(instruction, response):
    return [
        {"role": "user", "content": instruction},
        {"role": "assistant", "content": response},
    ]


@pytest.fixture
def rows():
    return [
        {"id": f"r{i}", "messages": chat(f"add {i}", "x" * (i % 7 + 1)), "source": "test"}
        for i in range(30)
    ]
