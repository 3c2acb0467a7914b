"""The numbers of a bar chart: where each bar stands, and what is written beside it."""

from dataclasses import dataclass

WIDTH, HEIGHT = 720, 220
LEFT, RIGHT, TOP, BOTTOM = 56, 32, 18, 34


@dataclass(frozen=True)
class Bar:
    label: str
    views: int
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Line:
    y: float
    views: int


@dataclass(frozen=True)
class Tick:
    x: float
    label: str


@dataclass(frozen=True)
class Chart:
    bars: list[Bar]
    lines: list[Line]
    ticks: list[Tick]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    bottom: int = HEIGHT - BOTTOM


def bar_chart(columns: list[tuple[str, int]], every: int) -> Chart:
    """A chart of (label, views); every so many columns, the last among them, have their label beneath."""
    top = _round_up(max((views for _, views in columns), default=0))
    room, floor = WIDTH - LEFT - RIGHT, HEIGHT - BOTTOM
    step = room / max(1, len(columns))
    scale = (floor - TOP) / top
    bars = [
        Bar(
            label,
            views,
            round(LEFT + number * step + step * 0.14, 1),
            round(floor - views * scale, 1),
            round(step * 0.72, 1),
            round(views * scale, 1),
        )
        for number, (label, views) in enumerate(columns)
    ]
    ticks = [
        Tick(round(LEFT + (number + 0.5) * step, 1), label)
        for number, (label, _) in enumerate(columns)
        if (len(columns) - 1 - number) % every == 0
    ]
    lines = [Line(round(floor - top * part / 4 * scale, 1), top * part // 4) for part in range(5)]
    return Chart(bars, lines, ticks)


def _round_up(views: int) -> int:
    """The next of 4, 8, 20, 40, 80, 200 …: divisible by four, for whole numbers beside the lines."""
    size = 4
    while True:
        for factor in (1, 2, 5):
            if size * factor >= views:
                return size * factor
        size *= 10
