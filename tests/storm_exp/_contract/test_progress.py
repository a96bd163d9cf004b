"""Progress in lines, where there is no terminal."""

from storm_exp import Progress
from storm_exp._contract import progress


def test_time_left_is_told_before_the_first_step_too(monkeypatch, capsys):
    monkeypatch.setattr(progress, "_QUIET_SECONDS", 0)
    with Progress("judge", 10, "rows") as bar:
        bar.advance(0)
        bar.advance(5)
    lines = capsys.readouterr().err.splitlines()
    assert "judge: 0/10 rows" in lines[0]
    assert "judge: 5/10 rows" in lines[1]
