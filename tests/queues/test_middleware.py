"""What surrounds a publish and a consume."""

from collections.abc import Iterator

import pytest

from postroom.queues import middleware
from postroom.wire.event import Event


@pytest.fixture(autouse=True)
def own_middleware(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "_consuming", [])
    monkeypatch.setattr(middleware, "_publishing", [])


def test_the_first_is_the_outermost() -> None:
    said: list[str] = []

    @middleware.around_consume
    def outer(queue: str, events: tuple[Event, ...]) -> Iterator[None]:
        said.append("outer in")
        try:
            yield
        except ValueError:
            said.append("outer saw it")
            raise
        finally:
            said.append("outer out")

    @middleware.around_consume
    def inner(queue: str, events: tuple[Event, ...]) -> Iterator[None]:
        said.append("inner in")
        yield
        said.append("not when it raises")

    around = middleware.consuming("q", ())
    assert around is not None
    with pytest.raises(ValueError), around:
        raise ValueError
    assert said == ["outer in", "inner in", "outer saw it", "outer out"]


def test_where_one_cannot_begin_those_before_it_end() -> None:
    said: list[str] = []

    @middleware.around_consume
    def outer(queue: str, events: tuple[Event, ...]) -> Iterator[None]:
        said.append("in")
        try:
            yield
        finally:
            said.append("out")

    @middleware.around_consume
    def broken(queue: str, events: tuple[Event, ...]) -> Iterator[None]:
        raise OSError("no")
        yield

    with pytest.raises(OSError, match="no"):
        middleware.consuming("q", ())
    assert said == ["in", "out"]


def test_nothing_around() -> None:
    assert middleware.consuming("q", ()) is None
    assert middleware.publishing("q", []) is None
