"""Targets over TLS: with the authority that they are told, and with another one, which nobody may pass for; and with a certificate of ours for servers that ask."""
import base64
import json
import ssl
import unittest

import paho.mqtt.client as mqtt

from kafka_cluster import KafkaCluster
from server import wait_until
from sinks import TlsCase
import targets


class TlsSinks(TlsCase):
    @classmethod
    def setUpClass(cls):
        cls.start_server("http.allow=127.0.0.1")

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

    def kafka(self, asks=False):
        made = KafkaCluster(asks)
        self.addCleanup(made.close)
        return made

    def test_kafka(self):
        kafka = self.kafka()
        self.deliver_at("kafka", kafka, "kafka(target = '{target}', topic = 'readings', key = 'k')")
        self.assertEqual(kafka.read("readings"), (b"k", b'{"v":"right"}'))

    def test_kafka_with_a_certificate(self):
        kafka = self.kafka(asks=True)
        ca = f"ca = '{kafka.certificate}'"
        self.deliver_at("kafkaknown", kafka, "kafka(target = '{target}', topic = 'readings', key = 'k')",
                        {"right": f"{ca}, cert = '{kafka.client[1]}', key = '{kafka.client[2]}'", "wrong": ca})
        self.assertEqual(kafka.read("readings"), (b"k", b'{"v":"right"}'))

    def test_kafka_as_aws_names_its_properties(self):
        kafka = self.kafka()
        with open(kafka.certificate) as file:
            stores = {"right": file.read()}
        with open(self.server.ca) as file:
            stores["wrong"] = file.read()
        for which, pem in stores.items():
            self.apply("javakafka" + which, f"""
                CREATE RULE javakafka{which} AS SELECT v FROM 'javakafka/{which}'
                DO kafka(destinationArn = 'arn:aws:iot:us-east-1:000000000000:ruledestination/vpc/x', topic = 'java', key = 'k',
                         clientProperties = {{'bootstrap.servers': '127.0.0.1:{kafka.port}', 'security.protocol': 'SSL', 'ssl.truststore': '{pem}'}})
                WITH (retryMax = 200, maxAttempts = 2) ON ERROR DO republish(topic = 'failed/javakafka', qos = 1);
            """)
        failed = self.failures("failed/javakafka")
        for which in stores:
            self.publish(f"javakafka/{which}", {"v": which})
        self.assertEqual(kafka.read("java"), (b"k", b'{"v":"right"}'))
        self.assertEqual(json.loads(base64.b64decode(json.loads(failed.wait(1)[0].payload)["base64OriginalPayload"])), {"v": "wrong"})

    def deliver_at(self, name, kafka, action, options=None):
        """As deliver(), of a target whose address is a list."""
        options = options or {"right": f"ca = '{kafka.certificate}'", "wrong": f"ca = '{self.server.ca}'"}
        for which, own in options.items():
            self.apply(name + which, f"""
                CREATE TARGET {name}{which} AS kafka(bootstrap = '127.0.0.1:{kafka.port}', tls = TRUE, {own}, timeout = '5s');
                CREATE RULE {name}{which} AS SELECT v FROM '{name}/{which}' DO {action.format(target=name + which)} WITH (retryMax = 200, maxAttempts = 2)
                ON ERROR DO republish(topic = 'failed/{name}', qos = 1);
            """)
        failed = self.failures("failed/" + name)
        for which in options:
            self.publish(f"{name}/{which}", {"v": which})
        failure = json.loads(failed.wait(1)[0].payload)
        self.assertEqual(json.loads(base64.b64decode(failure["base64OriginalPayload"])), {"v": "wrong"})


if __name__ == "__main__":
    unittest.main(warnings="ignore")
