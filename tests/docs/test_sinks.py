"""Checks every example of docs/sinks.md, and that no kind of target or action of ours is left out there."""
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))

from server import BINARY  # noqa: E402

DOCUMENT = (ROOT / "docs" / "sinks.md").read_text()


class Sinks(unittest.TestCase):
    def test_examples_are_right(self):
        examples = re.findall(r"^```sql\n(.*?)^```", DOCUMENT, re.M | re.S)
        self.assertGreater(len(examples), 8)
        for example in examples:
            with self.subTest(example=example[:60]), tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
                file.write(example)
                file.flush()
                done = subprocess.run([BINARY, "rule", "check", file.name], capture_output=True, text=True, timeout=60)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_every_kind_of_target_has_its_section(self):
        source = (ROOT / "rules" / "actions" / "all_targets.cpp").read_text()
        kinds = re.findall(r'^    \{"(\w+)",', source, re.M)
        self.assertGreater(len(kinds), 8)
        for kind in kinds:
            self.assertIn(f"\n## {kind}\n", DOCUMENT)


if __name__ == "__main__":
    unittest.main(warnings="ignore")
