"""Persistent sessions on disks that fail: full, read-only, torn at the end of the log. What was acknowledged is there afterwards; the server says why it stops."""
import glob
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

import session_clients
from crashes import Server, wait_until
from server import BINARY
from session_clients import SessionPublisher, SessionSubscriber

SETTINGS = ["workers=2", "mqtt.queued_messages_max=10000000", "mqtt.queued_bytes_max=1g"]
DISK_BYTES, BALLAST_BYTES = 32 << 20, 20 << 20
PADDING = b" " + os.urandom(2000).hex().encode()  # so that a small disk is full soon
PUBLISHERS = [("p1", 4, 1), ("x1", 5, 2)]
SUBSCRIBERS = [("here", 5, 2), ("away", 4, 2)]
FLOW_S = 120
SOME = 300  # a small disk holds them beside what is there


class Disk:
    def __init__(self, size):
        self.folder = tempfile.mkdtemp(prefix="iotcore-disk-")
        self.data = os.path.join(self.folder, "data")
        self.ballast = os.path.join(self.data, "ballast")
        os.mkdir(self.data)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", self.data], capture_output=True, text=True)
        if mounted.returncode != 0:
            shutil.rmtree(self.folder)
            raise unittest.SkipTest(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")

    def fill(self):
        with open(self.ballast, "wb") as file:
            file.write(bytes(BALLAST_BYTES))

    def free(self):
        os.unlink(self.ballast)

    def remount(self, how):
        subprocess.run(["mount", "-o", f"remount,{how}", self.data], check=True)

    def close(self):
        subprocess.run(["umount", self.data], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


class PaddedPublisher(SessionPublisher):
    """Payloads begin with the number."""

    padding = b""

    def payload(self, number):
        return b"%d" % number + self.padding


class Sessions:
    """Publishers, a subscriber that is there and one that is away, all with persistent sessions."""

    def __init__(self, server, padding=b""):
        self.server = server
        self.publishers = [PaddedPublisher(name, version, qos, 10) for name, version, qos in PUBLISHERS]
        for each in self.publishers:
            each.padding = padding
            each.may_be_told_to_go = True
        self.subscribers = [SessionSubscriber(name, version, qos) for name, version, qos in SUBSCRIBERS]
        for each in self.subscribers:
            each.may_be_told_to_go = True
            each.connect(self.port)
        session_clients.run(self.subscribers, lambda: all(each.subscribed for each in self.subscribers))

    @property
    def port(self):
        return self.server.port("mqtt")

    def acknowledged(self):
        return sum(len(each.acknowledged) for each in self.publishers)

    def flow(self, clients, until):
        connected = []
        for each in clients:
            try:
                each.connect(self.port)
                connected.append(each)
            except OSError:
                pass
        session_clients.run(connected, until)

    def publish_for(self, seconds, at_most=1 << 30):
        """Until then, or so many are acknowledged, or all have lost their connections; returns how many were acknowledged."""
        before, deadline = self.acknowledged(), time.monotonic() + seconds
        self.flow(self.publishers + self.subscribers[:1],
                  lambda: time.monotonic() > deadline or self.acknowledged() - before >= at_most)
        return self.acknowledged() - before

    def finish(self, test):
        """Publishers end what they have begun; everybody gets what is waiting."""
        deadline = time.monotonic() + FLOW_S
        for each in self.publishers:
            each.stopping = True
        self.flow(self.publishers, lambda: all(each.idle for each in self.publishers) or time.monotonic() > deadline)
        self.flow(self.subscribers, lambda: not self.missing() or time.monotonic() > deadline)
        test.assertEqual(self.missing(), [])
        failures = [failure for each in self.publishers + self.subscribers for failure in each.failures]
        test.assertEqual([failure for failure in failures if "CONNACK" not in failure], [])
        for subscriber in self.subscribers:
            for publisher in self.publishers:
                numbers = [number for name, number, _ in subscriber.messages if name == publisher.client_id]
                if publisher.qos == 2:
                    test.assertEqual(len(numbers), len(set(numbers)), f"{publisher.client_id} to {subscriber.client_id}: more than once")
        print(f"{self.acknowledged()} acknowledged, {[len(each.messages) for each in self.subscribers]} received", file=sys.stderr)

    def missing(self):
        return [(subscriber.client_id, publisher.client_id, sorted(gone)[:10])
                for subscriber in self.subscribers for publisher in self.publishers
                if (gone := publisher.acknowledged - {number for name, number, _ in subscriber.messages if name == publisher.client_id})]


def ready(server):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port('admin')}/readyz", timeout=20) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


class SmallDisk(unittest.TestCase):
    def setUp(self):
        self.disk = Disk(DISK_BYTES)
        self.addCleanup(self.disk.close)
        self.server = Server(data_dir=self.disk.folder, settings=SETTINGS)
        self.addCleanup(self.server.close)
        self.sessions = Sessions(self.server, PADDING)

    def fill(self):
        self.disk.fill()
        for _ in range(60):
            self.sessions.publish_for(2)
            if ready(self.server)[0] == 503:
                return
        self.fail("the disk did not get full")

    def test_full_while_sessions_are_under_load(self):
        self.fill()
        self.assertIn("No space", ready(self.server)[1])
        self.assertIn("store.failed", self.server.read_log())
        self.assertEqual(self.sessions.publish_for(1), 0, "acknowledged and not kept")
        self.disk.free()
        wait_until(lambda: ready(self.server)[0] == 200)
        self.assertGreater(self.sessions.publish_for(2, SOME), 0)
        self.sessions.finish(self)

    def test_killed_while_it_is_full(self):
        self.fill()
        self.server.kill()
        self.disk.free()
        self.server.start()
        self.assertGreater(self.sessions.publish_for(2, SOME), 0)
        self.sessions.finish(self)

    def test_read_only(self):
        self.assertGreater(self.sessions.publish_for(2, SOME), 0)
        self.server.kill()
        self.disk.remount("ro")
        with self.assertRaises(RuntimeError) as refused:
            self.server.start()
        self.assertIn("Read-only file system", str(refused.exception))
        self.disk.remount("rw")
        self.server.start()
        self.sessions.finish(self)


class TornLog(unittest.TestCase):
    """What a write leaves that power or the kernel cut off: beyond what was synced, so nothing of it was acknowledged."""

    def setUp(self):
        self.server = Server(settings=SETTINGS)
        self.addCleanup(self.server.close)
        self.sessions = Sessions(self.server)
        self.assertGreater(self.sessions.publish_for(1.5), 20)
        self.server.kill()

    def newest_log(self):
        return max(glob.glob(os.path.join(self.server.data_dir, "**", "*.log"), recursive=True), key=os.path.getmtime)

    def test_half_a_record_at_the_end(self):
        seed = int(os.environ.get("SEED", random.SystemRandom().randrange(1 << 32)))
        print(f"SEED={seed}", file=sys.stderr)
        chance = random.Random(seed)
        for _ in range(4):
            path = self.newest_log()
            with open(path, "rb") as file:
                head = file.read(4096)
            first = 7 + int.from_bytes(head[4:6], "little")  # checksum, length and kind are before a record
            with open(path, "ab") as file:
                # A record's beginning, zeros as of a file that was extended, or anything.
                file.write(chance.choice([head[:chance.randrange(1, first)], bytes(chance.randrange(1, 5000)),
                                          chance.randbytes(chance.randrange(1, 300))]))
            self.server.start()
            self.assertGreater(self.sessions.publish_for(0.5), 0)
            self.server.kill()
        self.server.start()
        self.sessions.finish(self)

    def test_what_was_acknowledged_is_damaged(self):
        path = self.newest_log()
        size = os.path.getsize(path)
        with open(path, "r+b") as file:
            file.seek(size // 2)
            file.write(bytes(64))
        # Not passed over in silence: some of it was promised.
        with self.assertRaises(RuntimeError) as refused:
            self.server.start()
        self.assertRegex(str(refused.exception), "(?i)corrupt")


class FailedSync(unittest.TestCase):
    """A disk that takes writes and loses them: `fsync` and `fdatasync` say EIO for a while. Pages that a failed sync was to save are not tried again by
    Linux, so nothing that depends on them may be acknowledged, then or later."""

    def setUp(self):
        libraries = subprocess.run(["ldd", BINARY], capture_output=True, text=True).stdout
        if "libasan" in libraries or "libtsan" in libraries:
            self.skipTest("a sanitizer wants to be loaded first")
        self.folder = tempfile.mkdtemp(prefix="iotcore-sync-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.switch = os.path.join(self.folder, "fail")
        library = os.path.join(self.folder, "failing_sync.so")
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "failing_sync.c")
        subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
        environment = {"LD_PRELOAD": library, "FAILING_SYNC_SWITCH": self.switch}
        self.server = Server(settings=SETTINGS, environment=environment)
        self.addCleanup(self.server.close)
        self.sessions = Sessions(self.server)

    def fail(self):
        with open(self.switch, "w"):
            pass

    def mend(self):
        os.unlink(self.switch)

    def test_nothing_is_acknowledged_while_syncs_fail(self):
        for killed in (False, True, False):
            self.assertGreater(self.sessions.publish_for(1), 0)
            self.fail()
            wait_until(lambda: self.sessions.publish_for(0.2) == 0 and ready(self.server)[0] == 503)
            self.assertEqual(self.sessions.publish_for(1), 0, "acknowledged and not kept")
            self.assertIn("Input/output error", ready(self.server)[1])
            if killed:
                self.server.kill()
            self.mend()
            if killed:
                self.server.start()
            wait_until(lambda: ready(self.server)[0] == 200)
        self.assertGreater(self.sessions.publish_for(1), 0)
        self.sessions.finish(self)


if __name__ == "__main__":
    unittest.main(warnings="ignore")
