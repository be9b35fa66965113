"""The AWS SDK for JavaScript v3, unmodified, against the registry: on the development face and, signed, over TLS."""
import configparser
import os
import unittest

import node_packages
from server import Server

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "js_sdk", "registry.mjs")
PACKAGES = {"@aws-sdk/client-iot": "3.1169.0"}


class JsSdk(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.packages = node_packages.install("aws-sdk", PACKAGES)

    def run_sdk(self, server, url):
        output = node_packages.run(self.packages, SCRIPT, url)
        self.assertEqual(output.splitlines()[-1:], ["ok"], output)

    def test_on_the_development_face(self):
        server = Server()
        self.addCleanup(server.close)
        self.run_sdk(server, f"http://127.0.0.1:{server.port('http')}")

    def test_signed_over_tls(self):
        server = Server(dev=False)
        self.addCleanup(server.close)
        keys = configparser.ConfigParser()
        keys.read(server.path("credentials"))
        profile = keys[keys.sections()[0]] if keys.sections() else keys["default"]
        for name, value in (("KEY", profile["aws_access_key_id"]), ("SECRET", profile["aws_secret_access_key"]),
                            ("NODE_EXTRA_CA_CERTS", server.ca)):
            os.environ[name] = value
            self.addCleanup(os.environ.pop, name)
        self.run_sdk(server, f"https://localhost:{server.port('https')}")


if __name__ == "__main__":
    unittest.main(warnings="ignore")
