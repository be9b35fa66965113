"""Runs what docs/shadows.md shows, in its order and with its configuration, and compares what comes out."""
import json
import os
import pathlib
import re
import subprocess
import sys
import tomllib
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))

from server import Server, wait_until  # noqa: E402

# ```language … ``` in their order.
BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```", re.M | re.S)


def flat(table, prefix=""):
    for key, value in table.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def timeless(text):
    return re.sub(r"\b1[0-9]{9}\b", "1700000000", text)


class Shadows(unittest.TestCase):
    def setUp(self):
        self.blocks = BLOCK.findall((ROOT / "docs" / "shadows.md").read_text())
        self.server = Server(start=False)
        self.addCleanup(self.server.close)
        for language, text in self.blocks:
            if language == "json schema":
                self.schema = text
            if language == "toml":
                self.server.settings = [f"{key}={value}" for key, value in flat(tomllib.loads(text))]
        schema = pathlib.Path(self.server.folder, "pump.schema.json")
        schema.write_text(self.schema)
        self.server.settings = [each.replace("pump.schema.json", str(schema)) for each in self.server.settings]
        self.server.start()

    def run_block(self, text):
        http = f"http://127.0.0.1:{self.server.port('http')}"
        text = text.replace("http://127.0.0.1:8080", http).replace("-p 1883", f"-p {self.server.port('mqtt')}")
        text = text.replace("aws iot ", f"aws --endpoint-url {http} --region us-east-1 iot ")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text], cwd=self.server.folder, capture_output=True, text=True, timeout=120,
            env=dict(os.environ, AWS_SHARED_CREDENTIALS_FILE=self.server.path("credentials"), AWS_PAGER="", PATH="/usr/bin:/bin"),
        )
        self.assertEqual(done.returncode, 0, text + done.stdout + done.stderr + self.server.read_log())
        return timeless(done.stdout)

    def apply_rule(self, text):
        rules = pathlib.Path(self.server.path("rules.d"))
        rules.mkdir(exist_ok=True)
        name = text.split()[2]
        pathlib.Path(rules, name + ".sql").write_text(text)
        iot = self.server.api()
        wait_until(lambda: name in [rule["ruleName"] for rule in iot.list_topic_rules()["rules"]])

    def test_the_page_is_true(self):
        for _, text in [block for block in self.blocks if block[0] == "sql"]:
            self.apply_rule(text)
        compared = 0
        for (language, text), (answer, expected) in zip(self.blocks, self.blocks[1:]):
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
        self.assertGreater(compared, 9)
        changes = pathlib.Path(self.server.path("sinks", "changes.jsonl")).read_text().splitlines()
        lamp = json.loads(changes[0])
        self.assertEqual((lamp["thing"], lamp["version"], lamp["new"]["reported"]), ("lamp", 2, {"on": True, "color": {"r": 255}}))
        self.assertNotIn("reported", lamp["old"])


if __name__ == "__main__":
    unittest.main(warnings="ignore")
