import random

import pytest

from storm_data.dataset import Dataset
from storm_data.rows.arrow_schema import chat_schema, document_schema


@pytest.fixture(scope="session")
def chats(tmp_path_factory):
    """Twenty short chats: 14 in train, 6 in validation."""
    data = Dataset(tmp_path_factory.mktemp("chats"))
    draw = random.Random(0)
    rows = []
    for number in range(20):
        words = [draw.choice(["ash", "birch", "cedar", "elm", "fir"]) for _ in range(number % 5)]
        turns = [("user", f"Say {number}"), ("assistant", " ".join(["Yes", *words]))]
        messages = [{"role": role, "content": content} for role, content in turns]
        rows.append({"id": f"row {number}", "messages": messages, "source": "made up"})
    data.write("train", rows[:14], chat_schema())
    data.write("validation", rows[14:], chat_schema())
    return data


@pytest.fixture(scope="session")
def documents(tmp_path_factory):
    """Eight documents in train, four of them in validation too."""
    data = Dataset(tmp_path_factory.mktemp("documents"))
    rows = [
        {"id": str(n), "text": "The quick brown fox. " * (n % 3 + 1), "source": "made up"}
        for n in range(8)
    ]
    data.write("train", rows, document_schema())
    data.write("validation", rows[:4], document_schema())
    return data
