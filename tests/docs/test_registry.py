"""Runs what the guide to the registry tells its readers to type."""
import os
import subprocess
import unittest

from test_docs import BINARY, ROOT, Server, blocks


class Registry(unittest.TestCase):
    def test_the_registry_guide_works_as_written(self):
        server = Server(dev=False)
        self.addCleanup(server.close)
        script = "\n".join(blocks((ROOT / "docs" / "registry.md").read_text(), "sh"))
        script = script.replace("8443", str(server.port("https"))).replace("build/release/iotcore", os.path.abspath(BINARY))
        os.symlink(server.data_dir, os.path.join(server.folder, "iotcore-data"))
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], cwd=server.folder, capture_output=True, text=True, timeout=550,
            env=dict(os.environ, IOTCORE_DATA_DIR="iotcore-data", AWS_PAGER="", PATH="/usr/bin:/bin"),
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr + server.read_log())
        self.assertIn('"battery": "15"', done.stdout)
        self.assertIn('"queryString": "thingTypeName:lamp AND attributes.battery<20"', done.stdout)
        self.assertIn('"Value": "42"', done.stdout)
        self.assertIn("2 imported, 0 there already, 0 refused", done.stdout)
        self.assertIn("0 imported, 2 there already, 0 refused", done.stdout)


if __name__ == "__main__":
    unittest.main(warnings="ignore")
