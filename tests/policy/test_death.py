"""Who is to blame when an executor dies."""

import signal

import pytest

from postroom.policy.death import blame, halves, how_it_ended


@pytest.mark.parametrize(
    ("in_hand", "overdue", "guilty", "groups"),
    [
        ([], [], [], []),
        ([[1]], [], [1], []),  # alone
        ([[1], [2], [3]], [], [], [[1], [2], [3]]),  # each runs alone
        ([[1, 2, 3, 4, 5]], [], [], [[1, 2], [3, 4, 5]]),  # a batch is halved
        ([[1, 2]], [], [], [[1], [2]]),
        ([[1, 2, 3], [4]], [], [], [[1, 2, 3], [4]]),
        ([[1], [2], [3]], [2], [2], []),  # only it was over its limit
        ([[1], [2], [3]], [1, 3], [1, 3], []),
        ([[1, 2, 3, 4], [9]], [1, 2, 3, 4], [], [[1, 2], [3, 4]]),  # a batch over its limit
        ([[1], [2]], [7], [], []),  # it was over its limit, but got through
    ],
)
def test_blame(in_hand: list[list[int]], overdue: list[int], guilty: list[int], groups: list[list[int]]) -> None:
    verdict = blame(in_hand, overdue)
    assert verdict.guilty == guilty
    assert verdict.groups == groups


def test_a_batch_is_halved_until_one_is_named() -> None:
    group, starts = list(range(50)), 0
    while len(group) > 1:
        group = max(blame([group], []).groups, key=len)
        starts += 1
    assert blame([group], []).guilty == group
    assert starts <= 6
    assert halves([7]) == [[7]]


@pytest.mark.parametrize(
    ("status", "how"),
    [
        (0, "exited with status 0"),
        (3, "exited with status 3"),
        (-signal.SIGSEGV, "was killed by signal SIGSEGV"),
        (-signal.SIGKILL, "was killed by signal SIGKILL (out of memory?)"),
        (-200, "was killed by signal 200"),
    ],
)
def test_how_it_ended(status: int, how: str) -> None:
    assert how_it_ended(status) == how
