"""deploy/sbom names what the program loads, with versions and licences, in CycloneDX's form."""
import json
import pathlib
import re
import subprocess
import unittest

from server import BINARY

ROOT = pathlib.Path(__file__).resolve().parents[2]


class SbomTest(unittest.TestCase):
    def test_all_that_is_loaded_is_named(self):
        document = json.loads(subprocess.run([ROOT / "deploy" / "sbom", BINARY], capture_output=True, text=True, check=True).stdout)
        self.assertEqual((document["bomFormat"], document["specVersion"]), ("CycloneDX", "1.4"))
        self.assertEqual(document["metadata"]["component"]["name"], "iotcore")
        components = {each["name"]: each for each in document["components"]}
        for package in ("libc6", "libssl3", "librocksdb7.8", "libsqlite3-0"):
            self.assertIn(package, components)
        for name, each in components.items():
            self.assertRegex(each["purl"], rf"^pkg:deb/debian/{re.escape(name)}@.+\?arch=")
            self.assertTrue(each["licenses"][0]["license"]["name"], name)


if __name__ == "__main__":
    unittest.main()
