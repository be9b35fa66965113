"""The guided demo, and the three commands that it prints at its end, as they are printed."""
import os
import pathlib
import re
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))

from server import BINARY, Server  # noqa: E402


class Demo(unittest.TestCase):
    def test_the_demo_and_what_it_prints(self):
        server = Server(dev=False)
        self.addCleanup(server.close)
        done = subprocess.run(
            ["/usr/bin/python3", "-W", "ignore", str(ROOT / "deploy/demo/demo.py"), "--data-dir", server.data_dir, "--iotcore", BINARY],
            capture_output=True, text=True, timeout=250,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr + server.read_log())
        self.assertIn("76 rows in", done.stdout)
        self.assertIn("76 alerts received", done.stdout)
        self.assertRegex(done.stdout, r"machine-07 +48 ")
        commands = {line.split()[0]: line for line in done.stdout.splitlines()
                    if re.match(r"(mosquitto_sub|curl|AWS_SHARED_CREDENTIALS_FILE)", line)}
        aws = next(line for start, line in commands.items() if start.startswith("AWS_"))
        listener = subprocess.Popen(["bash", "-c", "exec " + commands["mosquitto_sub"] + " -C 2 -W 60"],
                                    stdout=subprocess.PIPE, text=True)
        self.addCleanup(listener.stdout.close)
        self.addCleanup(listener.kill)
        while listener.poll() is None:
            # Until the subscription is up, nobody hears it.
            published = subprocess.run(["bash", "-c", commands["curl"] + " --silent --fail"], capture_output=True, text=True, timeout=60)
            self.assertEqual(published.returncode, 0, published.stderr)
            self.assertIn('"message":"OK"', published.stdout)
            try:
                listener.wait(0.5)
            except subprocess.TimeoutExpired:
                continue
        heard = listener.stdout.read()
        self.assertIn("plant/machine-07/telemetry", heard)
        self.assertIn("alerts/machine-07", heard)
        listed = subprocess.run(["bash", "-c", aws], capture_output=True, text=True, timeout=60,
                                env=dict(os.environ, PATH="/usr/bin:/bin", AWS_PAGER=""))
        self.assertEqual(listed.returncode, 0, listed.stderr)
        self.assertIn("machine-10", listed.stdout)


if __name__ == "__main__":
    unittest.main(warnings="ignore")
