"""Small random models, chats and datasets to train on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from storm_data.dataset import Dataset
from storm_models.testing import make_checkpoint
from storm_training.testing import make_chats


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(params=["llama", "qwen2"])
def family(request):
    return request.param


@pytest.fixture
def checkpoint(tmp_path: Path, family: str):
    return make_checkpoint(tmp_path / "model", family, num_hidden_layers=4)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return make_chats(tmp_path / "data")
