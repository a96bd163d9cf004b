import pytest

from storm_exp import FileDigests


@pytest.fixture
def digests(tmp_path):
    return FileDigests(tmp_path / "digests.json")
