"""AWS's own device SDKs of npm, unmodified: a shadow's whole life, classic and named, over mutual TLS."""
import os
import unittest

import node_packages
from server import Server

SCRIPTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "device_sdks")
PACKAGES = {"aws-iot-device-sdk-v2": "1.28.0", "aws-iot-device-sdk": "2.2.16"}


class DeviceSdksShadow(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.packages = node_packages.install("device-sdks", PACKAGES)
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def run_sdk(self, script, thing, *arguments):
        certificate, key, _ = self.server.device(thing)
        output = node_packages.run(self.packages, os.path.join(SCRIPTS, script), *arguments, thing,
                                   str(self.server.port("mqtts")), self.server.ca, certificate, key)
        self.assertEqual(output.splitlines()[-1:], ["ok"], output)

    def test_v2(self):
        for how in ("v1-311", "v1-5", "v2-311", "v2-5"):
            for which in ("classic", "config"):
                with self.subTest(how=how, which=which):
                    self.run_sdk("shadow_v2.js", f"lamp-{how}-{which}", how, which)

    def test_v1(self):
        self.run_sdk("shadow_v1.js", "fan")


if __name__ == "__main__":
    unittest.main(warnings="ignore")
