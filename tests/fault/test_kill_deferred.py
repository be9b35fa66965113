"""A publish at QoS 1 that got its PUBACK reaches rules that ask others (a secret, a shadow) and what they deliver to, in order for each client,
whenever the server is killed."""
import collections
import glob
import json
import os
import shutil
import sqlite3
import sys
import tempfile
import time
import unittest

import wire
from crashes import Crashes

RULES = """
CREATE RULE ask AS SELECT n, topic() AS t, get_secret('mark', 'SecretString', 'role') AS mark FROM 'fault/+'
DO sqlite(file = 'fault.db', table = 'readings')
DO file(path = 'fault.jsonl') WITH (batchSize = 50);
CREATE RULE ask_on AS SELECT n, get_or_default(get_thing_shadow('nobody', 'role'), 'none') AS shadow FROM 'chain/+'
DO republish(topic = 'passed/${topic(2)}', qos = 1);
CREATE RULE keep_passed AS SELECT n, get_secret('mark', 'SecretString', 'role') AS mark FROM 'passed/+'
DO sqlite(file = 'fault.db', table = 'passed');
"""
PUBLISHERS = 3
WINDOW = 64
DISTURBED_EVERY = 4
STALLED_S = 30


class KillDeferredRules(unittest.TestCase):
    def setUp(self):
        secrets = tempfile.mkdtemp(prefix="iotcore-secrets-", dir="/tmp")
        self.addCleanup(shutil.rmtree, secrets, ignore_errors=True)
        with open(os.path.join(secrets, "mark"), "w") as file:
            file.write("m")
        self.crashes = Crashes(12, settings=[f"secrets.dir={secrets}"])
        self.server = self.crashes.server
        self.addCleanup(self.server.close)
        os.makedirs(self.server.path("rules.d"), exist_ok=True)
        with open(self.server.path("rules.d", "fault.sql"), "w") as file:
            file.write(RULES)
        # The folder is looked at once a second; at a start, before anybody can connect.
        self.server.kill()
        self.server.start()
        self.sent = {"fault": 0, "chain": 0}
        self.acknowledged = {"fault": set(), "chain": set()}

    def publish(self):
        publishers = []
        for i in range(PUBLISHERS):
            kind = "chain" if i == 0 else "fault"

            def produce(kind=kind, topic=f"{'chain' if i == 0 else 'fault'}/{i}"):
                self.sent[kind] += 1
                return topic, b'{"n":%d}' % self.sent[kind], False, self.sent[kind]

            publishers.append(wire.Publisher(self.server.port("mqtt"), f"raw{i}", WINDOW, produce, self.acknowledged[kind].add))
        wire.run(publishers)
        for publisher in publishers:
            publisher.close()

    def rows(self, table):
        found = glob.glob(os.path.join(self.server.data_dir, "**", "fault.db"), recursive=True)
        if not found:
            return collections.Counter()
        with sqlite3.connect(f"file:{found[0]}?mode=ro", uri=True, timeout=30) as database:
            try:
                return collections.Counter(n for n, in database.execute(f"SELECT n FROM {table} WHERE mark = 'm'"))
            except sqlite3.OperationalError:  # not there yet
                return collections.Counter()

    def missing(self):
        return (self.acknowledged["fault"] - set(self.rows("readings"))) | (self.acknowledged["chain"] - set(self.rows("passed")))

    def settle(self, round_number):
        """As long as more comes: each message of a chain is two commits after the one before it, which takes its time on a slow disk."""
        least, since = len(self.missing()), time.monotonic()
        while least and time.monotonic() - since < STALLED_S:
            time.sleep(0.05)
            if (now := len(self.missing())) < least:
                least, since = now, time.monotonic()
        if least:
            self.fail(f"round {round_number}, SEED={self.crashes.seed}: {sorted(self.missing())[:20]} are acknowledged and not in their "
                      f"tables\n{self.server.read_log()[-4000:]}")

    def test_what_was_acknowledged_is_in_the_tables(self):
        for n in range(1, self.crashes.rounds + 1):
            before = sum(map(len, self.acknowledged.values()))
            killer = self.crashes.kill_in(0.0, 0.4)
            try:
                self.publish()
            except OSError:
                pass  # killed before all were connected
            killer.join()
            self.crashes.restart(disturbed=n % DISTURBED_EVERY == 0)
            if self.crashes.random.random() < 0.3:
                self.settle(n)
            print(f"round {n}: {sum(map(len, self.acknowledged.values())) - before} acknowledged", file=sys.stderr)
        self.settle(self.crashes.rounds)
        for table, kind in (("readings", "fault"), ("passed", "chain")):
            rows = self.rows(table)
            self.assertGreater(len(self.acknowledged[kind]), 2 * self.crashes.rounds, "too little was acknowledged to mean anything")
            self.assertEqual([each for each in rows if not 1 <= each <= self.sent[kind]], [], "rows that nobody published")
            print(f"{kind}: {self.sent[kind]} published, {len(self.acknowledged[kind])} acknowledged, {len(rows)} kept, "
                  f"{sum(1 for times in rows.values() if times > 1)} more than once", file=sys.stderr)
        by_topic = collections.defaultdict(list)
        for name in glob.glob(os.path.join(self.server.data_dir, "**", "fault.jsonl"), recursive=True):
            with open(name) as file:
                for line in file:
                    row = json.loads(line)
                    by_topic[row["t"]].append(row["n"])
        for topic, numbers in by_topic.items():
            first_seen = list(dict.fromkeys(numbers))
            self.assertEqual(first_seen, sorted(first_seen), f"the file is out of order for {topic}")


if __name__ == "__main__":
    unittest.main(warnings="ignore")
