"""Policies over boto3: versions, attachments, what is in force, and what it would decide."""
import json
import unittest

import paho.mqtt.client as mqtt

from identity import ALLOW_ALL, ARN, Refusals, policy
from server import Server, Subscriber, wait_until


class Policies(Refusals, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.iot = cls.server.api()

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def certificate(self):
        return self.iot.create_keys_and_certificate(setAsActive=True)["certificateArn"]

    def test_g62_versions(self):
        name = "versions"
        made = self.iot.create_policy(policyName=name, policyDocument=ALLOW_ALL)
        self.assertEqual((made["policyVersionId"], made["policyArn"]), ("1", ARN + "policy/versions"))
        self.refused("ResourceAlreadyExistsException", 409, self.iot.create_policy, policyName=name, policyDocument=ALLOW_ALL)
        for number in range(2, 6):
            version = self.iot.create_policy_version(policyName=name, policyDocument=ALLOW_ALL, setAsDefault=number == 3)
            self.assertEqual((version["policyVersionId"], version["isDefaultVersion"]), (str(number), number == 3))
        self.refused("VersionsLimitExceededException", 409, self.iot.create_policy_version, policyName=name, policyDocument=ALLOW_ALL)
        self.assertEqual(self.iot.get_policy(policyName=name)["defaultVersionId"], "3")
        self.refused("DeleteConflictException", 409, self.iot.delete_policy_version, policyName=name, policyVersionId="3")
        self.refused("DeleteConflictException", 409, self.iot.delete_policy, policyName=name)
        self.iot.set_default_policy_version(policyName=name, policyVersionId="2")
        for number in ("1", "3", "4", "5"):
            self.iot.delete_policy_version(policyName=name, policyVersionId=number)
        self.refused("ResourceNotFoundException", 404, self.iot.get_policy_version, policyName=name, policyVersionId="1")
        self.assertEqual(self.iot.create_policy_version(policyName=name, policyDocument=ALLOW_ALL)["policyVersionId"], "6")
        versions = self.iot.list_policy_versions(policyName=name)["policyVersions"]
        self.assertEqual([each["versionId"] for each in versions], ["6", "2"])
        for document in ("{", "[]", '{"Version":"2012-10-17"}', policy(("Maybe", "iot:*", "*")),
                         ALLOW_ALL.replace('"Effect"', '"Principal": "*", "Effect"'),
                         policy(("Allow", "iot:*", "x" * 21000))):
            self.refused("MalformedPolicyException", 400, self.iot.create_policy_version, policyName=name, policyDocument=document)
        self.iot.delete_policy_version(policyName=name, policyVersionId="6")
        self.iot.delete_policy(policyName=name)
        self.refused("ResourceNotFoundException", 404, self.iot.get_policy, policyName=name)

    def test_attachments_by_both_names(self):
        certificate = self.certificate()
        for name in ("new", "old"):
            self.iot.create_policy(policyName=name, policyDocument=ALLOW_ALL)
        self.iot.attach_policy(policyName="new", target=certificate)
        self.iot.attach_policy(policyName="new", target=certificate)
        self.iot.attach_principal_policy(policyName="old", principal=certificate)
        named = [{"policyName": name, "policyArn": f"{ARN}policy/{name}"} for name in ("new", "old")]
        self.assertEqual(self.iot.list_attached_policies(target=certificate)["policies"], named)
        self.assertEqual(self.iot.list_principal_policies(principal=certificate, ascendingOrder=True)["policies"], named)
        self.assertEqual(self.iot.list_principal_policies(principal=certificate)["policies"], named[::-1])
        self.assertEqual(self.iot.list_targets_for_policy(policyName="old")["targets"], [certificate])
        self.assertEqual(self.iot.list_policy_principals(policyName="old")["principals"], [certificate])
        self.refused("DeleteConflictException", 409, self.iot.delete_policy, policyName="old")
        self.iot.detach_principal_policy(policyName="old", principal=certificate)
        self.iot.detach_policy(policyName="new", target=certificate)
        self.iot.detach_policy(policyName="new", target=certificate)
        self.assertEqual(self.iot.list_attached_policies(target=certificate)["policies"], [])
        nobody = ARN + "cert/" + "0" * 64
        for call in (self.iot.attach_policy, self.iot.detach_policy):
            self.refused("InvalidRequestException", 400, call, policyName="new", target="no arn")
        self.refused("ResourceNotFoundException", 404, self.iot.attach_policy, policyName="new", target=nobody)
        self.refused("ResourceNotFoundException", 404, self.iot.attach_policy, policyName="absent", target=certificate)
        self.refused("ResourceNotFoundException", 404, self.iot.attach_principal_policy, policyName="new", principal=nobody)
        self.refused("ResourceNotFoundException", 404, self.iot.detach_principal_policy, policyName="absent", principal=certificate)
        self.refused("InvalidRequestException", 400, self.iot.list_principal_policies, principal=ARN + "thinggroup/g")
        for number in range(10):
            self.iot.create_policy(policyName=f"many-{number}", policyDocument=ALLOW_ALL)
            self.iot.attach_policy(policyName=f"many-{number}", target=certificate)
        self.refused("LimitExceededException", 410, self.iot.attach_policy, policyName="new", target=certificate)
        pages = [self.iot.list_attached_policies(target=certificate, pageSize=4)]
        while "nextMarker" in pages[-1]:
            pages.append(self.iot.list_attached_policies(target=certificate, pageSize=4, marker=pages[-1]["nextMarker"]))
        self.assertEqual([len(page["policies"]) for page in pages], [4, 4, 2])

    def test_g65_g66_what_would_be_decided(self):
        certificate = self.certificate()
        self.iot.create_thing(thingName="tested")
        self.iot.attach_thing_principal(thingName="tested", principal=certificate)
        self.iot.create_policy(policyName="tested", policyDocument=policy(
            ("Allow", "iot:Connect", ARN + "client/${iot:Connection.Thing.ThingName}"),
            ("Allow", "iot:Publish", ARN + "topic/a/*"), ("Deny", "iot:Publish", ARN + "topic/a/secret")))
        self.iot.create_policy(policyName="deny", policyDocument=policy(("Deny", "iot:*", "*")))
        self.iot.attach_policy(policyName="tested", target=certificate)

        def ask(action, *resources, **more):
            info = {"actionType": action, "resources": [ARN + each for each in resources]}
            result = self.iot.test_authorization(principal=certificate, authInfos=[info], **more)["authResults"][0]
            self.assertEqual(result["authInfo"], info)
            return result

        allowed = ask("PUBLISH", "topic/a/b")
        self.assertEqual(allowed["authDecision"], "ALLOWED")
        self.assertEqual([each["policyName"] for each in allowed["allowed"]["policies"]], ["tested"])
        self.assertEqual(allowed["missingContextValues"], [])
        denied = ask("PUBLISH", "topic/a/secret")
        self.assertEqual(denied["authDecision"], "EXPLICIT_DENY")
        self.assertEqual(denied["denied"]["explicitDeny"]["policies"], [{"policyName": "tested", "policyArn": ARN + "policy/tested"}])
        silent = ask("PUBLISH", "topic/b")
        self.assertEqual(silent["authDecision"], "IMPLICIT_DENY")
        self.assertEqual([each["policyName"] for each in silent["denied"]["implicitDeny"]["policies"]], ["tested"])
        self.assertEqual(ask("PUBLISH", "topic/a/b", "topic/b")["authDecision"], "IMPLICIT_DENY")
        self.assertEqual(ask("CONNECT", "client/tested", clientId="tested")["authDecision"], "ALLOWED")
        unknown = ask("CONNECT", "client/tested")
        self.assertEqual(unknown["authDecision"], "IMPLICIT_DENY")
        self.assertEqual(unknown["missingContextValues"], ["iot:Connection.Thing.ThingName"])
        self.assertEqual(ask("PUBLISH", "topic/a/b", policyNamesToSkip=["tested"])["authDecision"], "IMPLICIT_DENY")
        self.assertEqual(ask("PUBLISH", "topic/a/b", policyNamesToAdd=["deny"])["authDecision"], "EXPLICIT_DENY")
        self.assertEqual(ask("PUBLISH", "topic/a/b")["authDecision"], "ALLOWED")
        test = self.iot.test_authorization
        info = {"actionType": "PUBLISH", "resources": [ARN + "topic/a"]}
        self.refused("ResourceNotFoundException", 404, test, principal=certificate, authInfos=[info], policyNamesToAdd=["absent"])
        self.refused("ResourceNotFoundException", 404, test, principal=ARN + "cert/" + "0" * 64, authInfos=[info])
        self.refused("InvalidRequestException", 400, test, authInfos=[info])
        self.refused("InvalidRequestException", 400, test, principal=certificate, authInfos=[info] * 11)
        self.refused("InvalidRequestException", 400, test, principal=certificate, authInfos=[{"actionType": "EAT", "resources": ["x"]}])

    def test_effective_policies(self):
        certificate = self.certificate()
        document = policy(("Allow", "iot:Connect", "*"))
        self.iot.create_policy(policyName="effective", policyDocument=document)
        self.iot.attach_policy(policyName="effective", target=certificate)
        self.iot.create_thing(thingName="effective")
        expected = [{"policyName": "effective", "policyArn": ARN + "policy/effective", "policyDocument": document}]
        self.assertEqual(self.iot.get_effective_policies(principal=certificate)["effectivePolicies"], expected)
        self.assertEqual(self.iot.get_effective_policies(principal=certificate, thingName="effective")["effectivePolicies"], expected)
        self.assertEqual(self.iot.get_effective_policies(thingName="effective")["effectivePolicies"], [])
        get = self.iot.get_effective_policies
        self.refused("InvalidRequestException", 400, get)
        self.refused("ResourceNotFoundException", 404, get, principal=certificate, thingName="absent")
        self.refused("ResourceNotFoundException", 404, get, principal=ARN + "cert/" + "0" * 64)

    def test_g61_groups_hand_their_policies_down(self):
        certificate = self.certificate()
        self.iot.create_thing(thingName="member")
        self.iot.attach_thing_principal(thingName="member", principal=certificate)
        parent = self.iot.create_thing_group(thingGroupName="parent")["thingGroupArn"]
        child = self.iot.create_thing_group(thingGroupName="child", parentGroupName="parent")["thingGroupArn"]
        for name, effect in (("group-allow", "Allow"), ("group-deny", "Deny")):
            self.iot.create_policy(policyName=name, policyDocument=policy((effect, "iot:*", "*")))
        self.iot.attach_policy(policyName="group-allow", target=certificate)
        self.iot.attach_policy(policyName="group-deny", target=parent)
        self.iot.add_thing_to_thing_group(thingName="member", thingGroupName="child")

        def decision():
            info = {"actionType": "PUBLISH", "resources": [ARN + "topic/t"]}
            return self.iot.test_authorization(principal=certificate, clientId="member", authInfos=[info])["authResults"][0]["authDecision"]

        self.assertEqual(decision(), "EXPLICIT_DENY")
        names = [each["policyName"] for each in
                 self.iot.get_effective_policies(principal=certificate, thingName="member")["effectivePolicies"]]
        self.assertEqual(names, ["group-allow", "group-deny"])
        self.assertEqual(self.iot.list_attached_policies(target=child)["policies"], [])
        inherited = self.iot.list_attached_policies(target=child, recursive=True)["policies"]
        self.assertEqual([each["policyName"] for each in inherited], ["group-deny"])
        self.assertEqual(self.iot.list_targets_for_policy(policyName="group-deny")["targets"], [parent])

        self.iot.remove_thing_from_thing_group(thingName="member", thingGroupName="child")
        self.assertEqual(decision(), "ALLOWED")

    def test_g61_a_connected_device_follows_its_groups(self):
        certificate, key, _ = self.server.device("live")
        self.iot.create_thing_group(thingGroupName="quarantine")
        self.iot.create_policy(policyName="quarantine", policyDocument=policy(("Deny", "iot:Publish", "*")))
        listener = Subscriber(self.server, "live/#")
        device = Subscriber(self.server, "live/answers", client_id="live", tls=(certificate, key), protocol=mqtt.MQTTv5)

        self.assertTrue(self.passes(device, listener, b"free"))
        self.iot.attach_policy(policyName="quarantine", target=ARN + "thinggroup/quarantine")
        self.iot.add_thing_to_thing_group(thingName="live", thingGroupName="quarantine")
        tries = iter(range(10000))
        wait_until(lambda: not self.passes(device, listener, b"denied-%d" % next(tries)), 10)
        self.iot.detach_policy(policyName="quarantine", target=ARN + "thinggroup/quarantine")
        wait_until(lambda: self.passes(device, listener, b"again-%d" % next(tries)), 10)
        device.close()
        listener.close()

    def passes(self, device, listener, payload):
        """Whether a publish reaches a subscriber; a denied one is answered all the same (MQTT 5)."""
        info = device.client.publish("live/t", payload, qos=1)
        info.wait_for_publish(10)
        listener.publish("live/barrier", payload)
        wait_until(lambda: any(m.topic == "live/barrier" and m.payload == payload for m in listener.messages))
        return any(m.topic == "live/t" and m.payload == payload for m in listener.messages)

    def test_policies_are_listed_by_age(self):
        for number in range(3):
            self.iot.create_policy(policyName=f"aged-{number}", policyDocument=json.dumps(json.loads(ALLOW_ALL)))
        for ascending in (True, False):
            pages = self.iot.get_paginator("list_policies").paginate(ascendingOrder=ascending, PaginationConfig={"PageSize": 2})
            names = [each["policyName"] for page in pages for each in page["policies"]]
            names = [name for name in names if name.startswith("aged-")]
            self.assertEqual(names, sorted(names, reverse=not ascending))


if __name__ == "__main__":
    unittest.main(warnings="ignore")
