"""Runs what docs/functions.md shows, in its order, and compares what comes out."""
import json
import os
import pathlib
import re
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))

from server import BINARY, Server, wait_until  # noqa: E402

# ```language name … ``` in their order.
BLOCK = re.compile(r"^```([a-z]+) ?([^\n]*)\n(.*?)^```", re.M | re.S)
ARCHIVE = "/tmp/archive-of-the-tour"


class Functions(unittest.TestCase):
    def setUp(self):
        self.blocks = BLOCK.findall((ROOT / "docs" / "functions.md").read_text())
        self.addCleanup(lambda: os.path.exists(ARCHIVE) and os.unlink(ARCHIVE))
        self.server = Server(start=False)
        self.addCleanup(self.server.close)
        for language, name, text in self.blocks:
            path = {"python": self.server.path(name), "sql": self.server.path("rules.d", name + ".sql")}.get(language)
            if path:
                pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
                pathlib.Path(path).write_text(text)
        self.server.start()

    def run_block(self, text):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text.replace("-p 1883", f"-p {self.server.port('mqtt')}")], cwd=self.server.folder,
            capture_output=True, text=True, timeout=120, env=dict(os.environ, PATH="/usr/bin:/bin"))
        self.assertEqual(done.returncode, 0, text + done.stdout + done.stderr + self.server.read_log())
        return done.stdout

    def test_the_page_is_true(self):
        self.warm_up()
        compared = 0
        for (language, _, text), (answer, _, expected) in zip(self.blocks, self.blocks[1:]):
            if language != "sh":
                continue
            with self.subTest(text):
                output = self.run_block(text)
                if answer == "json":
                    self.assertEqual(json.loads(output), json.loads(expected))
                    compared += 1
                elif answer == "text":
                    self.assertEqual(output.strip(), expected.strip())
                    compared += 1
        self.assertEqual(compared, 2)

    def test_targets_of_functions_elsewhere(self):
        path = pathlib.Path(self.server.folder, "elsewhere.sql")
        path.write_text("\n".join(text for language, _, text in self.blocks if language == "rules"))
        done = subprocess.run([BINARY, "rule", "check", str(path), "--data-dir", self.server.data_dir], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(path.read_text().count("CREATE TARGET"), 3)

    def warm_up(self):
        """A machine that is busy may take longer than a statement waits to start the first process."""
        publish = ["/usr/bin/mosquitto_pub", "-p", str(self.server.port("mqtt")), "-t", "raw/first", "-m", '{"data": "000000"}']
        listen = ["/usr/bin/mosquitto_sub", "-p", str(self.server.port("mqtt")), "-t", "decoded/first", "-C", "1", "-W", "5"]

        def answered():
            listener = subprocess.Popen(listen, stdout=subprocess.PIPE)
            while listener.poll() is None:
                subprocess.run(publish, check=True)
                try:
                    listener.wait(0.5)
                except subprocess.TimeoutExpired:
                    pass
            return bool(listener.stdout.read())
        wait_until(answered)


if __name__ == "__main__":
    unittest.main()
