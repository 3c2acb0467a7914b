"""Between typed payloads and JSON, both ways, and what is refused."""

import datetime
import enum
import math
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypedDict

import msgspec
import pydantic
import pytest

from postroom.errors import DeclarationError, WrongPayload
from postroom.wire.codec import BadBody, Codec


class Mapping(TypedDict):
    email: str
    team: int


@dataclass(frozen=True)
class Data:
    email: str
    team: int
    tags: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Slotted:
    email: str
    team: int
    weight: float | None = None


class Structure(msgspec.Struct):
    email: str
    team: int
    weight: float | None = None


class Model(pydantic.BaseModel):
    email: str
    team: int
    weight: float | None = None


ADA: dict[str, Any] = {"email": "ada@example.com", "team": 7}
TYPED = [Mapping, Data, Slotted, Structure, Model]


@pytest.mark.parametrize("kind", TYPED)
def test_there_and_back(kind: Any) -> None:
    codec: Codec[Any] = Codec(kind)
    body = codec.encode("q", kind(**ADA))
    assert codec.decode(body) == kind(**ADA)
    assert codec.decode(codec.encode("q", ADA)) == kind(**ADA)


@pytest.mark.parametrize("kind", TYPED)
def test_unknown_fields_are_ignored(kind: Any) -> None:
    decoded: Any = Codec(kind).decode(b'{"team": 7, "new": [1], "email": "ada@example.com"}')
    assert decoded == kind(**ADA)


@pytest.mark.parametrize("kind", TYPED)
@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"email": "a"},
        {"email": 1, "team": 7},
        {"email": "a", "team": "x"},
        [],
        None,
        7,
        "x",
        object(),
        ADA["email"],
    ],
)
def test_a_wrong_shape_is_refused_when_published(kind: Any, payload: Any) -> None:
    with pytest.raises(WrongPayload, match=f"the payload for queue 'q' is not a {kind.__qualname__}"):
        Codec(kind).encode("q", payload)


@pytest.mark.parametrize("kind", [*TYPED, dict, Any, dict[str, Any]])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"{",
        b'{"email": "a", "team": 7',
        b'{"email": "a", "team": 7} x',
        b"\xff\xfe",
        '{"email": "a", "team": 7}'.encode("utf-16"),
        b'{"email": "\xff", "team": 7}',
        b"[" * 10_000 + b"]" * 10_000,
        b'{"email": "a", "team": NaN}',
        b'{"email": "a", "team": 1e400}',
        b'{"email": "a", "team": 1' + b"0" * 5000 + b"}",
    ],
)
def test_rubbish_is_a_bad_body(kind: Any, body: bytes) -> None:
    with pytest.raises(BadBody):
        Codec(kind).decode(body)


def test_the_last_of_duplicate_keys_counts() -> None:
    assert Codec(Data).decode(b'{"email": "a", "team": 1, "email": "b"}').email == "b"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_number_is_not_sent_as_null(value: float) -> None:
    for payload in (
        {"weight": value},
        {"deep": [{"weight": value}]},
        Slotted("a", 1, value),
        Structure("a", 1, value),
        Model(email="a", team=1, weight=value),
        [Structure("a", 1, value)],
    ):
        codec: Codec[Any] = Codec(type(payload))
        with pytest.raises(WrongPayload, match="NaN or infinity"):
            codec.encode("q", payload)


@pytest.mark.parametrize("kind", [Slotted, Structure, Model])
def test_none_is_sent_as_null(kind: Any) -> None:
    assert Codec(kind).decode(Codec(kind).encode("q", kind(**ADA))).weight is None


@pytest.mark.parametrize(
    "payload", [{"a": object()}, {"a": "\ud800"}, {1: {2: {(3, 4): 5}}}, {"a": lambda: None}, {"a": 1j}]
)
def test_what_json_cannot_carry_is_refused(payload: Any) -> None:
    with pytest.raises(WrongPayload):
        Codec(dict).encode("q", payload)


def test_depth_without_end_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    with pytest.raises(WrongPayload):
        Codec(list).encode("q", deep)
    around: dict[str, Any] = {}
    around["self"] = around
    with pytest.raises(WrongPayload):
        Codec(dict).encode("q", around)


def test_large_numbers_stay_whole() -> None:
    codec: Codec[Any] = Codec(dict)
    assert codec.decode(codec.encode("q", {"n": 2**63, "m": 10**30})) == {"n": 2**63, "m": 10**30}


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Rich:
    at: datetime.datetime
    its: uuid.UUID
    price: Decimal
    colour: Colour


def test_rich_types() -> None:
    rich = Rich(datetime.datetime.now(datetime.UTC), uuid.uuid4(), Decimal("1.10"), Colour.RED)
    assert Codec(Rich).decode(Codec(Rich).encode("q", rich)) == rich


@pytest.mark.parametrize("kind", [complex, type(lambda: 0), int | Data | Slotted])
def test_no_payload_type(kind: Any) -> None:
    with pytest.raises(DeclarationError, match="cannot be a payload type"):
        Codec(kind)


@pytest.mark.parametrize("kind", TYPED)
def test_convert(kind: Any) -> None:
    assert Codec(kind).convert(ADA) == kind(**ADA)
    with pytest.raises(BadBody):
        Codec(kind).convert({"email": 7})
