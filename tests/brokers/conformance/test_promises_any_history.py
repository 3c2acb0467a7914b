"""Whatever happens, in whatever order: a simple model says what each broker may do next, and every event's end."""

import os
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.brokers.conformance.consumer import eventually
from tests.brokers.conformance.model import UNDERWAY, Model
from tests.brokers.conformance.site import Site, ids, letters, message, new_queue

from postroom.brokers.base import Delivery, Fate
from postroom.wire import headers as past
from postroom.wire.message import Message

DELAYS = st.sampled_from([0.0, 0.0, 0.2])
ANY = st.integers(0, 10**6)


class History(RuleBasedStateMachine):
    """One queue, one consumer at a time, and a model of them. ``site`` is set by a subclass."""

    site: Site

    @initialize(count=st.integers(0, 8))
    def begin(self, count: int) -> None:
        self.queue = new_queue()
        self.model = Model(self.site)
        self.broker = self.site.broker()
        self.broker.declare(self.queue)
        self.consumer = self.site.mortal()
        self.in_hand: list[Delivery] = []
        self.paused = False
        self.told_paused = 0
        self.replaced = 0.0
        self.publish(count, 0)

    @rule(count=st.integers(1, 4), delay=DELAYS)
    def publish(self, count: int, delay: float) -> None:
        events = [message(number, mine=number) for number in range(count)]
        self.model.published(events, delay, time.time())
        self.broker.publish(self.queue, events, delay, 5)

    @rule(count=st.integers(1, 4))
    def take(self, count: int) -> None:
        if self.paused:
            self.consumer.subscribe(self.queue, 10)
            self.told_paused += 1
            self.consumer.wait_paused(self.queue, self.told_paused)
            assert not self.consumer.rest(), "delivered while paused"
        else:
            expected = min(count, self.model.certainly_ready())
            # Room enough, however the broker counts what is in hand against a new limit.
            self.consumer.subscribe(self.queue, 2 * (len(self.in_hand) + count))
            self.observe(self.consumer.next(self.queue, expected) if expected else [])
        self.leave()

    @precondition(lambda self: self.in_hand)
    @rule(which=ANY)
    def ack(self, which: int) -> None:
        delivery = self.pick(which)
        self.consumer.ack([delivery])
        self.model.acknowledged(delivery, time.time())

    @precondition(lambda self: self.in_hand)
    @rule(which=ANY, delay=DELAYS)
    def reschedule(self, which: int, delay: float) -> None:
        delivery = self.pick(which)
        attempts = past.number(delivery.message.headers, past.ATTEMPTS) + 1
        headers = past.rescheduled(delivery.message.headers, attempts=attempts)
        self.model.rescheduled(delivery, headers, delay, time.time())
        assert self.consumer.reschedule(delivery, headers, delay)
        self.replaced = time.time()

    @precondition(lambda self: self.in_hand)
    @rule(which=ANY, count=st.integers(1, 3))
    def bury(self, which: int, count: int) -> None:
        for _ in range(min(count, len(self.in_hand))):
            delivery = self.pick(which)
            headers = past.rescheduled(delivery.message.headers, attempts=2, died=1.5, reason="history")
            self.model.buried(delivery, headers)
            assert self.consumer.bury(delivery, headers)
        self.replaced = time.time()

    @precondition(lambda self: self.in_hand)
    @rule(count=st.integers(1, 3))
    def give_back(self, count: int) -> None:
        given, self.in_hand = self.in_hand[-count:], self.in_hand[:-count]
        self.consumer.give_back(given)
        self.model.given_back(given)
        self.until_ready()

    @precondition(lambda self: self.in_hand)
    @rule()
    def crash(self) -> None:
        if self.site.settles_apart:  # a crash too soon rightly leaves two; nothing tells when it is late enough
            time.sleep(max(0.0, self.replaced + UNDERWAY - time.time()))
        self.consumer.crash()
        self.in_hand.clear()
        self.model.crashed(time.time())
        self.consumer = self.site.mortal()
        self.told_paused = 0
        self.until_ready()

    @rule(limit=st.integers(1, 10))
    def peek(self, limit: int) -> None:
        self.model.peeked(ids(self.broker.peek(self.queue, limit)), limit)
        self.until_ready()

    @rule()
    def purge(self) -> None:
        self.until_ready()
        if not self.site.tells_delayed:
            self.until_all_are_ready()
        least, most = self.model.certainly_ready(), self.model.most_waiting()
        purged = self.broker.purge(self.queue)
        if self.site.tells_delayed:
            least = self.model.waiting()
        assert least <= purged <= most, f"purged {purged}, which should be {least} to {most}"
        self.model.purged()

    @precondition(lambda self: not self.paused)
    @rule()
    def pause(self) -> None:
        self.broker.pause(self.queue)
        self.paused = True

    @precondition(lambda self: self.paused)
    @rule()
    def resume(self) -> None:
        self.broker.resume(self.queue)
        self.paused = False

    @rule()
    def restart(self) -> None:
        """The process that publishes and controls is another one."""
        self.broker.close()
        self.broker = self.site.broker()

    @precondition(lambda self: self.model.dead)
    @rule(fates=st.lists(st.sampled_from(Fate), min_size=1, max_size=4))
    def sweep_dead(self, fates: list[Fate]) -> None:
        seen: list[Message] = []

        def judge(letter: Message) -> Fate:
            seen.append(letter)
            return fates[len(seen) % len(fates)]

        tally = self.broker.sweep_dead(self.queue, judge)
        assert ids(seen) == self.model.dead, "not all dead letters, or not oldest first"
        met = [fates[(place + 1) % len(fates)] for place in range(len(seen))]
        assert tally == {fate: met.count(fate) for fate in Fate}
        for letter, fate in zip(seen, met, strict=True):
            self.model.swept(letter, fate)

    @invariant()
    def the_dead_are_counted(self) -> None:
        if hasattr(self, "model") and self.site.name != "rabbitmq":  # there each look costs a connection
            assert self.broker.figures(self.queue).dead == len(self.model.dead)

    def teardown(self) -> None:
        """Every event of the model is delivered, once, or is dead; and nothing else is."""
        if not hasattr(self, "model"):
            return
        try:
            if self.paused:
                self.resume()
            self.until_all_are_ready()
            self.consumer.close()
            self.in_hand.clear()
            self.model.closed()
            last = self.consumer = self.site.mortal()
            # What was acknowledged in the moment of a crash is gone, or is among them.
            self.observe(last.take(self.queue, self.model.waiting(), prefetch=500))
            self.observe(last.rest())
            self.model.check_all_met()
            assert ids(letters(self.broker, self.queue)) == self.model.dead
            last.ack(self.in_hand)
        finally:
            self.site.close()

    def pick(self, which: int) -> Delivery:
        return self.in_hand.pop(which % len(self.in_hand))

    def observe(self, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            self.model.delivered(delivery, time.time())
        self.in_hand += deliveries

    def leave(self) -> None:
        """Unsubscribes, and sees to what came until then."""
        self.consumer.unsubscribe(self.queue)
        self.until_ready()

    def until_ready(self) -> None:
        """Until the broker says that what must be ready is."""
        eventually(lambda: self.ready() >= self.model.certainly_ready(), "ready is what must be")

    def until_all_are_ready(self) -> None:
        eventually(lambda: self.ready() >= self.model.waiting(), "all that wait are ready")

    def ready(self) -> int:
        ready = self.broker.figures(self.queue).ready
        # A delivery may have been on its way while the consumer left.
        self.observe(self.consumer.rest())
        return ready


def run(site: Site, **options: Any) -> None:
    machine = type("HistoryOf" + site.name.title(), (History,), {"site": site})
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    run_state_machine_as_test(machine, settings=settings(deadline=None, suppress_health_check=checks, **options))


def test_any_short_history_loses_nothing(site: Site) -> None:
    # Shrinking a failure takes minutes, in which the test would time out.
    phases = [Phase.explicit, Phase.generate]
    examples = {"memory": 80, "sqlite": 12, "rabbitmq": 4}[site.name]
    run(site, max_examples=examples, stateful_step_count=25, phases=phases, derandomize="CI" in os.environ)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_any_history_loses_nothing(site: Site) -> None:
    examples = {"memory": 300, "sqlite": 100, "rabbitmq": 40}[site.name]
    phases = [phase for phase in Phase if phase is not Phase.shrink or site.name != "rabbitmq"]
    run(site, max_examples=examples, stateful_step_count=60, phases=phases)
