"""Rules that publish to another broker: mosquitto, killed while messages are on their way."""
import json
import unittest

import paho.mqtt.client as mqtt

from server import Subscriber, wait_until
from sinks import SinkCase, shut_out
import targets

COUNT = 400


class MqttSink(SinkCase):
    @classmethod
    def setUpClass(cls):
        cls.broker = targets.Mosquitto()
        cls.addClassCleanup(cls.broker.close)
        cls.start_server()

    def listen(self, *filters, client_id, protocol=mqtt.MQTTv311):
        got = []
        client = mqtt.Client(client_id=client_id, clean_session=None if protocol == mqtt.MQTTv5 else False, protocol=protocol)
        ready = []
        client.on_message = lambda client, data, message: got.append(message)
        client.on_connect = lambda client, *_: client.subscribe([(each, 2) for each in filters])
        client.on_subscribe = lambda *_: ready.append(1)
        client.reconnect_delay_set(1, 1)
        client.connect("127.0.0.1", self.broker.port)
        client.loop_start()
        self.addCleanup(client.loop_stop)
        self.addCleanup(client.disconnect)
        wait_until(lambda: ready)
        return got

    def rule(self, name, text, options=""):
        self.apply(name, f"CREATE TARGET {name}_m AS mqtt(host = '127.0.0.1', port = {self.broker.port}{options});\nCREATE RULE {name} AS {text};")

    def test_every_qos_and_retain_in_both_versions(self):
        got = self.listen("bridged/#", client_id="qos")
        for version in ("3.1.1", "5"):
            name = "q" + version.replace(".", "")
            self.rule(name, f"SELECT v FROM '{name}/+' DO mqtt(target = '{name}_m', topic = 'bridged/${{topic()}}/0', qos = 0)"
                            f" DO mqtt(target = '{name}_m', topic = 'bridged/${{topic()}}/1', qos = 1, retain = TRUE)"
                            f" DO mqtt(target = '{name}_m', topic = 'bridged/${{topic()}}/2', qos = 2)", f", version = '{version}'")
            self.publish(f"{name}/a", {"v": 1})
        self.wait(lambda: len(got) == 6, lambda: [message.topic for message in got])
        self.assertEqual(sorted((message.topic, message.qos, message.payload) for message in got),
                         [(f"bridged/{name}/a/{qos}", qos, b'{"v":1}') for name in ("q311", "q5") for qos in (0, 1, 2)])
        late = self.listen("bridged/q5/a/1", client_id="late")
        self.wait(lambda: late and late[0].retain, "nothing is retained")

    def test_republishes_that_a_target_matches_go_to_the_other_broker(self):
        got = self.listen("far/#", "near/#", client_id="bound")
        here = Subscriber(self.server, "far/#", "near/#", client_id="here")
        self.addCleanup(here.close)
        self.apply("bound", f"""
            CREATE TARGET far AS mqtt(match = 'republish:far/*', host = '127.0.0.1', port = {self.broker.port});
            CREATE RULE bound AS SELECT v FROM 'bound/+'
            DO republish(topic = 'far/fixed', qos = 1)
            DO republish(topic = '${{place}}/${{topic(2)}}', qos = 1, headers = {{'contentType': 'text/x', 'messageExpiry': '1000', 'userProperties': [{{'key': 'k', 'value': '${{v}}'}}]}})
            DO republish(topic = 'far/gone', qos = 1, headers = {{'messageExpiry': '0'}})
            DO mqtt(target = 'far', topic = 'far/direct');
        """)
        for v, place in ((1, "far"), (2, "near")):
            self.publish("bound/x", {"v": v, "place": place})
        self.wait(lambda: len(got) == 5, lambda: [message.topic for message in got])
        self.assertEqual(sorted((message.topic, message.qos, message.payload) for message in got),
                         [("far/direct", 1, b'{"v":1}'), ("far/direct", 1, b'{"v":2}'), ("far/fixed", 1, b'{"v":1}'), ("far/fixed", 1, b'{"v":2}'),
                          ("far/x", 1, b'{"v":1}')])
        self.assertEqual([message.topic for message in here.wait(1)], ["near/x"])

    def test_headers_of_republishes_go_along(self):
        got = self.listen("headers/#", client_id="headers", protocol=mqtt.MQTTv5)
        self.apply("headers", f"""
            CREATE TARGET headers AS mqtt(match = 'republish:headers/*', host = '127.0.0.1', port = {self.broker.port});
            CREATE RULE headers AS SELECT v FROM 'with_headers'
            DO republish(topic = 'headers/all', qos = 1, headers = {{'payloadFormatIndicator': 'UTF8_DATA', 'contentType': 'text/x', 'responseTopic': 'answers',
                         'correlationData': 'YWI=', 'messageExpiry': '1000', 'userProperties': [{{'key': 'k', 'value': '${{v}}'}}]}})
            DO republish(topic = 'headers/none');
        """)
        self.publish("with_headers", {"v": 1})
        self.wait(lambda: len(got) == 2, lambda: [message.topic for message in got])
        full, bare = (message.properties for message in sorted(got, key=lambda message: message.topic))
        self.assertEqual((full.PayloadFormatIndicator, full.ContentType, full.ResponseTopic, full.CorrelationData), (1, "text/x", "answers", b"ab"))
        self.assertIn(("k", "1"), full.UserProperty)
        self.assertEqual([name for name, _ in full.UserProperty], ["k", "deliveryId"])
        self.assertTrue(990 <= full.MessageExpiryInterval <= 1000, full.MessageExpiryInterval)
        self.assertEqual([name for name, _ in bare.UserProperty], ["deliveryId"])
        self.assertFalse(hasattr(bare, "ContentType"))

    def test_nothing_is_lost_or_reordered_when_the_broker_is_killed(self):
        for qos in (1, 2):
            with self.subTest(qos=qos):
                got = self.listen(f"kept{qos}", client_id=f"kept{qos}")
                self.rule(f"kept{qos}", f"SELECT n FROM 'kept{qos}/in' DO mqtt(target = 'kept{qos}_m', topic = 'kept{qos}', qos = {qos})"
                                        " WITH (retryMax = 500)")
                infos = [self.client.client.publish(f"kept{qos}/in", json.dumps({"n": n}), qos=1) for n in range(COUNT)]
                self.wait(lambda: len(got) > 20, "nothing arrived")
                # In good order: kill -9 would lose what mosquitto has acknowledged and not yet written.
                self.broker.signal(15)
                self.broker.process.wait()
                self.broker.start()
                for info in infos:
                    info.wait_for_publish(60)
                self.wait(lambda: len({json.loads(each.payload)["n"] for each in got}) == COUNT, lambda: f"{len(got)} of {COUNT}")
                self.assertEqual(shut_out([json.loads(each.payload)["n"] for each in got], COUNT), ([], False))


if __name__ == "__main__":
    unittest.main(warnings="ignore")
