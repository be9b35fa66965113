"""A publish at QoS 1 that got its PUBACK is in SQLite and in a file, in order for each client, whenever the server is killed."""
import collections
import glob
import json
import os
import sqlite3
import sys
import time
import unittest

import paho.mqtt.client as mqtt

import wire
from crashes import Crashes, wait_until

RULES = """
CREATE RULE keep AS SELECT n FROM 'fault/+' DO sqlite(file = 'fault.db', table = 'readings');
CREATE RULE keep_file AS SELECT n, topic() AS t FROM 'fault/+' DO file(path = 'fault.jsonl') WITH (batchSize = 50);
CREATE RULE pass_on AS SELECT n FROM 'chain/+' DO republish(topic = 'passed/${topic(2)}', qos = 1);
CREATE RULE keep_passed AS SELECT n FROM 'passed/+' DO sqlite(file = 'fault.db', table = 'readings');
"""
RAW_PUBLISHERS = 4
WINDOW = 64
PAHO_EVERY, DISTURBED_EVERY = 5, 4
FLOW_S = 60


class Numbers:
    """Numbers that are published once each, and which of them were acknowledged."""

    def __init__(self):
        self.sent = 0
        self.acknowledged = set()
        self.chained = set()

    def produce(self, topic):
        self.sent += 1
        if topic.startswith("chain/"):
            self.chained.add(self.sent)
        return topic, b'{"n":%d}' % self.sent, False, self.sent


class KillRules(unittest.TestCase):
    def setUp(self):
        self.crashes = Crashes(50)
        self.addCleanup(self.crashes.server.close)
        self.server = self.crashes.server
        os.makedirs(self.server.path("rules.d"), exist_ok=True)
        with open(self.server.path("rules.d", "fault.sql"), "w") as file:
            file.write(RULES)
        self.numbers = Numbers()
        # The folder is looked at once a second; at a start, before anybody can connect.
        self.server.kill()
        self.server.start()

    def publish_by_paho(self):
        """A client that nobody here wrote, as many publishes in the air as it likes; until the server has gone."""
        in_flight = {}
        client = mqtt.Client(client_id="paho", protocol=mqtt.MQTTv311)
        client.on_publish = lambda _, __, mid: self.numbers.acknowledged.add(in_flight.pop(mid))
        client.connect("127.0.0.1", self.server.port("mqtt"))
        while client.loop(timeout=0.005) == mqtt.MQTT_ERR_SUCCESS:
            while len(in_flight) < 20 and client.is_connected():
                topic, payload, _, number = self.numbers.produce("fault/paho")
                # The acknowledgement comes in loop(), on this thread: not before it is expected.
                in_flight[client.publish(topic, payload, qos=1).mid] = number

    def publish_by_wire(self):
        publishers = [
            wire.Publisher(
                self.server.port("mqtt"), f"raw{i}", WINDOW,
                lambda topic=f"{'chain' if i == 0 else 'fault'}/{i}": self.numbers.produce(topic),
                self.numbers.acknowledged.add)
            for i in range(RAW_PUBLISHERS)]
        wire.run(publishers)
        for publisher in publishers:
            publisher.close()

    def rows(self):
        """How often each number is in the table."""
        found = glob.glob(os.path.join(self.server.data_dir, "**", "fault.db"), recursive=True)
        if not found:
            return {}
        with sqlite3.connect(f"file:{found[0]}?mode=ro", uri=True, timeout=30) as database:
            try:
                return collections.Counter(number for number, in database.execute("SELECT n FROM readings"))
            except sqlite3.OperationalError:  # not there yet
                return {}

    def lines(self):
        """The numbers in the file by topic, in its order."""
        by_topic = collections.defaultdict(list)
        found = glob.glob(os.path.join(self.server.data_dir, "**", "fault.jsonl"), recursive=True)
        for name in found:
            with open(name) as file:
                for line in file:
                    row = json.loads(line)
                    by_topic[row["t"]].append(row["n"])
        return by_topic

    def missing(self):
        missing = self.numbers.acknowledged - set(self.rows())
        if not missing:
            in_file = self.lines()
            kept = {n for numbers in in_file.values() for n in numbers}
            # What came by way of another rule is in the table alone.
            missing = {n for n in self.numbers.acknowledged - kept if n not in self.numbers.chained}
        return missing

    def test_what_was_acknowledged_is_in_the_table(self):
        started = time.monotonic()
        for n in range(1, self.crashes.rounds + 1):
            before = len(self.numbers.acknowledged)
            killer = self.crashes.kill_in(0.0, 0.4)
            try:
                self.publish_by_paho() if n % PAHO_EVERY == 0 else self.publish_by_wire()
            except OSError:
                pass  # killed before all were connected
            killer.join()
            self.crashes.restart(disturbed=n % DISTURBED_EVERY == 0)
            if self.crashes.random.random() < 0.3:
                # Not before the next kill is what earlier ones left delivered, as a rule; here it is waited for.
                self.settle(n)
            print(f"round {n}: {len(self.numbers.acknowledged) - before} acknowledged", file=sys.stderr)
        self.settle(self.crashes.rounds)
        rows = self.rows()
        repeated = sum(1 for times in rows.values() if times > 1)
        print(f"{self.crashes.rounds} rounds in {time.monotonic() - started:.1f} s: {self.numbers.sent} published, "
              f"{len(self.numbers.acknowledged)} acknowledged, {len(rows)} in the table, {repeated} more than once", file=sys.stderr)
        self.assertGreater(len(self.numbers.acknowledged), 10 * self.crashes.rounds, "too little was acknowledged to mean anything")
        self.assertEqual([n for n in rows if not 1 <= n <= self.numbers.sent], [], "rows that nobody published")
        # More than the contract says (at least once), and what the sqlite action promises.
        self.assertEqual(repeated, 0)
        for topic, numbers in self.lines().items():
            first_seen = list(dict.fromkeys(numbers))
            self.assertEqual(first_seen, sorted(first_seen), f"the file is out of order for {topic}")

    def settle(self, round_number):
        try:
            wait_until(lambda: not self.missing(), timeout_s=FLOW_S)
        except TimeoutError:
            missing = sorted(self.missing())
            self.fail(f"round {round_number}, SEED={self.crashes.seed}: {len(missing)} of {len(self.numbers.acknowledged)} acknowledged "
                      f"numbers are not in the table: {missing[:20]}\n{self.server.read_log()[-4000:]}")


if __name__ == "__main__":
    unittest.main(warnings="ignore")
