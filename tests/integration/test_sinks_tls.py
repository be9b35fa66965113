"""Targets over TLS: with the authority that they are told, and with another one, which nobody may pass for; and with a certificate of ours for servers that ask."""
import ssl
import unittest

import paho.mqtt.client as mqtt

from server import wait_until
from sinks import TlsCase
import targets


class TlsSinks(TlsCase):
    @classmethod
    def setUpClass(cls):
        cls.start_server()

    def start(self, kind, asks=False):
        made = kind(tls=True, asks=asks)
        self.addCleanup(made.close)
        return made

    def test_postgres(self):
        db = self.start(targets.Postgres)
        db.ask("CREATE TABLE t(v text)")
        self.deliver("postgres", db, "postgres(target = '{target}', table = 't')", ", dbname = 'postgres', user = 'iot'")
        self.wait_equal(lambda: db.ask("SELECT v FROM t"), "right")
        self.assertEqual(db.ask("SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'iotcore'"), "t")

    def test_redis(self):
        redis = self.start(targets.Redis)
        self.deliver("redis", redis, "redis(target = '{target}', command = 'SET', key = 'k')")
        self.wait_equal(lambda: redis.ask("GET", "k"), '{"v":"right"}')

    def test_nats(self):
        nats = self.start(targets.Nats)
        self.deliver("nats", nats, "nats(target = '{target}', subject = 's')")

    def listen(self, broker, topic):
        """What comes from a mosquitto that has TLS."""
        got = []
        client = mqtt.Client(client_id="listener")
        client.tls_set(ca_certs=broker.certificate, cert_reqs=ssl.CERT_REQUIRED, **(
            {"certfile": broker.client[1], "keyfile": broker.client[2]} if broker.asks else {}))
        ready = []
        client.on_message = lambda client, data, message: got.append(message.payload)
        client.on_connect = lambda client, *_: client.subscribe(topic, 1)
        client.on_subscribe = lambda *_: ready.append(1)
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        self.addCleanup(client.loop_stop)
        self.addCleanup(client.disconnect)
        wait_until(lambda: ready)
        return got

    def test_mqtt(self):
        broker = self.start(targets.Mosquitto)
        got = self.listen(broker, "bridged")
        self.deliver("mqtt", broker, "mqtt(target = '{target}', topic = 'bridged')")
        self.wait_equal(lambda: got, [b'{"v":"right"}'])

    def test_mqtt_with_a_certificate(self):
        broker = self.start(targets.Mosquitto, asks=True)
        got = self.listen(broker, "bridged")
        self.deliver_known("mqtt", broker, "mqtt(target = '{target}', topic = 'bridged')")
        self.wait_equal(lambda: got, [b'{"v":"right"}'])


if __name__ == "__main__":
    unittest.main(warnings="ignore")
