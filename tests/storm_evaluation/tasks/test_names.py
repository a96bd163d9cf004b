import pytest

from storm_evaluation.tasks.names import short_names


@pytest.mark.parametrize(
    ("tasks", "shown"),
    [
        (["tinyworld_lookup", "tinyworld_role_play"], ["lookup", "role_play"]),
        (["leaderboard_bbh", "arc_challenge"], ["leaderboard_bbh", "arc_challenge"]),
        (["mmlu_a", "mmlu_ab"], ["a", "ab"]),
        (["task_a", "task_a_b"], ["a", "a_b"]),
        (["tinyworld_lookup"], ["tinyworld_lookup"]),
        ([], []),
    ],
)
def test_what_all_tasks_begin_with_is_left_out(tasks, shown):
    assert list(short_names(tasks).values()) == shown
