"""AWS's own device SDK of npm, unmodified, over mutual TLS and under kill -9: what it has had acknowledged reaches its persistent session."""
import os
import re
import subprocess
import sys
import threading
import unittest

from crashes import Crashes, wait_until
import node_packages

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "device_sdk", "flow.js")
PACKAGES = {"aws-iot-device-sdk-v2": "1.28.0", "aws-iot-device-sdk": "2.2.16"}  # as the tests of shadows, so that they are fetched once
SETTINGS = ["workers=2", "mqtt.queued_messages_max=10000000", "mqtt.queued_bytes_max=1g"]


class Flow:
    """The SDK's process: it knows nothing of the server's deaths but what its connections show."""

    def __init__(self, packages, how, server, certificate, key):
        self.acknowledged, self.received, self.others = [], [], []
        arguments = [how, str(server.port("mqtts")), server.ca, certificate, key]
        self.process = subprocess.Popen(node_packages.command(packages, SCRIPT, *arguments), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        for line in self.process.stdout:
            said = re.fullmatch(r"(acknowledged|received) (\d+)\n", line)
            if said:
                getattr(self, said.group(1)).append(int(said.group(2)))
            else:
                self.others.append(line.strip())

    def tell(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.thread.join()
        self.process.stdin.close()
        self.process.stdout.close()


class KillDeviceSdk(unittest.TestCase):
    def check(self, how):
        packages = node_packages.install("device-sdks", PACKAGES)
        crashes = Crashes(3, SETTINGS)
        server = crashes.server
        self.addCleanup(server.close)
        # The SDK is told one port for good.
        server.settings.append(f"listen.mqtts=127.0.0.1:{server.port('mqtts')}")
        certificate, key, _ = server.device("flow")
        flow = Flow(packages, how, server, certificate, key)
        self.addCleanup(flow.close)
        wait_until(lambda: "ready" in flow.others or flow.process.poll() is not None)
        for n in range(1, crashes.rounds + 1):
            before = len(flow.acknowledged)
            wait_until(lambda: len(flow.acknowledged) > before + 50, timeout_s=60)
            crashes.kill_in(0.0, 0.5).join()
            crashes.restart(disturbed=n % 4 == 0)
            print(f"round {n}: {len(flow.acknowledged) - before} acknowledged", file=sys.stderr)
        flow.tell("stop")
        wait_until(lambda: "idle" in flow.others, timeout_s=120)
        wait_until(lambda: set(flow.acknowledged) <= set(flow.received), timeout_s=60)
        flow.tell("end")
        flow.process.wait(timeout=60)
        who = f"SEED={crashes.seed}"
        self.assertEqual([line for line in flow.others if line not in ("ready", "idle")], [], who)
        first = list(dict.fromkeys(flow.received))
        self.assertEqual(first, sorted(first), f"{who}: out of order")
        print(f"{len(flow.acknowledged)} acknowledged, {len(flow.received)} received", file=sys.stderr)

    def test_version_5(self):
        self.check("5")

    def test_version_311(self):
        self.check("311")


if __name__ == "__main__":
    unittest.main(warnings="ignore")
