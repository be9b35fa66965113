"""What peers can make the server hold is bounded, whatever they do, and who behaves is served all the while.

FLOOD=full: as many as an attacker would bring (a million retained topics, 15,000 silent connections), which takes minutes."""
import contextlib
import json
import os
import re
import resource
import socket
import time
import unittest
import urllib.error
import urllib.request

from server import SANITIZED, Server, Subscriber, wait_until

MEBI = 1 << 20
FULL = os.environ.get("FLOOD") == "full"


def variable_byte_integer(n):
    out = b""
    while True:
        n, digit = divmod(n, 128)
        out += bytes([digit | (0x80 if n else 0)])
        if n == 0:
            return out


def text(value):
    value = value.encode() if isinstance(value, str) else value
    return len(value).to_bytes(2, "big") + value


def packet(kind, body):
    return bytes([kind]) + variable_byte_integer(len(body)) + body


def connect(client_id, keep_alive_s=0):
    return packet(0x10, text("MQTT") + b"\x04\x02" + keep_alive_s.to_bytes(2, "big") + text(client_id))


def subscribe(topic_filter, qos=0):
    return packet(0x82, b"\x00\x01" + text(topic_filter) + bytes([qos]))


def publish(topic, payload, qos=0, packet_id=1, retain=False):
    head = text(topic) + (packet_id.to_bytes(2, "big") if qos else b"")
    return packet(0x30 | qos << 1 | retain, head + payload)


class Limits(unittest.TestCase):
    def start(self, *settings):
        server = Server(settings=settings)
        self.addCleanup(server.close)
        return server

    def raw(self, server, client_id):
        connection = server.raw()
        self.addCleanup(connection.close)
        connection.sendall(connect(client_id))
        self.assertEqual(connection.recv(4), b"\x20\x02\x00\x00")
        return connection

    def metric(self, server, name, *labels):
        page = urllib.request.urlopen(f"http://127.0.0.1:{server.port('admin')}/metrics", timeout=30).read().decode()
        lines = [line for line in page.splitlines() if re.match(name + r"[{ ]", line)]
        return sum(float(line.split()[-1]) for line in lines if all(label in line for label in labels))

    def resident(self, server):
        with open(f"/proc/{server.info['pid']}/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()

    def assert_grown_less(self, server, before, bytes_max):
        if not SANITIZED:  # a sanitizer holds back what was given free
            self.assertLess(self.resident(server) - before, bytes_max)

    def is_served(self, server, client_id="bystander"):
        bystander = Subscriber(server, "still/here", client_id=client_id)
        bystander.publish("still/here", "yes")
        bystander.wait(1)
        bystander.close()

    def test_many_publishers_and_one_subscriber_that_does_not_read(self):
        server = self.start("mqtt.out_buffer_bytes_max=2m", "mqtt.queued_bytes_max=2m", "mqtt.inflight_max=50")
        for qos in (0, 1):
            stalled = self.raw(server, f"stalled{qos}")
            stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stalled.sendall(subscribe(f"flood/{qos}", qos))
        before = self.resident(server)
        message = b"x" * 20_000
        publishers = [self.raw(server, f"publisher{i}") for i in range(100)]
        rounds = 400 if FULL else 20
        for n in range(1, rounds + 1):
            for i, publisher in enumerate(publishers):
                qos = i % 2
                publisher.sendall(publish(f"flood/{qos}", message, qos, n))
        self.is_served(server)
        wait_until(lambda: self.metric(server, "iotcore_messages_received_total") >= 100 * rounds, timeout_s=300)
        # 40 MB came, or 800; each of the two may have 2 MiB waiting, in memory that grows by doubling.
        self.assert_grown_less(server, before, 32 * MEBI)
        self.assertGreater(self.metric(server, "iotcore_messages_dropped_total", 'reason="slow_receiver"'), 500)
        self.assertGreater(self.metric(server, "iotcore_messages_dropped_total", 'reason="queue_full"'), 500)

    def test_a_flood_of_retained_topics(self):
        server = self.start("mqtt.retained_messages_max=5000", "store.durability=memory")
        flooder = self.raw(server, "flooder")
        for i in range(0, 30_000, 100):
            flooder.sendall(b"".join(publish(f"flood/{n:05}", b"x" * 50, retain=True) for n in range(i, i + 100)))
        flooder.sendall(b"\xc0\x00")
        self.assertEqual(flooder.recv(2), b"\xd0\x00")
        self.assertEqual(self.metric(server, "iotcore_retained_messages"), 5000)
        self.assertEqual(self.metric(server, "iotcore_limits_reached_total", 'limit="retained"'), 25_000)
        self.assertLess(self.metric(server, "iotcore_retained_bytes"), 5000 * 500)
        data = server.api("iot-data")
        topics, token = [], None
        while True:
            page = data.list_retained_messages(maxResults=200, **({"nextToken": token} if token else {}))
            topics += [each["topic"] for each in page["retainedTopics"]]
            token = page.get("nextToken")
            if not token:
                break
        self.assertEqual(topics, [f"flood/{n:05}" for n in range(5000)])
        kept = data.get_retained_message(topic="flood/00042")
        self.assertEqual((kept["payload"], kept["qos"]), (b"x" * 50, 0))
        with self.assertRaises(data.exceptions.ResourceNotFoundException):
            data.get_retained_message(topic="flood/05000")
        with self.assertRaises(data.exceptions.InvalidRequestException):
            data.list_retained_messages(nextToken="%%%")

    if FULL:

        def test_a_million_retained_topics_against_the_ceiling(self):
            ceiling = 256 * MEBI
            server = self.start(f"mqtt.memory_bytes_max={ceiling}", "store.durability=memory")
            before = self.resident(server)
            flooder = self.raw(server, "flooder")
            flooder.settimeout(600)
            # Once the memory is in use, who sends that much ahead is read slowly, and then no more at all.
            with contextlib.suppress(OSError):
                for i in range(0, 1_000_000, 1000):
                    flooder.sendall(b"".join(publish(f"flood/{n:07}/{'t' * 40}", b"x" * 300, retain=True) for n in range(i, i + 1000)))
                flooder.sendall(b"\xc0\x00")
                flooder.recv(2)
            self.assertGreater(self.metric(server, "iotcore_retained_messages"), 100_000)
            # The engine's write buffers are besides.
            self.assert_grown_less(server, before, ceiling + 256 * MEBI)
            self.assertIn(self.raw_refused(server), (0, 3))

    def raw_refused(self, server):
        """Who comes while the memory is in use is let in or told so."""
        connection = server.raw()
        self.addCleanup(connection.close)
        connection.sendall(connect("late"))
        return connection.recv(4)[3]

    def test_peers_that_say_one_byte_at_a_time(self):
        count = 1000 if FULL else 50
        server = self.start("limits.mqtt.connect_timeout_ms=3000", "limits.http.connect_timeout_ms=3000", "limits.mqtts.connect_timeout_ms=3000")
        # An HTTP head, a CONNECT and a TLS hello that never end.
        words = {"http": b"GET / HTTP/1.1\r\nhost: a\r\n" + b"x: y\r\n" * 1000, "mqtt": b"\x10\xff\x7f\x00\x04MQTT\x04\x02\x00\x00\xff\xff" + b"a" * 5000,
                 "mqtts": b"\x16\x03\x01\x40\x00\x01" + b"\0" * 5000}
        slow = [(server.raw(face), words[face]) for face in words for _ in range(count)]
        for connection, _ in slow:
            self.addCleanup(connection.close)
        open_ones, at, deadline = set(range(len(slow))), 0, time.monotonic() + 60
        while open_ones and time.monotonic() < deadline:
            for i in list(open_ones):
                connection, text = slow[i]
                try:
                    connection.send(text[at:at + 1])
                except OSError:
                    open_ones.discard(i)
            at += 1
            time.sleep(0.3)
        self.assertEqual(len(open_ones), 0, "they could have gone on for ever")
        for connection, _ in slow:
            connection.close()
        self.is_served(server)

    def test_peers_that_never_finish_a_packet(self):
        server = self.start("mqtt.memory_bytes_max=16m")
        before = self.resident(server)
        slow = [self.raw(server, f"slow{i}") for i in range(200)]
        part = publish("t", b"x" * MEBI)[:200_000]
        for connection in slow:
            try:
                connection.sendall(part)
            except OSError:
                pass  # the server has had enough
        # 40 MB were offered.
        self.assertLess(self.metric(server, "iotcore_memory_used_bytes"), 20 * MEBI)
        self.assert_grown_less(server, before, 48 * MEBI)
        self.assertGreater(self.metric(server, "iotcore_mqtt_connections_closed_total", 'reason="THROTTLED"'), 50)
        for connection in slow:
            connection.close()
        wait_until(lambda: self.metric(server, "iotcore_memory_used_bytes") < MEBI)
        self.is_served(server)

    def test_thousands_of_connections_that_say_nothing(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20_000), hard))
        count = min(hard // 2, 15_000) - 200
        server = self.start("workers=2")
        # Connected before: the client library cannot wait for descriptors above 1023.
        bystander = Subscriber(server, "still/here", client_id="bystander")
        before = self.resident(server)
        silent = [server.raw() for _ in range(min(count, 12_000 if FULL else 3000))]
        silent += [server.raw("mqtts") for _ in range(3000 if FULL else 500)]
        for connection in silent:
            self.addCleanup(connection.close)
        for connection in silent[:1000]:
            connection.sendall(b"\x10")  # and some that say a little
        self.raw(server, "late").sendall(publish("still/here", b"yes"))
        bystander.wait(1)
        bystander.close()
        self.assert_grown_less(server, before, len(silent) * 16 * 1024)

    def test_rates(self):
        server = self.start("mqtt.publishes_per_s_max=50")
        subscriber = Subscriber(server, "rate", client_id="subscriber", qos=0)
        publisher = self.raw(server, "publisher")
        started = time.monotonic()
        publisher.sendall(b"".join(publish("rate", b"x") for _ in range(100)))
        subscriber.wait(100)
        self.assertGreater(time.monotonic() - started, 0.9)
        subscriber.close()

    def test_statistics_on_request(self):
        server = self.start("mqtt.sys_topics_interval_s=1")
        subscriber = Subscriber(server, "$SYS/broker/#", client_id="operator")
        wait_until(lambda: {"$SYS/broker/clients/connected", "$SYS/broker/uptime", "$SYS/broker/load/publish/sent/1min", "$SYS/broker/load/bytes/sent/1min"}
                   <= {message.topic for message in subscriber.messages})
        size = 100_000
        subscriber.publish("t", b"x" * size)
        for way in ("received", "sent"):
            wait_until(lambda: any(message.topic == f"$SYS/broker/bytes/{way}" and int(message.payload) > (size if way == "received" else 0)
                                   for message in subscriber.messages))
        subscriber.close()


class Connections(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def call(self, method, path, body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.server.port('http')}{path}", body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                return reply.status, json.loads(reply.read() or b"{}")
        except urllib.error.HTTPError as error:
            return error.code, error.headers["x-amzn-ErrorType"]

    def test_a_connection_and_its_end(self):
        self.assertEqual(self.call("GET", "/connections/nobody"), (404, "ResourceNotFoundException"))
        self.assertEqual(self.call("GET", "/connections/%24x")[0], 400)
        device = Subscriber(self.server, "b/+", "a/#", client_id="dev/1")
        status, info = self.call("GET", "/connections/dev%2F1?includeSocketInformation=true")
        self.assertEqual(status, 200)
        self.assertEqual((info["clientId"], info["connected"], info["cleanSession"]), ("dev/1", True, True))
        self.assertEqual((info["targetIp"], info["targetPort"]), ("127.0.0.1", self.server.port("mqtt")))
        self.assertEqual(info["keepAliveDuration"], 60)
        self.assertEqual(info["sourceIp"], "127.0.0.1")
        self.assertAlmostEqual(info["connectedSince"] / 1000, time.time(), delta=60)
        status, first = self.call("GET", "/connections/dev%2F1/subscriptions?maxResults=1")
        self.assertEqual(first["subscriptions"], [{"topicFilter": "a/#", "qos": 1}])
        status, second = self.call("GET", f"/connections/dev%2F1/subscriptions?nextToken={first['nextToken'].replace('=', '%3D')}")
        self.assertEqual(second["subscriptions"], [{"topicFilter": "b/+", "qos": 1}])
        self.assertNotIn("nextToken", second)
        status, sent = self.call("POST", "/connections/dev%2F1/messages?topic=only%2Fyou&confirmation=true", b"hello")
        self.assertEqual((status, sent["message"]), (200, "OK"))
        self.assertEqual(device.wait(1)[0].payload, b"hello")
        self.assertEqual(self.call("POST", "/connections/dev%2F1/messages?topic=%24aws%2Fx", b"")[0], 400)
        self.assertEqual(self.call("POST", "/connections/dev%2F1/messages?topic=t&timeout=16", b"")[0], 400)
        device.client.on_disconnect = lambda *_: device.client.loop_stop()
        self.assertEqual(self.call("DELETE", "/connections/dev%2F1")[0], 200)
        wait_until(lambda: self.call("GET", "/connections/dev%2F1")[0] == 404)
        device.close()


if __name__ == "__main__":
    unittest.main(warnings="ignore")
