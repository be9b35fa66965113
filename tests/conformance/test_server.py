"""Replays the cases against the real server: over plain TCP on the development face, and over mutual TLS."""
import os
import subprocess
import sys
import unittest

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(FOLDER, "../integration"))
from server import Server  # noqa: E402


class Conformance(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.certificate, cls.key, _ = cls.server.device("conformance")

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def replay(self, face, *arguments):
        only = ["--only", os.environ["ONLY"]] if "ONLY" in os.environ else []
        runner = subprocess.Popen(
            [os.environ["CONFORMANCE"], FOLDER, "server", str(self.server.port(face)), *arguments, *only],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        # The cases say when the server is to die.
        for line in runner.stdout:
            self.assertEqual(line, "restart\n")
            self.server.kill()
            self.server.start()
            print(self.server.port(face), file=runner.stdin, flush=True)
        self.assertEqual(runner.wait(), 0)

    def test_plain(self):
        self.replay("mqtt")

    def test_mutual_tls(self):
        self.replay("mqtts", "--tls", self.server.ca, self.certificate, self.key)


if __name__ == "__main__":
    unittest.main(warnings="ignore")
