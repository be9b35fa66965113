"""mosquitto's and paho's clients on every MQTT face."""
import json
import os
import subprocess
import time
import unittest

import paho.mqtt.client as mqtt

from server import Server, Subscriber, wait_until


def connect_with_will(client_id, topic, payload):
    def text(value):
        return len(value).to_bytes(2, "big") + value

    body = text(b"MQTT") + b"\x04\x06\x00\x3c" + text(client_id.encode()) + text(topic.encode()) + text(payload)
    return b"\x10" + bytes([len(body)]) + body


class MqttClients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.certificate = cls.server.device("dev1")

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def tls_arguments(self):
        return ["-h", "localhost", "-p", str(self.server.port("mqtts")), "--cafile", self.server.ca,
                "--cert", self.certificate[0], "--key", self.certificate[1]]

    def subscriber(self, *filters, **options):
        made = Subscriber(self.server, *filters, **options)
        self.addCleanup(made.close)
        return made

    def test_both_versions_and_both_qos_reach_each_other(self):
        got = {
            version: self.subscriber("versions/#", client_id=f"sub-{version}", protocol=version)
            for version in (mqtt.MQTTv311, mqtt.MQTTv5)
        }
        for version in ("mqttv311", "mqttv5"):
            for qos in ("0", "1"):
                subprocess.run(
                    ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(self.server.port("mqtt")), "-V", version,
                     "-q", qos, "-t", f"versions/{version}/{qos}", "-m", f"{version} {qos}"],
                    check=True, timeout=30,
                )
        expected = {b"mqttv311 0", b"mqttv311 1", b"mqttv5 0", b"mqttv5 1"}
        for subscriber in got.values():
            subscriber.wait(4)
            self.assertEqual(set(subscriber.payloads()), expected)

    def test_mutual_tls_on_8883_and_by_alpn_on_the_https_face(self):
        listener = self.subscriber("tls/#")
        subprocess.run(["mosquitto_pub", *self.tls_arguments(), "-i", "dev1", "-q", "1", "-t", "tls/1", "-m", "a"],
                       check=True, timeout=30)
        by_alpn = self.tls_arguments()
        by_alpn[3] = str(self.server.port("https"))
        subprocess.run(["mosquitto_pub", *by_alpn, "--tls-alpn", "x-amzn-mqtt-ca", "-i", "dev1", "-q", "1",
                        "-t", "tls/2", "-m", "b"], check=True, timeout=30)
        listener.wait(2)
        self.assertEqual(listener.payloads(), [b"a", b"b"])

    def test_without_a_certificate_nobody_gets_in_by_tls(self):
        for version, words in (("mqttv311", "not authorised"), ("mqttv5", "Not authorized")):
            refused = subprocess.run(
                ["mosquitto_pub", "-h", "localhost", "-p", str(self.server.port("mqtts")), "--cafile",
                 self.server.ca, "-V", version, "-t", "x", "-m", "y", "-q", "1"],
                capture_output=True, text=True, timeout=30,
            )
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn(words.lower(), refused.stderr.lower())

    def test_websocket(self):
        over_ws = self.subscriber("ws/#", client_id="ws", transport="websockets", face="http")
        over_ws.publish("ws/t", b"x" * 70000)
        over_ws.wait(1)
        self.assertEqual(over_ws.payloads(), [b"x" * 70000])

    def test_retained_and_will(self):
        publisher = self.subscriber(client_id="keeper")
        publisher.publish("kept/a", "1", retain=True)
        late = self.subscriber("kept/+", "wills/#", client_id="late")
        late.wait(1)
        self.assertTrue(late.messages[0].retain)
        dying = self.server.raw()
        dying.sendall(connect_with_will("dying", "wills/dying", b"gone"))
        self.assertEqual(dying.recv(4), b"\x20\x02\x00\x00")
        dying.close()  # no DISCONNECT
        late.wait(2)
        self.assertEqual(late.messages[1].payload, b"gone")

    def test_presence_events(self):
        watcher = self.subscriber("$aws/events/presence/+/guest", client_id="watcher")
        guest = Subscriber(self.server, client_id="guest")
        watcher.wait(1)
        guest.close()
        watcher.wait(2)
        connected, disconnected = (json.loads(payload) for payload in watcher.payloads())
        self.assertEqual(connected["eventType"], "connected")
        self.assertEqual(connected["clientId"], "guest")
        self.assertEqual(connected["ipAddress"], "127.0.0.1")
        self.assertTrue(disconnected["clientInitiatedDisconnect"])
        self.assertEqual(disconnected["disconnectReason"], "CLIENT_INITIATED_DISCONNECT")
        self.assertEqual(connected["sessionIdentifier"], disconnected["sessionIdentifier"])
        self.assertEqual(connected["versionNumber"], disconnected["versionNumber"])

    def test_a_deactivated_certificate_is_cut_off_within_a_second(self):
        certificate, key, arn = self.server.device("dev2")
        device = self.subscriber("x", client_id="dev2", tls=(certificate, key))
        lost = []
        device.client.on_disconnect = lambda *_: lost.append(time.monotonic())
        self.server.api().update_certificate(certificateId=arn.split("/")[1], newStatus="INACTIVE")
        began = time.monotonic()
        wait_until(lambda: lost, 10)
        self.assertLess(lost[0] - began, 5)  # one second on a quiet machine

    def test_policies_hold(self):
        prefix = "arn:aws:iot:us-east-1:000000000000:"
        document = {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "iot:Connect", "Resource": prefix + "client/${iot:Connection.Thing.ThingName}"},
            {"Effect": "Allow", "Action": "iot:Publish", "Resource": prefix + "topic/own/${iot:ClientId}/*"},
        ]}
        certificate, key, _ = self.server.device("dev3", document)
        arguments = ["-h", "localhost", "-p", str(self.server.port("mqtts")), "--cafile", self.server.ca,
                     "--cert", certificate, "--key", key, "-q", "1", "-m", "x", "-V", "mqttv5"]
        listener = self.subscriber("own/#", client_id="policy-listener")
        subprocess.run(["mosquitto_pub", *arguments, "-i", "dev3", "-t", "own/dev3/a"], check=True, timeout=30)
        denied = subprocess.run(["mosquitto_pub", *arguments, "-i", "dev3", "-t", "own/dev1/a"],
                                capture_output=True, text=True, timeout=30)
        self.assertIn("Not authorized", denied.stderr)
        stranger = subprocess.run(["mosquitto_pub", *arguments, "-i", "other", "-t", "own/other/a"],
                                  capture_output=True, text=True, timeout=30)
        self.assertNotEqual(stranger.returncode, 0)
        listener.wait(1)
        self.assertEqual([message.topic for message in listener.messages], ["own/dev3/a"])


if __name__ == "__main__":
    unittest.main(warnings="ignore")
