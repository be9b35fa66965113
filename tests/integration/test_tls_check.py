"""The TLS faces of a running server under tests/tls/check.py; and that it notices what is weak."""
import io
import os
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../tls"))
import check  # noqa: E402
from server import Server, wait_until  # noqa: E402


class Faces(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def test_nothing_is_weak(self):
        certificate, key, _ = self.server.device("checked")
        for face, identity in (("mqtts", ["-cert", certificate, "-key", key]), ("https", [])):
            with self.subTest(face):
                report = check.check(check.Face("localhost", self.server.port(face), self.server.ca, None, identity), io.StringIO())
                self.assertEqual(report.bad, [])
                self.assertGreater(len(report.lines), 30)


class Weak(unittest.TestCase):
    """A server that is set up badly on purpose."""

    def test_it_is_noticed(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        certificate, key = os.path.join(folder, "cert"), os.path.join(folder, "key")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:1024", "-nodes", "-keyout", key, "-out", certificate, "-subj", "/CN=other", "-days", "5", "-sha1"],
            check=True, capture_output=True,
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        process = subprocess.Popen(
            ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", certificate, "-key", key, "-cipher", "ALL:COMPLEMENTOFALL:@SECLEVEL=0",
             "-min_protocol", "TLSv1", "-client_renegotiation", "-quiet"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        wait_until(lambda: self.listens(port))
        report = check.check(check.Face("127.0.0.1", port, certificate, "localhost"), io.StringIO())
        bad = "\n".join(report.bad)
        for what in ("TLS 1.0 is refused", "TLS 1.1 is refused", "only forward secrecy", "no suite of the kind kRSA",
                     "is for localhost", "certificate 0: key", "certificate 0: signature", "certificate 0: valid for another"):
            self.assertIn(what, bad)

    @staticmethod
    def listens(port):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return True
        except OSError:
            return False


if __name__ == "__main__":
    unittest.main()
