"""Many clients at one shadow: nothing is lost, versions have no gap, and each answer comes once."""
import http.client
import json
import os
import socket
import sys
import threading
import unittest

import paho.mqtt.client as mqtt

from server import Server, Subscriber

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fault"))
import wire  # noqa: E402

CLIENTS, UPDATES = 100, 100
TOPIC = "$aws/things/counter/shadow/update"


class Monitor(wire.Link):
    """Takes every answer, until there are as many as expected."""

    def collect(self, count):
        answers = []
        while len(answers) < count:
            for first, body in self.receive():
                end = 2 + int.from_bytes(body[:2], "big")
                self.send(wire.packet(wire.PUBACK << 4, body[end:end + 2]))
                answers.append((body[2:end].decode(), json.loads(body[end + 2:])))
        return answers


class ShadowConcurrency(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # The monitor reads more slowly than a hundred clients write; what waits for it may not be dropped.
        cls.server = Server(settings=["mqtt.queued_messages_max=100000", "mqtt.queued_bytes_max=1g", "mqtt.out_buffer_bytes_max=64m"])

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def test_ten_thousand_updates_by_a_hundred_clients(self):
        # Subscriptions that overlap: each answer comes once all the same.
        monitor = Monitor(self.server.port("mqtt"), "monitor", [TOPIC + "/+", TOPIC + "/accepted", "$aws/things/+/shadow/update/documents"])
        publishers = []
        for n in range(CLIENTS):
            numbers = iter(range(1, UPDATES + 1))

            def produce(n=n, numbers=numbers):
                k = next(numbers)
                return TOPIC, json.dumps({"state": {"reported": {f"c{n}": k}}, "clientToken": f"{n}-{k}"}).encode(), False, k

            publishers.append(wire.Publisher(self.server.port("mqtt"), f"writer-{n}", 10, produce, lambda token: None, limit=UPDATES))
        collected = []
        collector = threading.Thread(target=lambda: collected.extend(monitor.collect(2 * CLIENTS * UPDATES)))
        collector.start()
        wire.run(publishers)
        collector.join(120)
        self.assertFalse(collector.is_alive(), f"{len(collected)} answers came")
        accepted = [body for topic, body in collected if topic == TOPIC + "/accepted"]
        self.assertEqual([body["version"] for body in accepted], list(range(1, CLIENTS * UPDATES + 1)))
        self.assertEqual(len({body["clientToken"] for body in accepted}), CLIENTS * UPDATES)
        documents = [body for topic, body in collected if topic == TOPIC + "/documents"]
        for before, after in zip(documents, documents[1:]):
            self.assertEqual(before["current"], after["previous"])
        shadow = json.loads(self.server.api("iot-data").get_thing_shadow(thingName="counter")["payload"].read())
        self.assertEqual(shadow["version"], CLIENTS * UPDATES)
        self.assertEqual(shadow["state"]["reported"], {f"c{n}": UPDATES for n in range(CLIENTS)})

    def test_an_expected_version_is_an_optimistic_lock(self):
        rounds, counters = 25, 8
        conflicts = []

        def request(connection, method, body=None):
            connection.request(method, "/things/lock/shadow", body)
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read())

        def count():
            connection = http.client.HTTPConnection("127.0.0.1", self.server.port("http"), timeout=60)
            left = rounds
            while left:
                _, shadow = request(connection, "GET")
                body = {"state": {"reported": {"n": shadow["state"]["reported"]["n"] + 1}}, "version": shadow["version"]}
                status, _ = request(connection, "POST", json.dumps(body))
                if status == 200:
                    left -= 1
                else:
                    self.assertEqual(status, 409)
                    conflicts.append(status)

        self.server.api("iot-data").update_thing_shadow(thingName="lock", payload='{"state": {"reported": {"n": 0}}}')
        threads = [threading.Thread(target=count) for _ in range(counters)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        shadow = json.loads(self.server.api("iot-data").get_thing_shadow(thingName="lock")["payload"].read())
        self.assertEqual(shadow["state"]["reported"]["n"], rounds * counters)
        self.assertEqual(shadow["version"], rounds * counters + 1)
        self.assertTrue(conflicts, "nobody met anybody")

    def test_a_will_at_a_request_topic_changes_nothing_and_is_heard(self):
        listener = Subscriber(self.server, "$aws/things/mortal/shadow/#", client_id="listener")
        self.addCleanup(listener.close)
        mortal = mqtt.Client(client_id="mortal")
        mortal.will_set("$aws/things/mortal/shadow/update", '{"state": {"reported": {"connected": false}}}', qos=1)
        mortal.connect("127.0.0.1", self.server.port("mqtt"))
        mortal.loop_start()
        while not mortal.is_connected():
            pass
        mortal.socket().shutdown(socket.SHUT_RDWR)
        mortal.loop_stop()
        listener.wait(1)
        listener.publish("$aws/things/mortal/shadow/get", "")
        listener.wait(3)
        self.assertEqual([message.topic.rsplit("shadow/")[1] for message in listener.messages], ["update", "get", "get/rejected"])


if __name__ == "__main__":
    unittest.main(warnings="ignore")
