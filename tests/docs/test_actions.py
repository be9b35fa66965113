"""Runs what docs/actions.md shows, in its order: rules and targets are applied, commands run until they answer as the page says."""
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))

from server import Server, wait_until  # noqa: E402

BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```", re.M | re.S)
PATIENCE_S = 30  # what rules do shows a moment after the publish


class Actions(unittest.TestCase):
    def setUp(self):
        self.server = Server()
        self.addCleanup(self.server.close)

    def run_block(self, text):
        http = f"http://127.0.0.1:{self.server.port('http')}"
        text = text.replace("127.0.0.1:9090", f"127.0.0.1:{self.server.port('admin')}").replace("http://127.0.0.1:8080", http)
        text = text.replace("-p 1883", f"-p {self.server.port('mqtt')}").replace("aws sqs ", f"aws --endpoint-url {http} --region us-east-1 sqs ")
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text], cwd=self.server.folder, capture_output=True, text=True, timeout=120,
            env=dict(os.environ, AWS_SHARED_CREDENTIALS_FILE=self.server.path("credentials"), AWS_PAGER="", PATH="/usr/bin:/bin"))

    def apply(self, text):
        _, kind, name = text.split()[:3]
        folder = pathlib.Path(self.server.path("rules.d"))
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.sql").write_text(text)
        wait_until(lambda: re.search(rf"rule_file\.(applied|refused).*{name}\.sql", self.server.read_log()))
        self.assertNotRegex(self.server.read_log(), rf"rule_file\.refused.*{name}\.sql")

    def answers(self, command, language, expected):
        deadline = time.monotonic() + PATIENCE_S
        while True:
            done = self.run_block(command)
            try:
                same = json.loads(done.stdout) == json.loads(expected) if language == "json" else done.stdout.strip() == expected.strip()
            except ValueError:
                same = False
            if same or time.monotonic() > deadline:
                self.assertTrue(same, f"{command}\n{done.stdout}\n{done.stderr}\nexpected:\n{expected}")
                return
            time.sleep(0.2)

    def test_the_page_is_true(self):
        blocks = BLOCK.findall((ROOT / "docs" / "actions.md").read_text())
        compared = 0
        for (language, text), (answer, expected) in zip(blocks, blocks[1:] + [("", "")]):
            if language == "sql":
                self.apply(text)
            elif language == "sh" and answer in ("json", "text"):
                self.answers(text, answer, expected)
                compared += 1
            elif language == "sh":
                done = self.run_block(text)
                self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreaterEqual(compared, 10)


if __name__ == "__main__":
    unittest.main()
