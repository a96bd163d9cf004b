import pytest

from storm_exp.digest import FileDigests


@pytest.fixture
def digests(tmp_path):
    return FileDigests(tmp_path / "digests.json")
