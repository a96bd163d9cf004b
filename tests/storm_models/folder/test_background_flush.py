"""Files that are flushed while they are written."""

import errno
import os
import threading
import time

import pytest

from storm_models.folder import background_flush
from storm_models.folder.background_flush import BackgroundFlush


@pytest.fixture
def flushed(monkeypatch):
    flushed = []
    monkeypatch.setattr(background_flush, "_INTERVAL", 0.001)
    monkeypatch.setattr(os, "fsync", lambda descriptor: flushed.append(os.fstat(descriptor)))
    return flushed


def test_a_file_is_flushed_until_it_is_written(tmp_path, flushed):
    file = tmp_path / "large"
    file.touch()
    before = threading.active_count()
    with BackgroundFlush(file):
        while not flushed:
            time.sleep(0.001)
    assert {status.st_ino for status in flushed} == {file.stat().st_ino}
    assert threading.active_count() == before


def test_a_failed_flush_is_told(tmp_path, monkeypatch, flushed):
    failed = threading.Event()

    def fail(descriptor):
        failed.set()
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    (tmp_path / "large").touch()
    with pytest.raises(OSError, match="Input/output"), BackgroundFlush(tmp_path / "large"):
        assert failed.wait(10)


def test_what_fails_meanwhile_is_what_is_raised(tmp_path, flushed):
    (tmp_path / "large").touch()
    with pytest.raises(ValueError, match="other"), BackgroundFlush(tmp_path / "large"):
        raise ValueError("other")
