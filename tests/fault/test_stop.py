"""SIGTERM: what is under way ends in good order within drain_ms, and a second one does not wait."""
import os
import signal
import socket
import sqlite3
import struct
import threading
import time
import unittest

import wire
from crashes import Server, Subscriber, wait_until

DRAIN_MS = 2000
MARGIN_S = 10  # of a busy machine, and of a sanitizer


class Stop(unittest.TestCase):
    def start(self, drain_ms):
        server = Server(settings=[f"drain_ms={drain_ms}"])
        self.addCleanup(server.close)
        return server

    def stalled(self, server, topic):
        """A subscriber that does not read and has much to read: it is the last to be waited for."""
        link = wire.Link(server.port("mqtt"), "stalled", [topic])
        self.addCleanup(link.close)
        return link

    def test_it_drains_under_load_and_exits_with_0(self):
        server = self.start(DRAIN_MS)
        acknowledged = {}
        sent = [0]

        def produce():
            sent[0] += 1
            topic = f"kept/{sent[0] % 100}"
            return topic, str(sent[0]).encode(), True, (topic, sent[0])

        def note(token):
            acknowledged[token[0]] = token[1]

        publisher = wire.Publisher(server.port("mqtt"), "busy", 32, produce, note)
        self.addCleanup(publisher.close)
        load = threading.Thread(target=wire.run, args=([publisher],))
        load.start()
        idle = wire.Link(server.port("mqtt"), "idle")  # never closes its side
        self.addCleanup(idle.close)
        time.sleep(0.3)
        before = time.monotonic()
        self.assertEqual(server.stop(), 0)
        self.assertLess(time.monotonic() - before, DRAIN_MS / 1000 + MARGIN_S)
        load.join()
        self.assertEqual(idle.receive(), None)
        self.assertGreater(len(acknowledged), 0)
        self.assertIn("server.stopped", server.read_log())

        server.start()
        reader = Subscriber(server, "kept/#", client_id="reader")
        self.addCleanup(reader.close)
        reader.wait(len(acknowledged))
        for message in reader.messages:
            self.assertGreaterEqual(int(message.payload), acknowledged.get(message.topic, 0))

    def test_v5_clients_are_told(self):
        server = self.start(DRAIN_MS)
        link = socket.create_connection(("127.0.0.1", server.port("mqtt")), timeout=20)
        self.addCleanup(link.close)
        link.sendall(wire.packet(0x10, wire.text("MQTT") + bytes([5, 2]) + struct.pack("!H", 60) + b"\0" + wire.text("v5")))
        self.assertEqual(link.recv(1 << 16)[0] >> 4, wire.CONNACK)
        server.process.send_signal(signal.SIGTERM)
        rest = b""
        while data := link.recv(1 << 16):
            rest += data
        (first, body), = wire.take_packets(bytearray(rest))
        self.assertEqual((first, body[0]), (0xE0, 0x8B))  # DISCONNECT, server shutting down
        link.close()
        self.assertEqual(server.process.wait(60), 0)

    def flood(self, server, link):
        """Fills what lies between the server and a subscriber that does not read."""
        payload = bytes(100_000)
        publisher = Subscriber(server, client_id="flood")
        for _ in range(200):
            publisher.publish("flood/a", payload, qos=0)
        publisher.publish("flood/end", "", qos=1)
        publisher.close()

    def test_a_client_that_takes_nothing_is_not_waited_for_beyond_drain_ms(self):
        server = self.start(DRAIN_MS)
        self.flood(server, self.stalled(server, "flood/#"))
        before = time.monotonic()
        self.assertEqual(server.stop(), 0)
        self.assertLess(time.monotonic() - before, DRAIN_MS / 1000 + MARGIN_S)

    def test_a_second_signal_exits_at_once(self):
        server = self.start(60_000)
        self.flood(server, self.stalled(server, "flood/#"))
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "server.stopping" in server.read_log())
        time.sleep(0.2)
        self.assertIsNone(server.process.poll(), "nothing to wait for: this does not test what it is to test")
        before = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual(server.process.wait(60), 1)
        self.assertLess(time.monotonic() - before, MARGIN_S)


    def test_a_sink_that_is_down_is_not_waited_for_and_gets_its_records_later(self):
        server = self.start(DRAIN_MS)
        rules, sinks = server.path("rules.d"), server.path("sinks")
        os.makedirs(rules, exist_ok=True)
        with open(os.path.join(rules, "down.sql"), "w") as file:
            file.write("CREATE RULE down AS SELECT n FROM 'down/#' DO sqlite(file = 'down.db', table = 'rows')\n"
                       "DO sqlite(file = 'down.db', table = 'volatile') WITH (durable = 'never', maxAttempts = 1000);\n")
        os.makedirs(os.path.join(sinks, "down.db"))  # a folder in its place
        server.stop()
        server.start()
        stalled = self.stalled(server, "flood/#")
        publisher = Subscriber(server, client_id="publisher")
        for n in range(20):
            publisher.publish("down/a", '{"n":%d}' % n)
        publisher.close()
        self.flood(server, stalled)
        before = time.monotonic()
        self.assertEqual(server.stop(), 0)
        self.assertLess(time.monotonic() - before, DRAIN_MS / 1000 + MARGIN_S)

        os.rmdir(os.path.join(sinks, "down.db"))
        server.start()

        def rows():
            try:
                with sqlite3.connect(f"file:{os.path.join(sinks, 'down.db')}?mode=ro", uri=True) as database:
                    return [n for n, in database.execute("SELECT n FROM rows ORDER BY n")]
            except sqlite3.OperationalError:
                return []

        wait_until(lambda: rows() == list(range(20)))


if __name__ == "__main__":
    unittest.main(warnings="ignore")
