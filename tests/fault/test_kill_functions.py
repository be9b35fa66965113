"""An event published at QoS 1 that got its PUBACK reaches its function, whenever the server or the function is killed; no process is left."""
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import unittest
import uuid

import wire
from crashes import SANITIZED, Crashes, wait_until

HANDLER = """
import os

FILE = os.open(os.path.join(os.environ["OUT"], str(os.getpid())), os.O_CREAT | os.O_APPEND | os.O_WRONLY)

def keep(event, context):
    os.write(FILE, b"%d\\n" % event["n"])
"""
RULES = """
CREATE TARGET keep AS function(runtime = 'python', handler = 'app.keep', dir = 'functions', concurrency = 2, timeout = 30, env = {'OUT': '@OUT', 'MARK': '@MARK'});
CREATE RULE to_function AS SELECT n FROM 'fault/+' DO lambda(functionArn = 'arn:aws:lambda:us-east-1:000000000000:function:keep') WITH (maxAttempts = 1000, batchSize = 64);
"""
PUBLISHERS = 2
WINDOW = 16
ROUND_MAX = 300 if SANITIZED else None  # of a publisher: the functions have to get through it all
FLOW_S = 120


class KillFunctions(unittest.TestCase):
    def setUp(self):
        self.out = tempfile.mkdtemp(prefix="iotcore-out-", dir="/tmp")
        os.chmod(self.out, 0o777)
        self.addCleanup(shutil.rmtree, self.out, ignore_errors=True)
        self.mark = uuid.uuid4().hex
        self.crashes = Crashes(12)
        self.server = self.crashes.server
        self.addCleanup(self.server.close)
        self.server.kill()
        os.makedirs(self.server.path("rules.d"), exist_ok=True)
        os.makedirs(self.server.path("functions"), exist_ok=True)
        with open(self.server.path("functions", "app.py"), "w") as file:
            file.write(HANDLER)
        with open(self.server.path("rules.d", "fault.sql"), "w") as file:
            file.write(RULES.replace("@OUT", self.out).replace("@MARK", self.mark))
        self.server.start()
        self.sent = 0
        self.acknowledged = set()

    def produce(self, topic):
        self.sent += 1
        return topic, b'{"n":%d}' % self.sent, False, self.sent

    def publish(self):
        publishers = [wire.Publisher(self.server.port("mqtt"), f"raw{i}", WINDOW, lambda topic=f"fault/{i}": self.produce(topic),
                                     self.acknowledged.add, ROUND_MAX) for i in range(PUBLISHERS)]
        wire.run(publishers)
        for publisher in publishers:
            publisher.close()

    def kept(self):
        numbers = []
        for name in os.listdir(self.out):
            with open(os.path.join(self.out, name)) as file:
                numbers += [int(line) for line in file if line.endswith("\n")]
        return numbers

    def processes(self):
        found = []
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    with open(f"/proc/{name}/environ", "rb") as file:
                        environment = file.read()
                    with open(f"/proc/{name}/cmdline", "rb") as file:
                        is_launcher = b"run-function" in file.read()
                except OSError:
                    continue
                if self.mark.encode() in environment:
                    found.append((int(name), is_launcher))
        return found

    def kill_functions(self, until):
        """Now and then one of the function's processes, or its launcher."""
        while not until.is_set():
            time.sleep(self.crashes.random.uniform(0.05, 0.3))
            processes = self.processes()
            if processes:
                try:
                    os.kill(self.crashes.random.choice(processes)[0], signal.SIGKILL)
                except ProcessLookupError:
                    pass

    def test_what_was_acknowledged_reaches_the_function(self):
        for n in range(1, self.crashes.rounds + 1):
            before = len(self.acknowledged)
            done = threading.Event()
            killing = threading.Thread(target=self.kill_functions, args=(done,))
            killing.start()
            killer = self.crashes.kill_in(0.1, 1.5)
            try:
                self.publish()
            except OSError:
                pass  # killed before all were connected
            killer.join()
            done.set()
            killing.join()
            wait_until(lambda: not self.processes(), timeout_s=30)
            self.crashes.restart(disturbed=n % 4 == 0)
            print(f"round {n}: {len(self.acknowledged) - before} acknowledged", file=sys.stderr)
        try:
            wait_until(lambda: self.acknowledged <= set(self.kept()), timeout_s=FLOW_S)
        except TimeoutError:
            missing = sorted(self.acknowledged - set(self.kept()))
            self.fail(f"SEED={self.crashes.seed}: {len(missing)} of {len(self.acknowledged)} acknowledged events have not reached the "
                      f"function: {missing[:20]}\n{self.server.read_log()[-4000:]}")
        kept = self.kept()
        print(f"{self.sent} published, {len(self.acknowledged)} acknowledged, {len(set(kept))} kept, {len(kept) - len(set(kept))} repeated",
              file=sys.stderr)
        self.assertGreater(len(self.acknowledged), 10 * self.crashes.rounds, "too little was acknowledged to mean anything")
        self.assertEqual([number for number in kept if not 1 <= number <= self.sent], [])
        self.server.stop()
        wait_until(lambda: not self.processes(), timeout_s=30)


if __name__ == "__main__":
    unittest.main()
