"""The consumer: what comes from the broker goes to executors, what they report becomes a verdict."""

import asyncio
import logging
import os
import random
import signal
import sys
import time
from functools import partial
from typing import Any

from msgspec import Struct

from postroom.brokers.base import Delivery
from postroom.brokers.connect import connect
from postroom.errors import DeclarationError, PostroomError, SettingsError
from postroom.execute.protocol import (
    Declared,
    Done,
    Failed,
    GaveBack,
    QueueDeclaration,
    Ready,
    Replied,
    Start,
    StartFailed,
    Up,
)
from postroom.policy.death import how_it_ended
from postroom.policy.restart import restart_delay

from .child import Child
from .children import Children
from .choice import chosen, in_short
from .desk import Desk, Place
from .endpoint import serve
from .health import Health
from .hearing import Hearing
from .limits import TICK, TimeKeeper, compare
from .notify import Notify
from .pacing import Pacing
from .reception import Reception
from .reload import Reload
from .roster import Roster, formed
from .stop import Stop
from .team import Team
from .watchdog import Watchdog

log = logging.getLogger("postroom")

NOTICEABLE = 1.0  # seconds: a broker that lets one wait for longer was away


class Options(Struct, frozen=True):
    """``queues``: names, or None for all. ``grace``: seconds that events in hand get when the consumer stops,
    and between a soft time limit and the hard one. ``each``: a line on stdout for every event.
    ``health``: the host and port where it tells whether it consumes."""

    app: str
    queues: list[str] | None
    flags: dict[str, str]
    grace: float = 8.0
    each: bool = False
    health: tuple[str, int] | None = None


class Consumer:
    """One ``process_queue``: its life, and what its executors say."""

    def __init__(self, options: Options) -> None:
        self.loop = asyncio.get_running_loop()
        self.grace = options.grace
        self._options = options
        self._children = Children(self.loop, self._died)
        self._roster = Roster()
        self._reception = Reception(self.loop, self._children)
        self._desk: Desk
        self._pacing: Pacing
        self._hearing: Hearing
        self._reload: Reload
        self._keeper = TimeKeeper(options.grace)
        self._ticking = False
        self._first: asyncio.Future[tuple[Child, Declared]] = self.loop.create_future()
        self._deaths_at_first = 0
        self._stop = Stop(self.loop)
        self._foreground = sys.stdin is not None and sys.stdin.isatty()

    # Life -------------------------------------------------------------------------------------------

    async def run(self) -> int:
        """Consumes until it is told to stop. Returns the exit status: 0, or 1 if it had to end by itself. Raises
        PostroomError where it cannot begin."""
        self._stop.listen()
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # which nohup sets
            self.loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        notify = Notify()
        self.spawn()
        if not await self._unless_stopped(self._first):
            return 0
        first, declared = self._first.result()
        if declared.broker.startswith("memory:"):
            raise SettingsError(
                "memory:// lives in one process, so nothing published elsewhere would arrive here: "
                "use sqlite:///… or amqp://…, or --in-process"
            )
        broker = connect(declared.broker, declared.secrets)
        self._broker_of = declared.broker, declared.secrets
        queues = chosen(declared.queues, self._options.queues)
        name = f"consumer {in_short([queue.name for queue in queues])} (pid {os.getpid()})"
        self._desk = Desk(self.loop, broker.hold(self.loop, self._reception, name))
        self._reception.desk = self._desk
        self._reception.pacing = self._pacing = Pacing(self._desk)
        self._hearing = Hearing(self._desk, self._pacing, self._options.each)
        self._reload = Reload(self, self._roster, self._desk)
        teams = self._roster.working = formed(self, queues)
        self.place(teams)
        if not await self._open():
            return 0
        if first.process.returncode is None:
            teams[0].start(first)
            teams[0].declared(first)
        else:
            teams[0].start()
        for team in teams[1:]:
            team.start()
        self.taken_over(queues)
        log.info("%s: consuming %s", broker.url, ", ".join(sorted(self._desk.places)))
        watchdog = Watchdog(self._desk, self._give_up)
        health = self._reception.health = Health(self._desk, watchdog, name)
        looking = [self.loop.create_task(each.run()) for each in (watchdog, health)]
        for each in looking:
            each.add_done_callback(lambda task: task.cancelled() or task.result())
        endpoint = None if self._options.health is None else await serve(self._options.health, health.well)
        notify.tell("READY=1")
        beating = self.loop.create_task(notify.beat(health.well))
        await self._stop.asked.wait()
        notify.tell("STOPPING=1")
        for each in (beating, *looking):
            each.cancel()
        if endpoint is not None:
            endpoint.close()
        await self._drain()
        return 1 if self._stop.failed else 0

    async def _open(self) -> bool:
        since = time.monotonic()
        opening = self.loop.create_task(self._desk.hold.open())
        if await self._unless_stopped(opening):
            opening.result()
            if time.monotonic() - since > NOTICEABLE:
                # The broker was away: what it hands out as returned came back for that reason.
                for place in self._desk.places.values():
                    place.intake.after_outage = True
            return True
        opening.cancel()
        return False

    async def _unless_stopped(self, wanted: "asyncio.Future[Any]") -> bool:
        """Waits. False if a stop was asked for first: then the executors are killed."""
        if await self._stop.unless_before(wanted):
            return True
        for child in self._children:
            child.kill()
        return False

    def _hang_up(self) -> None:
        """SIGHUP: the terminal is gone, or, without one, the code has changed."""
        if self._foreground:
            self._stop.ask()
        elif self._roster.working and not self._stop.asked.is_set():
            self._reload.begin()

    def _give_up(self, sentence: str) -> None:
        """It cannot do its work, and another one may."""
        log.error("%s", sentence)
        self._stop.fail()

    async def _drain(self) -> None:
        """No new events; those not begun go back; those in hand get their grace."""
        self._reception.stopping = True
        self._pacing.stopped = True
        for name in self._desk.places:
            self._desk.hold.unsubscribe(name)
        for team in self._roster:
            team.stopping = True
            self._give_back_waiting(team)
        for child in self._children:
            if child.ready:
                child.stop()
            else:
                child.kill()
        deadline = time.monotonic() + self.grace
        while len(self._children) and time.monotonic() < deadline and not self._stop.at_once.is_set():
            await asyncio.sleep(0.01)
        for child in self._children:
            child.kill()
        while len(self._children):
            await asyncio.sleep(0.005)
        await self._desk.settlement.finish(3.0)
        await self._desk.hold.close()

    # What the teams need -------------------------------------------------------------------------------

    def spawn(self) -> Child:
        """A new executor."""
        start = Start(self._options.app, self._options.flags, sys.path, self._foreground)
        return self._children.add(Child(start, self.loop, self._said))

    def acknowledge(self, child: Child, seqs: list[int]) -> None:
        """These are done."""
        self._desk.acknowledge(child, seqs)

    def crashed(self, delivery: Delivery, void: bool, how: str) -> None:
        """It killed its executor."""
        self._desk.crashed(delivery, void, how)

    def team_ready(self, team: Team) -> None:
        """It can take events."""
        if team in self._roster.fresh:
            self._reload.ready()
        else:
            self._pacing.begin(team)

    def team_unable(self, team: Team) -> None:
        """It cannot."""
        self._pacing.end(team)

    def place(self, teams: list[Team]) -> None:
        """Gives the queues of these teams their places at the desk."""
        for team in teams:
            for lane, intake in enumerate(team.intakes):
                self._desk.places[intake.name] = Place(team, lane, intake)
                if intake.order is not None:
                    intake.order.turn = self._reception.turn
                    intake.order.held_up = partial(self._pacing.adapt, team, intake)

    def queues_of(self, declared: Declared) -> list[QueueDeclaration]:
        """Those that this consumer serves. Raises PostroomError."""
        if (declared.broker, declared.secrets) != self._broker_of:
            raise SettingsError("the broker's URL or its secrets file is another now: start process_queue again")
        return chosen(declared.queues, self._options.queues)

    def taken_over(self, queues: list[QueueDeclaration]) -> None:
        """These are served from now on."""
        compare(queues, self.grace, self._desk.hold.in_hand_limit)

    # What executors say --------------------------------------------------------------------------------

    def _said(self, child: Child, message: Up) -> None:
        if isinstance(message, Declared):
            self._declared(child, message)
        elif isinstance(message, StartFailed):
            self._start_failed(child, message)
        elif isinstance(message, Ready):
            self._team_of(child).became_ready(child)
        elif isinstance(message, Done):
            self._hearing.done(self._team_of(child), child, message)
        elif isinstance(message, Failed):
            self._hearing.failed(self._team_of(child), child, message)
        elif isinstance(message, Replied):
            self._hearing.replied(self._team_of(child), child, message)
        elif isinstance(message, GaveBack):
            self._hearing.gave_back(self._team_of(child), child, message)

    def _declared(self, child: Child, message: Declared) -> None:
        if not self._first.done():
            self._first.set_result((child, message))
        elif self._reload.owns(child):
            self._reload.declared(child, message)
        else:
            self._team_of(child).declared(child)

    def _start_failed(self, child: Child, message: StartFailed) -> None:
        if not self._first.done():
            self._first.set_exception(DeclarationError(f"{self._options.app} cannot be started:\n{message.reason}"))
        elif self._reload.owns(child):
            self._reload.failed(message.reason)
        elif (team := self._roster.team_of(child)) is not None:
            team.start_failed(child, message.reason)

    def _died(self, child: Child, status: int) -> None:
        if not self._first.done():
            self._died_at_first(status)
            return
        if not self._roster.working:  # this consumer cannot begin
            return
        if self._reload.owns(child):
            if not self._stop.asked.is_set():
                self._reload.failed(f"the executor {how_it_ended(status)} while it started")
            return
        team = self._roster.team_of(child)
        if team is None:
            return
        team.died(child, status)
        if team in self._roster.leaving:
            self._reload.hand_on(team)
            if not team.everybody():
                self._roster.leaving.remove(team)
        if self._stop.asked.is_set():
            # Killed at the end of its grace: what it had goes back.
            self._give_back_waiting(team)

    def _give_back_waiting(self, team: Team) -> None:
        """What the team has taken and not begun goes back to its queues."""
        for intake in team.intakes:
            self._desk.give_back(intake.clear())
        for _, group in team.suspects:
            self._desk.give_back(group)
        team.suspects.clear()

    def _died_at_first(self, status: int) -> None:
        """Before it had declared anything, and without a word: it may go better next time."""
        if self._stop.asked.is_set():
            return
        if self._deaths_at_first == 0:
            how = how_it_ended(status)
            log.error(
                "the executor %s while it imported %s; it is tried again, with back-off", how, self._options.app
            )
        self.loop.call_later(restart_delay(self._deaths_at_first, random.random()), self._begin_again)
        self._deaths_at_first += 1

    def _begin_again(self) -> None:
        if not self._stop.asked.is_set():
            self.spawn()

    def _team_of(self, child: Child) -> Team:
        team = self._roster.team_of(child)
        assert team is not None
        return team

    # Time ------------------------------------------------------------------------------------------

    def handed_down(self) -> None:
        """Something is in hand: from now on the time is kept, until nothing is."""
        if not self._ticking:
            self._ticking = True
            self.loop.call_later(TICK, self._tick)

    def _tick(self) -> None:
        self._ticking = False
        for team in self._roster.working:
            self._pacing.relieve(team)
        for child in self._children:
            if child.ready and child.outstanding:
                self.handed_down()
                self._hearing.finished(child)
                self._keeper.look(child)


async def consume(options: Options) -> int:
    """Runs a consumer. Returns the exit status; raises PostroomError where it cannot begin."""
    consumer = Consumer(options)
    try:
        return await consumer.run()
    except PostroomError:
        for child in consumer._children:
            child.kill()
        raise
