"""Replays the cases against the real server: over plain TCP and WebSocket on the development faces, and over mutual TLS."""
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

    def test_websocket(self):
        self.replay("http", "--websocket")

    def test_text_frames_end_a_websocket(self):
        for opcode, payload in ((1, b"\xc0\x00"), (1, b"text"), (3, b"")):
            with self.server.raw("http") as connection:
                connection.sendall(b"GET /mqtt HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                   b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                                   b"Sec-WebSocket-Protocol: mqtt\r\n\r\n")
                answer = connection.recv(4096)
                self.assertTrue(answer.startswith(b"HTTP/1.1 101"), answer)
                # Unmasked by a mask of zeros.
                connection.sendall(bytes([0x80 | opcode, 0x80 | len(payload)]) + bytes(4) + payload)
                rest = b""
                while part := connection.recv(4096):
                    rest += part
                self.assertTrue(rest == b"" or rest[0] == 0x88, rest)  # a Close frame at most


if __name__ == "__main__":
    unittest.main(warnings="ignore")
