"""Gateway checks 18 to 48: messaging."""
import http.client
import json
import struct
import time
import unittest

from gateway_checks import BOTH, Checks
from mqtt_wire import CONNACK, PUBCOMP, PUBLISH, PUBREC, Client, WebSocket, packet, text
from server import wait_until


def close_by_websocket(case, will_comes):
    """A client with a Will sends nothing more than a WebSocket's close frame."""
    will = case.listener("g40-ws/#")
    websocket = WebSocket(case.server)
    case.addCleanup(websocket.close)
    websocket.send(2, Client.connect_packet(websocket, "g40-ws", ("g40-ws/w", "will", 1, False), True, 60, None, None, {}, {}))
    opcode, frame = websocket.receive()
    case.assertEqual((opcode, frame[0] >> 4, frame[3]), (2, CONNACK, 0))
    websocket.send(8, b"\x03\xe8")
    case.assertEqual(websocket.receive()[0], 8)
    case.plain("g40-ws-after").published("g40-ws/mark", b"mark")
    wait_until(lambda: any(each.topic == "g40-ws/mark" for each in will.messages))
    if will_comes:
        wait_until(lambda: any(each.topic == "g40-ws/w" for each in will.messages))
    case.assertEqual(any(each.topic == "g40-ws/w" for each in will.messages), will_comes)


class Messages(Checks):
    def test_g18_exactly_once_over_a_lost_connection(self):
        sub = self.plain("g18-sub", version=5)
        self.assertEqual(sub.subscribe("g18", qos=2), [2])
        first = self.plain("g18", version=5, clean=False, session_expiry=60, acknowledge=False)
        packet_id = first.publish("g18", b"once", qos=2)
        self.assertEqual(first.receive(PUBREC).id, packet_id)
        first.reset()
        again = self.plain("g18", version=5, clean=False, session_expiry=60, acknowledge=False)
        self.assertTrue(again.connack.session_present)
        again.send(packet(0x34 | 8, text("g18") + struct.pack("!H", packet_id) + b"\0once"))
        self.assertEqual(again.receive(PUBREC).id, packet_id)
        again.send(packet(0x62, struct.pack("!H", packet_id)))
        self.assertEqual(again.receive(PUBCOMP).id, packet_id)
        self.assertEqual([each.payload for each in sub.messages(1)], [b"once"])
        self.assertTrue(sub.quiet())

    def test_g19_the_lower_qos_counts(self):
        subs = [self.plain(f"g19-{qos}") for qos in (0, 1)]
        for qos, sub in enumerate(subs):
            self.assertEqual(sub.subscribe("g19", qos=qos), [qos])
        self.assertIsNotNone(self.plain("g19").published("g19", b"x"))
        self.assertEqual([sub.receive(PUBLISH).qos for sub in subs], [0, 1])

    def test_g20_a_hash_has_its_parent(self):
        sub, pub = self.plain("g20-sub"), self.plain("g20")
        sub.subscribe("g20/sensor/#")
        for topic in ("g20/sensor", "g20/sensor/", "g20/sensor/a/b"):
            pub.published(topic, b"x")
        self.assertEqual([each.topic for each in sub.messages(3)], ["g20/sensor", "g20/sensor/", "g20/sensor/a/b"])

    def test_g21_wildcards_do_not_have_what_begins_with_a_dollar(self):
        self.iot.create_thing(thingName="g21")
        sub = self.plain("g21-sub")
        sub.subscribe("#", "+/x", qos=0)
        self.plain("g21").publish("$aws/things/g21/shadow/update", b'{"state":{}}', qos=1)
        self.plain("g21-other")
        time.sleep(0.2)
        self.assertTrue(all(not each.topic.startswith("$") for each in sub.messages(20, 0.3)))

    def test_g22_retained_messages_come_with_their_flag(self):
        pub = self.plain("g22")
        pub.published("g22/b", b"kept", retain=True)
        for topic in ("g22/b", "g22/+"):
            sub = self.plain(f"sub of {topic}")
            sub.subscribe(topic)
            got = sub.receive(PUBLISH)
            self.assertEqual((got.payload, got.retain), (b"kept", True))
            pub.published("g22/b", b"live")
            self.assertFalse(sub.receive(PUBLISH).retain)

    def test_g23_an_empty_payload_clears(self):
        pub, sub = self.plain("g23"), self.plain("g23-sub")
        pub.published("g23/b", b"kept", retain=True)
        sub.subscribe("g23/b")
        sub.receive(PUBLISH)
        pub.published("g23/b", b"", retain=True)
        self.assertEqual(sub.receive(PUBLISH).payload, b"")
        late = self.plain("g23-late")
        late.subscribe("g23/b")
        self.assertTrue(late.quiet())
        self.refused("ResourceNotFoundException", 404, self.server.api("iot-data").get_retained_message, topic="g23/b")

    def test_g24_a_retained_message_expires(self):
        self.plain("g24", version=5).published("g24", b"x", retain=True, message_expiry=1)
        time.sleep(2.2)
        sub = self.plain("g24-sub", version=5)
        sub.subscribe("g24")
        self.assertTrue(sub.quiet())

    def test_g25_what_came_while_a_client_was_away(self):
        away = self.plain("g25-sub", clean=False)
        away.subscribe("g25")
        away.disconnect()
        pub = self.plain("g25")
        for number in range(50):
            pub.published("g25", str(number))
        for _ in range(5):
            pub.publish("g25", b"qos 0")
        pub.published("g25/other", b"behind them")
        back = self.plain("g25-sub", clean=False)
        self.assertTrue(back.connack.session_present)
        began = time.monotonic()
        self.assertEqual([each.payload for each in back.messages(50)], [str(number).encode() for number in range(50)])
        self.assertLess(time.monotonic() - began, 1)
        self.assertTrue(back.quiet())

    def test_g26_a_session_lasts_as_long_as_it_was_asked_to(self):
        for wait_s, present in ((0.5, True), (3.2, False)):
            self.plain("g26", version=5, session_expiry=2).disconnect()
            time.sleep(wait_s)
            self.assertEqual(self.plain("g26", version=5, clean=False, session_expiry=2).connack.session_present, present)

    def test_g27_an_expiry_that_was_zero_stays_zero(self):
        got = self.plain("g27", version=5, clean=False)
        got.send(packet(0xE0, b"\0\x05\x11" + struct.pack("!I", 60)))
        self.assertEqual(got.ended(), 0x82)
        self.assertFalse(self.plain("g27", version=5, clean=False).connack.session_present)

    def test_g29_a_session_goes_on_in_the_other_version(self):
        self.plain("g29", clean=False).disconnect()
        self.assertTrue(self.plain("g29", version=5, clean=False, session_expiry=60).connack.session_present)

    def test_g30_the_time_that_is_left(self):
        for version, client in ((5, "g30-5"), (4, "g30-4")):
            away = self.plain(client, version=version, clean=False, **({"session_expiry": 60} if version == 5 else {}))
            away.subscribe("g30/+")
            away.disconnect()
        pub = self.plain("g30", version=5)
        pub.published("g30/short", b"short", message_expiry=1)
        pub.published("g30/long", b"long", message_expiry=30)
        time.sleep(2.1)
        for version, client in ((5, "g30-5"), (4, "g30-4")):
            back = self.plain(client, version=version, clean=False, **({"session_expiry": 60} if version == 5 else {}))
            got = back.messages(1)
            self.assertEqual([each.payload for each in got], [b"long"])
            if version == 5:
                self.assertAlmostEqual(got[0].properties["message_expiry"], 28, delta=1)
            self.assertTrue(back.quiet())

    def test_g31_properties_travel(self):
        subs = [self.plain(f"g31-{version}", version=version) for version in BOTH]
        for sub in subs:
            sub.subscribe("g31")
        self.plain("g31", version=5).published("g31", b"x", user=[("k", "1"), ("k", "2")], response_topic="r", correlation_data=b"\1\2",
                                               content_type="t/p", payload_format=1)
        self.assertEqual(subs[0].receive(PUBLISH).payload, b"x")
        got = subs[1].receive(PUBLISH).properties
        self.assertEqual(got, {"user": [("k", "1"), ("k", "2")], "response_topic": "r", "correlation_data": b"\1\2", "content_type": "t/p",
                               "payload_format": 1})

    def test_g32_topic_aliases(self):
        sub = self.plain("g32-sub")
        sub.subscribe("g32/t")
        pub = self.plain("g32", version=5)
        most = pub.connack.properties["topic_alias_maximum"]
        pub.published("g32/t", b"1", topic_alias=most)
        pub.published("", b"2", topic_alias=most)
        self.assertEqual([(each.topic, each.payload) for each in sub.messages(2)], [("g32/t", b"1"), ("g32/t", b"2")])
        for alias in (most + 1, 0):
            bad = self.plain("g32", version=5)
            bad.publish("g32/t", b"x", topic_alias=alias)
            self.assertEqual(bad.ended(), 0x94)

    def test_g34_a_receiver_that_does_not_acknowledge(self):
        sub = self.plain("g34-sub", version=5, receive_maximum=10, acknowledge=False)
        sub.subscribe("g34")
        pub = self.plain("g34")
        for number in range(200):
            pub.publish("g34", str(number), qos=1)
        first = sub.messages(10)
        self.assertEqual(len(first), 10)
        self.assertTrue(sub.quiet())
        sub.acknowledge = True
        for each in first:
            sub.send(packet(0x40, struct.pack("!H", each.id)))
        rest = sub.messages(190)
        self.assertEqual([each.payload for each in first + rest], [str(number).encode() for number in range(200)])

    def test_g36_basic_ingest(self):
        self.iot.create_topic_rule(ruleName="g36", topicRulePayload={
            "sql": "SELECT topic() AS topic, * FROM 'g36/unused'", "actions": [{"republish": {"topic": "g36/out", "roleArn": "arn:aws:iam::0:role/r"}}]})
        out = self.listener("g36/out")
        others = self.listener("g36/in/#", "$aws/rules/#")
        self.plain("g36").published("$aws/rules/g36/g36/in/3/4/5/6/7/8", b'{"a":1}')
        self.assertEqual(json.loads(out.wait(1)[0].payload), {"topic": "g36/in/3/4/5/6/7/8", "a": 1})
        self.assertTrue(self.plain("g36-quiet").quiet())
        self.assertEqual((len(out.messages), others.messages), (1, []))

    def test_g37_a_shared_subscription_spreads(self):
        members = [self.plain(f"g37-{number}") for number in range(3)]
        for member in members:
            self.assertEqual(member.subscribe("$share/g/g37"), [1])
        pub = self.plain("g37")
        for number in range(300):
            pub.published("g37", str(number))
        got = [member.messages(300, 0.5) for member in members]
        self.assertEqual(sorted(int(each.payload) for member in got for each in member), list(range(300)))
        self.assertTrue(all(got))

    def test_g38_a_shared_subscription_waits_for_its_member(self):
        away = self.plain("g38-away", clean=False)
        away.subscribe("$share/g/g38")
        away.disconnect()
        pub = self.plain("g38")
        for _ in range(10):
            pub.published("g38", b"x")
        back = self.plain("g38-away", clean=False)
        self.assertEqual(len(back.messages(10)), 10)
        back.disconnect()
        other = self.plain("g38-new")
        other.subscribe("$share/g/g38")
        for _ in range(10):
            pub.published("g38", b"y")
        self.assertEqual([each.payload for each in other.messages(10)], [b"y"] * 10)

    def test_g39_each_group_gets_one(self):
        members = []
        for group, topic in (("g1", "g39/t"), ("g1", "g39/#"), ("g2", "g39/t")):
            for number in range(2):
                members.append(self.plain(f"g39-{group}-{topic}-{number}"))
                members[-1].subscribe(f"$share/{group}/{topic}")
        self.plain("g39").published("g39/t", b"x")
        self.assertEqual(sum(len(member.messages(3, 0.4)) for member in members), 3)

    def test_g40_when_a_will_is_sent(self):
        will = self.listener("g40/#")
        for version, end, sent in ((5, lambda c: c.disconnect(), False), (4, lambda c: c.reset(), True), (5, lambda c: c.disconnect(reason=4), True)):
            will.messages.clear()
            client = self.plain("g40", version=version, will=("g40/w", "will", 1, False))
            end(client)
            self.plain("g40-after").published("g40/mark", b"mark")
            wait_until(lambda: any(each.topic == "g40/mark" for each in will.messages))
            if sent:
                wait_until(lambda: any(each.topic == "g40/w" for each in will.messages))
            self.assertEqual(any(each.topic == "g40/w" for each in will.messages), sent)

    def test_g40_a_close_frame_alone_loses_the_connection(self):
        close_by_websocket(self, will_comes=True)

    def test_g41_a_delayed_will_is_called_off(self):
        will = self.listener("g41")
        self.plain("g41", version=5, clean=False, session_expiry=60, will=("g41", "w", 1, False), will_properties={"will_delay": 2}).reset()
        time.sleep(0.5)
        self.plain("g41", version=5, clean=False, session_expiry=60)
        time.sleep(2.5)
        self.assertEqual(will.messages, [])

    def test_g42_a_will_may_be_retained(self):
        self.plain("g42", will=("g42", "kept", 1, True)).reset()
        data = self.server.api("iot-data")
        def kept():
            try:
                return data.get_retained_message(topic="g42")["payload"] == b"kept"
            except data.exceptions.ResourceNotFoundException:
                return False
        wait_until(kept)

    def test_g44_topics_that_are_reserved(self):
        for topic in ("$SYS/x", "$foo", "$aws/events/presence/connected/x"):
            got = self.plain("g44", version=5).published(topic, b"x")
            self.assertEqual(got.reason, 0x90, topic)

    def test_g45_one_bad_filter_does_not_spoil_the_others(self):
        sub = self.plain("g45", version=5)
        self.assertEqual(sub.subscribe("g45/a", "$invalid/x"), [1, 0x8F])
        sub.published("g45/a", b"x")
        self.assertEqual(sub.receive(PUBLISH).payload, b"x")

    def test_g48_a_type_propagates_attributes(self):
        propagating = [{"userPropertyKey": "who", "connectionAttribute": "iot:ClientId"}, {"userPropertyKey": "where", "thingAttribute": "site"}]
        self.operator_call("POST", "/thing-types/g48", {"thingTypeProperties": {"mqtt5Configuration": {"propagatingAttributes": propagating}}})
        name, tls, _ = self.device()
        self.iot.update_thing(thingName=name, thingTypeName="g48", attributePayload={"attributes": {"site": "s1"}})
        sub = self.plain("g48-sub", version=5)
        sub.subscribe("g48/#")
        for version in BOTH:
            got = self.client(name, tls, version=version)
            got.published("g48/t", b"x", **({"user": [("own", "o")]} if version == 5 else {}))
            own = [("own", "o")] if version == 5 else []
            self.assertEqual(sub.receive(PUBLISH).properties["user"], own + [("who", name), ("where", "s1")])
        # A change of the thing, and of its type, is felt by who is connected.
        self.iot.update_thing(thingName=name, attributePayload={"attributes": {"site": "s2"}, "merge": True})

        def properties():
            got.published("g48/t", b"x")
            return sub.receive(PUBLISH).properties.get("user", [])
        self.eventually(lambda: properties() == [("who", name), ("where", "s2")])
        self.operator_call("PATCH", "/thing-types/g48", {"thingTypeProperties": {"mqtt5Configuration": {"propagatingAttributes": propagating[:1]}}})
        self.eventually(lambda: properties() == [("who", name)])
        # A client of no certificate has nothing to say of a thing.
        self.plain("g48-plain").published("g48/t", b"x")
        self.assertNotIn("user", sub.receive(PUBLISH).properties)

    def operator_call(self, method, path, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port("http"), timeout=30)
        connection.request(method, path, json.dumps(body))
        reply = connection.getresponse()
        self.assertEqual(reply.status, 200, reply.read())
        connection.close()

    def test_g46_an_answer_about_jobs_goes_to_who_asked(self):
        name, tls, _ = self.device()
        accepted = f"$aws/things/{name}/jobs/get/accepted"
        other = self.plain("g46-other")
        other.subscribe(accepted, f"$aws/things/{name}/jobs/+/+/rejected", "g46/end")
        for version in BOTH:
            device = self.client(name, tls, version=version)
            device.published(f"$aws/things/{name}/jobs/get", b'{"clientToken": "g46"}')
            got = device.receive(PUBLISH)
            self.assertEqual((got.topic, got.qos), (accepted, 1))
            body = json.loads(got.payload)
            self.assertEqual({key: body[key] for key in body if key != "timestamp"},
                             {"clientToken": "g46", "inProgressJobs": [], "queuedJobs": []})
            # A subscription of its own makes no second copy.
            device.subscribe(accepted)
            device.published(f"$aws/things/{name}/jobs/get", b"")
            self.assertEqual(device.receive(PUBLISH).topic, accepted)
            self.assertTrue(device.quiet())
            device.published(f"$aws/things/{name}/jobs/no-such/get", b"")
            got = device.receive(PUBLISH)
            self.assertEqual((got.topic, json.loads(got.payload)["code"]),
                             (f"$aws/things/{name}/jobs/no-such/get/rejected", "ResourceNotFound"))
        other.published("g46/end", b"")
        self.assertEqual(other.receive(PUBLISH).topic, "g46/end")

    def test_g47_shadow_answers_go_to_all_who_subscribe(self):
        topic = "$aws/things/g47/shadow/update/accepted"
        self.iot.create_thing(thingName="g47")
        subs = [self.plain(name) for name in ("g47", "g47-other")]
        for sub in subs:
            sub.subscribe(topic)
        subs[0].published("$aws/things/g47/shadow/update", b'{"state":{"reported":{"a":1}}}')
        for sub in subs:
            self.assertEqual(json.loads(sub.receive(PUBLISH).payload)["state"], {"reported": {"a": 1}})


class StrictMessages(Checks):
    PROFILE = "strict"

    def test_g18_strict_has_no_qos_2(self):
        got = self.plain("g18", version=5)
        got.publish("t", b"x", qos=2)
        self.assertEqual(got.ended(), 0x9B)

    def test_g20_strict_a_hash_does_not_have_its_parent(self):
        sub, pub = self.plain("g20-sub"), self.plain("g20")
        sub.subscribe("sensor/#")
        for topic in ("sensor", "sensor/", "sensor/a/b"):
            pub.published(topic, b"x")
        self.assertEqual([each.topic for each in sub.messages(2)], ["sensor/", "sensor/a/b"])
        self.assertTrue(sub.quiet())

    def test_g22_strict_wildcards_get_nothing_retained(self):
        self.plain("g22").published("g22/b", b"kept", retain=True)
        sub = self.plain("g22-sub")
        sub.subscribe("g22/+")
        self.assertTrue(sub.quiet())

    def test_g28_the_account_caps_the_expiry(self):
        cap = self.plain("g28", version=5, clean=False, session_expiry=100_000_000).connack.properties["session_expiry"]
        self.assertEqual(cap, 604800 if cap > 3600 else 3600)

    def test_g29_strict_versions_do_not_share_a_session(self):
        self.plain("g29", clean=False).disconnect()
        self.assertFalse(self.plain("g29", version=5, clean=False, session_expiry=60).connack.session_present)

    def test_g33_more_in_flight_than_allowed(self):
        got = self.plain("g33", version=5, acknowledge=False)
        burst = b"".join(packet(0x32, text("g33") + struct.pack("!H", number) + b"\0x") for number in range(1, 1000))
        got.send(burst)
        # The server may have been quick enough to acknowledge; what counts is that it never lets more than 100 wait.
        self.assertIn(got.ended(2), (0x93, None))

    def test_g35_filters_and_topics_beyond_the_limits(self):
        nine = self.plain("g35", version=5)
        self.assertEqual(nine.subscribe(*(f"f{number}" for number in range(9))), [0x97] * 9)
        for version, code in ((4, 0x80), (5, 0x97)):
            many = self.plain(f"g35-{version}", version=version)
            codes = []
            for first in range(0, 56, 8):
                codes += many.subscribe(*(f"g35/{number}" for number in range(first, first + 8)))
            self.assertEqual(codes[:50], [1] * 50)
            self.assertEqual(codes[50:], [code] * 6)
            self.assertIsNotNone(many.published("still/here", b"x"))
        for topic in ("1/2/3/4/5/6/7/8/9", "x" * 257):
            answer = self.plain(f"g35-{len(topic)}", version=5).published(topic, b"x")
            self.assertTrue(answer is None or answer.reason >= 0x80, topic)

    def test_g40_strict_a_close_frame_alone_takes_the_will_back(self):
        events = self.listener("$aws/events/presence/disconnected/g40-ws")
        close_by_websocket(self, will_comes=False)
        self.event(events, disconnectReason="CLIENT_INITIATED_DISCONNECT", clientInitiatedDisconnect=True)

    def test_g42_strict_wills(self):
        self.assertEqual(self.plain("g42", version=5, will=("g42", "x", 2, False)).connack.reason, 0x9B)
        got = self.plain("g42", version=5, will=("g42", "x" * 65_000, 1, False))
        self.assertTrue(got.connack is None or got.connack.reason >= 0x80)

    def test_g43_a_payload_beyond_the_limit(self):
        for version, reason in ((4, True), (5, 0x95)):
            events = self.listener(f"$aws/events/presence/disconnected/g43-{version}")
            got = self.plain(f"g43-{version}", version=version)
            got.publish("t", b"x" * (128 * 1024 + 1))
            self.assertEqual(got.ended(), reason)
            self.event(events, disconnectReason="CLIENT_ERROR")


if __name__ == "__main__":
    unittest.main(warnings="ignore")
