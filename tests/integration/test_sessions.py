"""Persistent sessions with a real client of both versions: resumed after a kill -9 and a restart, by the other version too."""
import unittest

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from server import Server, Subscriber, wait_until


class Device:
    """A paho client with a persistent session; several in turn may have the same id."""

    def __init__(self, server, client_id, version, clean=False, will=None, expiry_s=600):
        self.messages = []
        self.connack = None
        self.subscribed = False
        if version == 5:
            self.client = mqtt.Client(client_id=client_id, protocol=mqtt.MQTTv5)
            self.client.on_connect = lambda _, __, flags, reason, ___: self.on_connect(flags)
        else:
            self.client = mqtt.Client(client_id=client_id, protocol=mqtt.MQTTv311, clean_session=clean)
            self.client.on_connect = lambda _, __, flags, ___: self.on_connect(flags)
        self.client.on_message = lambda _, __, message: self.messages.append(message)
        self.client.on_subscribe = lambda *_: setattr(self, "subscribed", True)
        self.client.reconnect_delay_set(1, 1)
        properties = None
        if version == 5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = expiry_s
        if will is not None:
            delay = Properties(PacketTypes.WILLMESSAGE)
            delay.WillDelayInterval = will
            self.client.will_set("wills/" + client_id, "gone", qos=1, properties=delay)
        self.client.connect("127.0.0.1", server.port("mqtt"), **({"clean_start": clean, "properties": properties} if version == 5 else {}))
        self.client.loop_start()
        wait_until(lambda: self.connack is not None)

    def on_connect(self, flags):
        self.connack = flags

    @property
    def session_present(self):
        return bool(self.connack["session present"])

    def subscribe(self, filter, qos):
        self.subscribed = False
        self.client.subscribe(filter, qos)
        wait_until(lambda: self.subscribed)

    def publish(self, topic, payload, qos):
        info = self.client.publish(topic, payload, qos=qos)
        info.wait_for_publish(60)
        assert info.is_published()

    def wait(self, *payloads):
        wait_until(lambda: len(self.messages) >= len(payloads))
        found = [message.payload.decode() for message in self.messages]
        assert found == list(payloads), found

    def lose(self):
        """The connection without a DISCONNECT."""
        self.client.loop_stop()
        self.client._sock_close()

    def close(self):
        self.client.loop_stop()
        self.client.disconnect()


class Sessions(unittest.TestCase):
    def setUp(self):
        self.server = Server()
        self.addCleanup(self.server.close)

    def device(self, *arguments, **settings):
        made = Device(self.server, *arguments, **settings)
        self.addCleanup(made.close)
        return made

    def restart(self):
        self.server.kill()
        self.server.start()

    def test_what_waits_survives_a_crash_and_a_change_of_version(self):
        for qos in (1, 2):
            for first, second in ((4, 5), (5, 4)):
                with self.subTest(qos=qos, first=first, second=second):
                    name = f"dev-{qos}-{first}"
                    device = self.device(name, first)
                    self.assertFalse(device.session_present)
                    device.subscribe(f"in/{name}", qos)
                    device.lose()
                    publisher = self.device(name + "-pub", second)
                    for n in range(3):
                        publisher.publish(f"in/{name}", str(n), qos)
                    publisher.lose()
                    self.restart()
                    again = self.device(name, second)
                    self.assertTrue(again.session_present)
                    again.wait("0", "1", "2")
                    # and the subscription is still there
                    self.device(name + "-pub", first).publish(f"in/{name}", "3", qos)
                    again.wait("0", "1", "2", "3")

    def test_a_clean_start_ends_a_session(self):
        device = self.device("dev", 5)
        device.subscribe("in", 1)
        device.lose()
        self.assertFalse(self.device("dev", 5, clean=True).session_present)
        self.restart()
        publisher = Subscriber(self.server, client_id="pub")
        self.addCleanup(publisher.close)
        publisher.publish("in", "x")
        again = self.device("dev", 4)
        self.assertTrue(again.session_present)  # of the clean start
        again.subscribe("in", 1)
        publisher.publish("in", "y")
        again.wait("y")

    def test_a_delayed_will_survives_a_crash(self):
        watcher = self.device("watcher", 5)
        watcher.subscribe("wills/#", 1)
        self.device("dev", 5, will=2).lose()
        self.restart()
        again = self.device("watcher", 5)
        again.wait("gone")

    def test_a_session_expires(self):
        device = self.device("dev", 5, expiry_s=1)
        device.subscribe("in", 1)
        device.lose()
        wait_until(lambda: "iotcore_sessions_expired_total" in self.metrics() and self.expired() == 1, timeout_s=30)
        self.assertFalse(self.device("dev", 5).session_present)

    def metrics(self):
        import urllib.request

        return urllib.request.urlopen(f"http://127.0.0.1:{self.server.port('admin')}/metrics").read().decode()

    def expired(self):
        return sum(float(line.rsplit(" ", 1)[1]) for line in self.metrics().splitlines() if line.startswith("iotcore_sessions_expired_total"))


if __name__ == "__main__":
    unittest.main(warnings="ignore")
