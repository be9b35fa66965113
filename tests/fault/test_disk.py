"""A full disk: nothing is acknowledged that is not kept, the server says what is wrong, and goes on once there is room."""
import hashlib
import glob
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import unittest
import urllib.error
import urllib.request

import botocore.exceptions

import wire
from crashes import Server, Subscriber, wait_until

DISK_BYTES, BALLAST_BYTES = 48 << 20, 28 << 20
PAYLOAD_BYTES = 8192
RULE = "CREATE RULE keep AS SELECT n FROM 'full/rule/#' DO sqlite(file = 'full.db', table = 'readings');\n"


def payload(n):
    """Of no use to a compressor, and told by its number."""
    return b"".join(hashlib.sha512(b"%d %d" % (n, i)).digest() for i in range(PAYLOAD_BYTES // 64))


class SmallDisk:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="iotcore-disk-")
        self.data = os.path.join(self.folder, "data")
        self.ballast = os.path.join(self.data, "ballast")
        os.mkdir(self.data)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", self.data], capture_output=True, text=True)
        if mounted.returncode != 0:
            shutil.rmtree(self.folder)
            raise unittest.SkipTest(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
        with open(self.ballast, "wb") as file:
            file.write(bytes(BALLAST_BYTES))

    def free(self):
        os.unlink(self.ballast)

    def close(self):
        subprocess.run(["umount", self.data], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


class FullDisk(unittest.TestCase):
    def setUp(self):
        self.disk = SmallDisk()
        self.addCleanup(self.disk.close)
        os.mkdir(os.path.join(self.disk.data, "rules.d"))
        with open(os.path.join(self.disk.data, "rules.d", "keep.sql"), "w") as file:
            file.write(RULE)
        self.server = Server(data_dir=self.disk.folder)
        self.addCleanup(self.server.close)
        self.sent = 0
        self.retained = set()
        self.ruled = set()

    # -- load --

    def produce(self):
        """Every third goes through the rule, the others are retained, each on a topic of its own."""
        self.sent += 1
        if self.sent % 3 == 0:
            return f"full/rule/{self.sent}", b'{"n":%d,"x":"%s"}' % (self.sent, payload(self.sent).hex().encode()), False, self.sent
        return f"full/kept/{self.sent}", payload(self.sent), True, self.sent

    def acknowledged(self, n):
        (self.ruled if n % 3 == 0 else self.retained).add(n)

    def publish(self, limit=None):
        """Until the server closes the connection or `limit` are acknowledged; returns how many were."""
        before = len(self.retained) + len(self.ruled)
        publisher = wire.Publisher(self.server.port("mqtt"), "filler", 8, self.produce, self.acknowledged, limit)
        wire.run([publisher])
        publisher.close()
        return len(self.retained) + len(self.ruled) - before

    def fill(self):
        self.assertGreater(self.publish(), 100)
        self.assertLess((self.sent - 50) * PAYLOAD_BYTES, DISK_BYTES - BALLAST_BYTES, "the disk was not what ended it")

    # -- what the server says --

    def ready(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.server.port('admin')}/readyz", timeout=20) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def check_everything_acknowledged(self):
        names = glob.glob(os.path.join(self.disk.data, "**", "full.db"), recursive=True)
        self.assertEqual(len(names), 1)

        def rows():
            with sqlite3.connect(f"file:{names[0]}?mode=ro", uri=True, timeout=30) as database:
                return {n for n, in database.execute("SELECT n FROM readings")}

        wait_until(lambda: self.ruled <= rows())
        reader = Subscriber(self.server, "full/kept/#", client_id="reader")
        wait_until(lambda: self.retained <= {int(message.topic.split("/")[2]) for message in reader.messages})
        for message in reader.messages:
            n = int(message.topic.split("/")[2])
            self.assertEqual(message.payload, payload(n), f"retained message {n} is not what was published")
        reader.close()

    # -- tests --

    def test_it_stops_acknowledging_says_why_and_goes_on(self):
        self.fill()
        status, why = self.ready()
        self.assertEqual(status, 503)
        self.assertIn("No space", why)
        for _ in range(5):
            self.assertEqual(self.publish(), 0, "acknowledged and not kept")
        # What need not be kept is served as before.
        listener = Subscriber(self.server, "live/#", client_id="listener")
        listener.publish("live/a", "1")
        listener.wait(1)
        listener.close()
        data = self.server.api("iot-data")
        n = min(self.retained)
        self.assertEqual(data.get_retained_message(topic=f"full/kept/{n}")["payload"], payload(n))
        try:
            self.server.api().create_thing(thingName="too-late")
            # An old log that went meanwhile has made a little room.
            self.assertEqual(self.ready()[0], 200, "acknowledged and not kept")
        except botocore.exceptions.ClientError as refused:
            self.assertGreaterEqual(refused.response["ResponseMetadata"]["HTTPStatusCode"], 500)
        self.assertIn("store.failed", self.server.read_log())

        self.disk.free()
        wait_until(lambda: self.ready()[0] == 200)
        self.server.api().create_thing(thingName="in-time")
        self.assertEqual(self.publish(limit=100), 100)
        self.check_everything_acknowledged()
        self.server.kill()
        self.server.start()
        self.server.api().describe_thing(thingName="in-time")
        self.check_everything_acknowledged()
        print(f"{len(self.retained)} retained, {len(self.ruled)} by the rule", file=sys.stderr)

    def test_killed_while_it_is_full(self):
        self.fill()
        self.server.kill()
        try:
            self.server.start()
        except RuntimeError as error:  # may be refused, with the reason
            self.assertIn("No space", str(error))
        if self.server.process.poll() is None:
            self.server.kill()
        self.disk.free()
        self.server.start()
        self.assertEqual(self.publish(limit=100), 100)
        self.check_everything_acknowledged()


if __name__ == "__main__":
    unittest.main(warnings="ignore")
