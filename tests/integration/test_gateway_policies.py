"""Gateway checks 49 to 67: what policies let a connection do, and how soon a change is felt. 61, 65 and 66 are in test_identity_policies.py."""
import json
import unittest

from gateway_checks import Checks
from identity import ARN
from mqtt_wire import PUBLISH

CONNECT = ("Allow", "iot:Connect", "*")


class Policies(Checks):
    def connect(self, *statements, version=5, **options):
        name, tls, arn = self.device(CONNECT, *statements)
        got = self.client(name, tls, version=version, **options)
        self.assertEqual(got.connack.reason, 0)
        return name, got, arn

    def code(self, client, topic, **options):
        """Of the PUBACK; 0x10 (no receivers) is success."""
        answer = client.published(topic, b"x", **options)
        return answer and answer.reason & 0x80 and answer.reason

    def test_g49_a_publish_that_nothing_allows(self):
        for qos in (0, 1):
            name, got, _ = self.connect(version=4)
            events = self.listener(f"$aws/events/presence/disconnected/{name}")
            got.publish("x", b"x", qos=qos)
            self.assertTrue(got.ended())
            self.event(events, disconnectReason="AUTH_ERROR")
        _, got, _ = self.connect()
        self.assertEqual(self.code(got, "x"), 0x87)
        self.assertEqual(self.code(got, "x"), 0x87)  # it lives
        _, got, _ = self.connect()
        got.publish("x", b"x")
        self.assertEqual(got.ended(), 0x87)

    def test_g50_a_star_stands_for_levels_and_wildcards(self):
        for version, refused in ((4, 0x80), (5, 0x87)):
            _, got, _ = self.connect(("Allow", "iot:Subscribe", ARN + "topicfilter/a/*"), version=version)
            self.assertEqual(got.subscribe("a/#", "a/+/c", "b"), [1, 1, refused])

    def test_g51_a_plus_in_a_policy_is_a_plus(self):
        _, got, _ = self.connect(("Allow", "iot:Subscribe", ARN + "topicfilter/a/+"))
        self.assertEqual(got.subscribe("a/+", "a/b"), [1, 0x87])

    def test_g52_a_denied_filter_does_not_stop_a_wider_one(self):
        allow = ("Allow", ["iot:Subscribe", "iot:Receive"], [ARN + "topicfilter/g52/*", ARN + "topic/g52/*"])
        deny = ("Deny", "iot:Subscribe", ARN + "topicfilter/g52/secret/*")
        name, got, _ = self.connect(allow, deny)
        self.assertEqual(got.subscribe("g52/#", "g52/secret/#"), [1, 0x87])
        pub = self.plain("g52")
        pub.published("g52/secret/1", b"known trap")
        self.assertEqual(got.receive(PUBLISH).payload, b"known trap")
        self.set_policy(f"policy-{name}", CONNECT, allow, deny, ("Deny", "iot:Receive", ARN + "topic/g52/secret/*"))
        def silent():
            pub.published("g52/secret/1", b"x")
            pub.published("g52/mark", b"x")
            first = got.receive(PUBLISH).topic
            return first == "g52/mark" or got.receive(PUBLISH).topic != "g52/mark"
        self.eventually(silent)
        pub.published("g52/open", b"x")
        self.assertEqual(got.receive(PUBLISH).topic, "g52/open")

    def test_g53_a_question_mark_is_one_character(self):
        _, got, _ = self.connect(("Allow", "iot:Publish", ARN + "topic/x?/*"))
        self.assertEqual((self.code(got, "x1/a/b"), self.code(got, "x/a")), (0, 0x87))

    def test_g54_retaining_is_a_right_of_its_own(self):
        _, got, _ = self.connect(("Allow", "iot:Publish", ARN + "topic/g54"))
        self.plain("g54").published("g54", b"kept", retain=True)
        self.assertEqual(self.code(got, "g54"), 0)
        self.assertEqual(self.code(got, "g54", retain=True), 0x87)
        self.assertEqual(got.published("g54", b"", retain=True).reason, 0x87)
        self.assertEqual(self.server.api("iot-data").get_retained_message(topic="g54")["payload"], b"kept")

    def test_g55_the_thing_of_a_connection(self):
        own = ("Allow", "iot:Connect", ARN + "client/${iot:Connection.Thing.ThingName}")
        name, tls, arn = self.device(own)
        self.assertEqual(self.client(name, tls).connack.reason, 0)
        self.assertEqual(self.client("another", tls).connack.reason, 5)
        self.iot.detach_thing_principal(thingName=name, principal=arn)
        self.assertEqual(self.client(name, tls).connack.reason, 5)
        self.attach_exclusively(name, arn)
        self.assertEqual(self.client("another", tls).connack.reason, 5)
        self.set_policy(f"policy-{name}", own, ("Allow", "iot:Connect", ARN + "client/another"),
                        ("Allow", "iot:Publish", ARN + "topic/${iot:Connection.Thing.ThingName}"))
        got = self.client("another", tls, version=5)
        self.assertEqual(got.connack.reason, 0)
        self.assertEqual((self.code(got, name), self.code(got, "another")), (0, 0x87))

    def attach_exclusively(self, name, arn):
        from contract import Caller, Model
        reply = Caller(self.server.port("http"), Model()).call("iot", "AttachThingPrincipal", {
            "thingName": name, "principal": arn, "thingPrincipalType": "EXCLUSIVE_THING"})
        self.assertEqual(reply.status, 200, reply.body)

    def test_g56_attributes_of_the_thing(self):
        name, got, _ = self.connect(("Allow", "iot:Publish", ARN + "topic/${iot:Connection.Thing.Attributes[site]}/*"))
        self.iot.update_thing(thingName=name, attributePayload={"attributes": {"site": "s1"}})
        self.eventually(lambda: self.code(got, "s1/t") == 0)
        self.iot.update_thing(thingName=name, attributePayload={"attributes": {"site": "s2"}})
        self.eventually(lambda: self.code(got, "s1/t") == 0x87)
        self.assertEqual(self.code(got, "s2/t"), 0)

    def test_g57_being_attached_as_a_condition(self):
        name, tls, arn = self.device((*CONNECT, {"Bool": {"iot:Connection.Thing.IsAttached": "true"}}))
        self.assertEqual(self.client(name, tls).connack.reason, 0)
        self.iot.detach_thing_principal(thingName=name, principal=arn)
        self.assertEqual(self.client(name, tls).connack.reason, 5)

    def test_g58_the_address_as_a_condition(self):
        for network, reason in (("10.0.0.0/8", 5), ("127.0.0.0/8", 0)):
            name, tls, _ = self.device((*CONNECT, {"IpAddress": {"aws:SourceIp": network}}))
            self.assertEqual(self.client(name, tls).connack.reason, reason, network)

    def test_g59_how_a_client_connects_as_a_condition(self):
        name, tls, _ = self.device((*CONNECT, {"ForAllValues:StringEquals": {"iot:ConnectAttributes": ["LastWill"]}}),
                                   ("Allow", "iot:Publish", "*"))
        will = ("g59", "w", 0, False)
        for options, reason in (({}, 0), ({"will": will}, 0), ({"clean": False}, 5)):
            self.assertEqual(self.client(name, tls, **options).connack.reason, reason, options)

    def test_g60_what_a_variable_puts_in_is_no_wildcard(self):
        _, tls, _ = self.device(CONNECT, ("Allow", "iot:Publish", ARN + "topic/${iot:ClientId}/t"))
        got = self.client("*", tls, version=5)
        self.assertEqual((self.code(got, "other/t"), self.code(got, "*/t")), (0x87, 0))

    def test_g62_policies_and_their_limits(self):
        # The whole of it is in test_identity_policies.py.
        name = "g62"
        document = json.dumps(self.document(CONNECT))
        self.iot.create_policy(policyName=name, policyDocument=document)
        for _ in range(4):
            self.iot.create_policy_version(policyName=name, policyDocument=document)
        self.refused("VersionsLimitExceededException", 409, self.iot.create_policy_version, policyName=name, policyDocument=document)
        self.refused("DeleteConflictException", 409, self.iot.delete_policy_version, policyName=name, policyVersionId="1")
        for bad in ({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "iot:*", "Resource": "*"}]},
                    self.document(("Allow", "iot:*", ["x" * 100] * 250))):
            self.refused("MalformedPolicyException", 400, self.iot.create_policy, policyName="bad", policyDocument=json.dumps(bad))

    def test_g63_a_new_version_is_felt_by_who_is_connected(self):
        pub, sub = ("Allow", "iot:Publish", ARN + "topic/g63"), ("Allow", ["iot:Subscribe", "iot:Receive"], "*")
        name, got, _ = self.connect(pub, sub)
        self.assertEqual(got.subscribe("g63/in"), [1])
        self.assertEqual(self.code(got, "g63"), 0)
        self.set_policy(f"policy-{name}", CONNECT, sub)
        self.eventually(lambda: self.code(got, "g63") == 0x87)
        self.set_policy(f"policy-{name}", CONNECT, ("Allow", "iot:Receive", "*"))
        self.eventually(lambda: got.subscribe("g63/other") == [0x87])
        self.plain("g63").published("g63/in", b"still")
        self.assertEqual(got.receive(PUBLISH).payload, b"still")
        self.set_policy(f"policy-{name}", pub)
        self.eventually(lambda: self.code(got, "g63") == 0)  # without iot:Connect it lives on

    def test_g64_a_certificate_that_is_switched_off(self):
        name, got, arn = self.connect()
        self.iot.update_certificate(certificateId=arn.split("/")[1], newStatus="INACTIVE")
        self.assertEqual(got.ended(1), 0x98)

    def test_g65_the_same_is_tested_as_is_done(self):
        name, got, arn = self.connect(("Allow", "iot:Publish", ARN + "topic/g65/*"), ("Deny", "iot:Publish", ARN + "topic/g65/secret"))
        for topic in ("g65/a", "g65/secret", "other"):
            result = self.iot.test_authorization(principal=arn, clientId=name, authInfos=[
                {"actionType": "PUBLISH", "resources": [ARN + "topic/" + topic]}])["authResults"][0]
            self.assertEqual(self.code(got, topic) == 0, result["authDecision"] == "ALLOWED", topic)

    def test_g67_shared_subscriptions_are_allowed_by_their_whole_name(self):
        _, got, _ = self.connect(("Allow", "iot:Subscribe", ARN + "topicfilter/$share/g/t"), ("Allow", "iot:Receive", ARN + "topic/t"))
        self.assertEqual(got.subscribe("$share/g/t", "$share/h/t", "t"), [1, 0x87, 0x87])
        self.plain("g67").published("t", b"x")
        self.assertEqual(got.receive(PUBLISH).payload, b"x")


class LivesOn(Checks):
    SETTINGS = ("mqtt.disconnect_on_publish_denied=false",)

    def test_g49_a_denied_publish_may_be_dropped(self):
        name, tls, _ = self.device(CONNECT, ("Allow", "iot:Publish", ARN + "topic/good"))
        got = self.client(name, tls, version=4)
        got.publish("x", b"x")
        self.assertIsNotNone(got.published("x", b"x"))
        self.assertIsNotNone(got.published("good", b"x"))


if __name__ == "__main__":
    unittest.main(warnings="ignore")
