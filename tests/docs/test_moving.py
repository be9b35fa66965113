"""Runs what the guide for those who come from AWS shows: its shell, and the programs that it has in files."""
import importlib.util
import os
import re
import shutil
import subprocess
import unittest

from test_docs import BINARY, ROOT, Server
import node_packages

PACKAGES = {"@aws-sdk/client-iot": "3.1169.0"}
DEVICE_PACKAGES = {"aws-iot-device-sdk-v2": "1.28.0"}


class Moving(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(dev=False)
        cls.addClassCleanup(cls.server.close)
        cls.text = (ROOT / "docs" / "moving_from_aws.md").read_text()

    def install(self, folder):
        """Where node looks for the packages of the examples; without npm, the examples that need it are left out."""
        try:
            installed = [node_packages.install("aws-sdk", PACKAGES), node_packages.install("device-sdk", DEVICE_PACKAGES)]
        except unittest.SkipTest:
            return False
        os.environ["NODE_PATH"] = ":".join(os.path.join(each, "node_modules") for each in installed)
        os.symlink(os.path.join(installed[0], "node_modules"), os.path.join(folder, "node_modules"))  # modules do not know NODE_PATH
        return True

    def test_the_guide_works_as_written(self):
        folder = self.server.folder
        with_node = self.install(folder)
        os.symlink(self.server.data_dir, os.path.join(folder, "iotcore-data"))
        script, expected = [], ["{'site': 'north'}", "pump"]
        for language, body in re.findall(r"^```(\w+)\n(.*?)^```", self.text, re.M | re.S):
            body = body.replace("8443", str(self.server.port("https"))).replace("8883", str(self.server.port("mqtts")))
            body = body.replace("build/release/iotcore", os.path.abspath(BINARY))
            named = re.match(r"(?:#|//) (\S+)\n", body)
            if named:
                with open(os.path.join(folder, named.group(1)), "w") as file:
                    file.write(body)
            elif language == "sh" and (with_node or "node " not in body):
                script.append(body.replace("python3", "/usr/bin/python3"))
        if with_node:
            expected.append("published by the Device SDK")
        if importlib.util.find_spec("awsiot"):
            script.append("/usr/bin/python3 device.py")
            expected.append("published by the Device SDK for Python")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join(script)], cwd=folder, capture_output=True, text=True, timeout=250,
            env=dict(os.environ, IOTCORE_DATA_DIR="iotcore-data", AWS_PAGER="",
                     PATH=":".join(["/usr/bin", "/bin", os.path.dirname(shutil.which("node") or "/bin/node")])),
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr + self.server.read_log())
        for each in expected:
            self.assertIn(each, done.stdout)


if __name__ == "__main__":
    unittest.main(warnings="ignore")
