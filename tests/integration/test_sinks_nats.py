"""Rules that publish to NATS and JetStream: the real server, killed while messages are on their way."""
import base64
import json
import socket
import unittest

from sinks import SinkCase, shut_out
import targets

COUNT = 400


class NatsClient:
    """As much of the protocol as the test needs."""
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.reader = self.socket.makefile("rb")
        self.reader.readline()  # INFO
        self.send('CONNECT {"verbose":false,"headers":true}')
        self.ping()

    def send(self, line, payload=None):
        self.socket.sendall(line.encode() + b"\r\n" + (payload + b"\r\n" if payload is not None else b""))

    def ping(self):
        self.send("PING")
        while self.reader.readline() != b"PONG\r\n":
            pass

    def subscribe(self, subject):
        self.send(f"SUB {subject} 1")
        self.ping()

    def next(self):
        """(subject, headers, payload)"""
        while True:
            words = self.reader.readline().decode().split()
            if words and words[0] == "PING":
                self.send("PONG")
            elif words and words[0] in ("MSG", "HMSG"):
                whole = self.reader.read(int(words[-1]))
                self.reader.read(2)
                head = int(words[-2]) if words[0] == "HMSG" else 0
                return words[1], whole[:head].decode(), whole[head:]

    def request(self, subject, document):
        self.send("SUB inbox 9")
        payload = json.dumps(document).encode()
        self.send(f"PUB {subject} inbox {len(payload)}", payload)
        answer = json.loads(self.next()[2])
        self.send("UNSUB 9")
        return answer

    def close(self):
        self.reader.close()
        self.socket.close()


class NatsSink(SinkCase):
    @classmethod
    def setUpClass(cls):
        cls.nats = targets.Nats()
        cls.addClassCleanup(cls.nats.close)
        cls.start_server()

    def ask(self, subject, document):
        client = NatsClient(self.nats.port)
        try:
            return client.request(subject, document)
        finally:
            client.close()

    def stored(self, stream):
        try:
            return self.ask("$JS.API.STREAM.INFO." + stream, {})["state"]["messages"]
        except (OSError, KeyError, ValueError):
            return -1

    def rule(self, name, text):
        self.apply(name, f"CREATE TARGET {name}_n AS nats(host = '127.0.0.1', port = {self.nats.port});\nCREATE RULE {name} AS {text};")

    def test_core_nats_gets_subject_headers_and_payload(self):
        listener = NatsClient(self.nats.port)
        self.addCleanup(listener.close)
        listener.subscribe("plant.>")
        self.rule("core", "SELECT v FROM 'core/+' DO nats(target = 'core_n', subject = 'plant.${topic(2)}.v', headers = {'device': '${topic(2)}'})")
        self.publish("core/m1", {"v": 5})
        subject, headers, payload = listener.next()
        self.assertEqual((subject, payload), ("plant.m1.v", b'{"v":5}'))
        self.assertIn("device: m1", headers)
        self.assertIn("Nats-Msg-Id: ", headers)

    def test_a_bad_subject_fails_and_a_missing_stream_waits(self):
        self.rule("subject", "SELECT v FROM 'subject/in' DO nats(target = 'subject_n', subject = 'late.${v}', jetstream = TRUE)"
                             " WITH (retryMax = 200) ON ERROR DO republish(topic = 'subject/failed', qos = 1)")
        failed = self.failures("subject/failed")
        self.publish("subject/in", {"v": "a b"})
        self.assertIn(b"no subject", failed.wait(1)[0].payload)
        self.publish("subject/in", {"v": "x"})
        self.assertNotIn("error", self.ask("$JS.API.STREAM.CREATE.LATE", {"name": "LATE", "subjects": ["late.>"]}))
        self.wait_equal(lambda: self.stored("LATE"), 1)

    def test_nothing_is_lost_repeated_or_reordered_when_the_server_is_killed(self):
        self.assertNotIn("error", self.ask("$JS.API.STREAM.CREATE.KEPT", {"name": "KEPT", "subjects": ["kept.>"]}))
        self.rule("kept", "SELECT n FROM 'kept/in' DO nats(target = 'kept_n', subject = 'kept.n', jetstream = TRUE) WITH (retryMax = 500)")
        self.load_while_killed("kept/in", self.nats, COUNT, lambda: self.stored("KEPT") > 0)
        # NATS does not sync what it has acknowledged: kill -9 leaves that to the kernel, which is well.
        self.wait(lambda: self.stored("KEPT") >= COUNT, lambda: f"{self.stored('KEPT')} messages")
        client = NatsClient(self.nats.port)
        self.addCleanup(client.close)
        numbers = []
        for sequence in range(1, self.stored("KEPT") + 1):
            message = client.request("$JS.API.STREAM.MSG.GET.KEPT", {"seq": sequence})["message"]
            numbers.append(json.loads(base64.b64decode(message["data"]))["n"])
        self.assertEqual(shut_out(numbers, COUNT), ([], False))
        self.assertEqual(len(numbers), COUNT)


if __name__ == "__main__":
    unittest.main(warnings="ignore")
