"""What tests of rules' targets have in common: a server of ours, rules applied from files, and load while the target is killed."""
import base64
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


class TlsCase(SinkCase):
    """Targets over TLS."""
    def deliver(self, name, target, action, more="", host="127.0.0.1"):
        """One record by a target that trusts the server, and one by a target that trusts another authority."""
        self.deliver_by({"right": f"ca = '{target.certificate}'", "wrong": f"ca = '{self.server.ca}'"}, name, name, target, action, more, host)

    def deliver_known(self, kind, target, action, more="", host="127.0.0.1"):
        """One record by a target that has the certificate that the server asks for, and one by a target that has none."""
        ca = f"ca = '{target.certificate}'"
        self.deliver_by({"right": f"{ca}, cert = '{target.client[1]}', key = '{target.client[2]}'", "wrong": ca}, kind + "known", kind, target, action,
                        more, host)

    def deliver_by(self, options, name, kind, target, action, more, host):
        port = getattr(target, "tls_port", target.port)
        for which, own in options.items():
            self.apply(name + which, f"""
                CREATE TARGET {name}{which} AS {kind}(host = '{host}', port = {port}, tls = TRUE, {own}, timeout = '5s'{more});
                CREATE RULE {name}{which} AS SELECT v FROM '{name}/{which}' DO {action.format(target=name + which)} WITH (retryMax = 200, maxAttempts = 2)
                ON ERROR DO republish(topic = 'failed/{name}', qos = 1);
            """)
        failed = self.failures("failed/" + name)
        for which in options:
            self.publish(f"{name}/{which}", {"v": which})
        failure = json.loads(failed.wait(1)[0].payload)
        self.assertIn(b"wrong", base64.b64decode(failure["base64OriginalPayload"]))
        self.assertRegex(failure["failures"][0]["errorMessage"].lower(), "certificate|tls|ssl|handshake|closed|broke off")
