"""Persistent sessions under kill -9: what was acknowledged reaches every one of them, in order, at QoS 2 exactly once; none is lost."""
import sys
import threading
import time
import unittest

import session_clients
from crashes import Crashes
from session_clients import SessionPublisher, SessionSubscriber

SETTINGS = ["workers=2", "mqtt.queued_messages_max=10000000", "mqtt.queued_bytes_max=1g"]
PUBLISHERS = [("p1", 4, 1), ("p2", 5, 1), ("x1", 4, 2), ("x2", 5, 2), ("x3", 5, 2)]
SUBSCRIBERS = [("sub-a", 4, 1), ("sub-b", 5, 2), ("sub-c", 4, 2), ("away-a", 5, 2), ("away-b", 4, 1)]
WINDOW = 20
FLOW_S = 240


class KillSessions(unittest.TestCase):
    def setUp(self):
        self.crashes = Crashes(5, SETTINGS)
        self.addCleanup(self.crashes.server.close)
        self.publishers = [SessionPublisher(name, version, qos, WINDOW) for name, version, qos in PUBLISHERS]
        self.subscribers = [SessionSubscriber(name, version, qos) for name, version, qos in SUBSCRIBERS]
        # Subscribed before the first publish, so that each has to get all.
        for each in self.subscribers:
            each.connect(self.port)
        session_clients.run(self.subscribers, lambda: all(each.subscribed for each in self.subscribers))

    @property
    def port(self):
        return self.crashes.server.port("mqtt")

    def connect(self, clients):
        connected = []
        for each in clients:
            try:
                each.connect(self.port)
            except OSError:
                continue  # killed before
            connected.append(each)
        return connected

    def here(self):
        """Who is connected in a round: the away ones now and then."""
        return [each for each in self.subscribers if "away" not in each.client_id or self.crashes.random.random() < 0.3]

    def test_sessions_outlive_the_server(self):
        started = time.monotonic()
        for n in range(1, self.crashes.rounds + 1):
            before = sum(len(each.acknowledged) for each in self.publishers)
            killer = self.crashes.kill_in(0.05, 0.8)
            session_clients.run(self.connect(self.here() + self.publishers), lambda: False)
            killer.join()
            self.crashes.restart(disturbed=n % 4 == 0)
            acknowledged = sum(len(each.acknowledged) for each in self.publishers)
            print(f"round {n}: {acknowledged - before} acknowledged", file=sys.stderr)
            self.check_failures(n)
        self.finish()
        total = sum(len(each.acknowledged) for each in self.publishers)
        print(f"{self.crashes.rounds} rounds in {time.monotonic() - started:.1f} s: {total} acknowledged, "
              f"{[len(each.messages) for each in self.subscribers]} received", file=sys.stderr)
        self.assertGreater(total, 50 * self.crashes.rounds, "too little was acknowledged to mean anything")
        self.check_failures("last")
        for subscriber in self.subscribers:
            for publisher in self.publishers:
                self.check(subscriber, publisher)

    def finish(self):
        """The last round: publishers end what they have begun, subscribers get what waits."""
        deadline = time.monotonic() + FLOW_S
        for each in self.publishers:
            each.stopping = True
        session_clients.run(
            self.connect(self.publishers), lambda: all(each.idle for each in self.publishers) or time.monotonic() > deadline)
        self.assertTrue(all(each.idle for each in self.publishers), "publishes without an answer")

        def all_there():
            if time.monotonic() > deadline:
                return True
            return all(not self.missing(subscriber, publisher) and not subscriber.received_ids
                       for subscriber in self.subscribers for publisher in self.publishers)

        checked = [0.0]

        def until():  # it costs, so not at every turn
            if time.monotonic() - checked[0] < 0.5:
                return False
            done = all_there()
            checked[0] = time.monotonic()
            return done

        session_clients.run(self.connect(self.subscribers), until)

    def missing(self, subscriber, publisher):
        return publisher.acknowledged - {number for name, number, _ in subscriber.messages if name == publisher.client_id}

    def check(self, subscriber, publisher):
        who = f"{publisher.client_id} to {subscriber.client_id}, SEED={self.crashes.seed}"
        missing = self.missing(subscriber, publisher)
        if missing:
            self.fail(f"{who}: {len(missing)} of {len(publisher.acknowledged)} are missing: {sorted(missing)[:20]}\n"
                      f"{self.crashes.server.read_log()[-3000:]}")
        numbers = [number for name, number, _ in subscriber.messages if name == publisher.client_id]
        if min(publisher.qos, subscriber.qos) == 2:
            repeated = {number for number in numbers if numbers.count(number) > 1} if len(set(numbers)) < len(numbers) else set()
            self.assertEqual(repeated, set(), f"{who}: more than once")
        first = list(dict.fromkeys(numbers))
        self.assertEqual(first, sorted(first), f"{who}: out of order")

    def check_failures(self, when):
        failures = [failure for each in self.publishers + self.subscribers for failure in each.failures]
        self.assertEqual(failures, [], f"round {when}, SEED={self.crashes.seed}")


if __name__ == "__main__":
    unittest.main(warnings="ignore")
