"""What tests of rules' targets have in common: a server of ours, rules applied from files, and load while the target is killed."""
import json
import os
import subprocess
import unittest

from server import BINARY, Server, Subscriber, wait_until


def shut_out(numbers, count):
    """What of 0 … count-1 is missing, and whether first occurrences are out of order."""
    first = list(dict.fromkeys(numbers))
    return sorted(set(range(count)) - set(first)), first != sorted(first)


class SinkCase(unittest.TestCase):
    """setUpClass of a test starts its target before; sub-classes name it."""
    @classmethod
    def start_server(cls, *settings):
        cls.server = Server(settings=settings)
        cls.addClassCleanup(cls.server.close)
        cls.client = Subscriber(cls.server, client_id="publisher")
        cls.addClassCleanup(cls.client.close)

    def apply(self, name, text):
        path = os.path.join(self.server.folder, name + ".sql")
        with open(path, "w") as file:
            file.write(text)
        done = subprocess.run([BINARY, "rule", "apply", path, "--data-dir", self.server.data_dir], capture_output=True,
                              text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def refused(self, text, message):
        path = os.path.join(self.server.folder, "refused.sql")
        with open(path, "w") as file:
            file.write(text)
        done = subprocess.run([BINARY, "rule", "check", path], capture_output=True, text=True, timeout=60)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        self.assertIn(message, done.stdout + done.stderr)

    def publish(self, topic, document):
        self.client.publish(topic, json.dumps(document))

    def wait(self, condition, what, timeout_s=60):
        try:
            wait_until(condition, timeout_s)
        except TimeoutError:
            self.fail(f"{what() if callable(what) else what}\n{self.server.read_log()[-3000:]}")

    def wait_equal(self, ask, expected, timeout_s=60):
        self.wait(lambda: ask() == expected, lambda: f"{ask()!r} and not {expected!r}", timeout_s)

    def load_while_killed(self, topic, target, count, began):
        """Publishes {"n": 0} … at QoS 1 while the target is killed and started twice; returns when all are acknowledged."""
        infos = []
        for n in range(count):
            infos.append(self.client.client.publish(topic, json.dumps({"n": n}), qos=1))
            if n in (count // 4, count // 2):
                self.wait(began, "nothing arrived before the target was killed")
                target.kill()
            if n in (count // 4 + count // 8, count // 2 + count // 8):
                target.start()
        for info in infos:
            info.wait_for_publish(60)
            self.assertTrue(info.is_published())

    def failures(self, topic):
        """Collects what goes to an error action that publishes to that topic."""
        made = Subscriber(self.server, topic, client_id="failures-" + topic.replace("/", "-"))
        self.addCleanup(made.close)
        return made
