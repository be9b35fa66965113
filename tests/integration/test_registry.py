"""The registry by boto3: groups, billing groups, tags, events, logging; with valid, minimal, boundary and invalid input, and across a restart."""
import json
import unittest

from botocore.exceptions import ClientError

from server import Server, Subscriber, wait_until

ARN = "arn:aws:iot:us-east-1:000000000000:"


class Registry(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.addClassCleanup(cls.server.close)

    def setUp(self):
        self.iot = self.server.api()

    def refused(self, name, status, call, **arguments):
        with self.assertRaises(ClientError) as refusal:
            call(**arguments)
        self.assertEqual(refusal.exception.response["Error"]["Code"], name + "Exception")
        self.assertEqual(refusal.exception.response["ResponseMetadata"]["HTTPStatusCode"], status)
        return refusal.exception.response

    def pages(self, operation, key, size=3, **arguments):
        out = []
        for page in self.iot.get_paginator(operation).paginate(PaginationConfig={"PageSize": size}, **arguments):
            self.assertLessEqual(len(page[key]), size)
            out += page[key]
        return out

    def test_a_tree_of_groups(self):
        iot = self.iot
        self.assertEqual(iot.create_thing_group(thingGroupName="tree")["thingGroupArn"], ARN + "thinggroup/tree")
        made = iot.create_thing_group(
            thingGroupName="tree-a", parentGroupName="tree", tags=[{"Key": "k", "Value": "v"}],
            thingGroupProperties={"thingGroupDescription": "first", "attributePayload": {"attributes": {"floor": "1"}}})
        for i in range(7):
            iot.create_thing_group(thingGroupName=f"tree-a{i}", parentGroupName="tree-a")
            iot.create_thing(thingName=f"tree-t{i}")
            iot.add_thing_to_thing_group(thingGroupName=f"tree-a{i}", thingName=f"tree-t{i}")
        group = iot.describe_thing_group(thingGroupName="tree-a")
        self.assertEqual(group["thingGroupId"], made["thingGroupId"])
        self.assertEqual(group["version"], 1)
        self.assertEqual(group["thingGroupProperties"]["attributePayload"], {"attributes": {"floor": "1"}})
        self.assertEqual(group["thingGroupMetadata"]["parentGroupName"], "tree")
        self.assertNotIn("status", group)
        names = [each["groupName"] for each in self.pages("list_thing_groups", "thingGroups", parentGroup="tree")]
        self.assertEqual(names, ["tree-a"] + [f"tree-a{i}" for i in range(7)])
        direct = iot.list_thing_groups(parentGroup="tree", recursive=False)["thingGroups"]
        self.assertEqual(direct, [{"groupName": "tree-a", "groupArn": ARN + "thinggroup/tree-a"}])
        self.assertEqual(self.pages("list_things_in_thing_group", "things", thingGroupName="tree", recursive=True),
                         [f"tree-t{i}" for i in range(7)])
        self.assertEqual(iot.list_things_in_thing_group(thingGroupName="tree")["things"], [])
        self.assertEqual(iot.list_thing_groups_for_thing(thingName="tree-t3")["thingGroups"],
                         [{"groupName": "tree-a3", "groupArn": ARN + "thinggroup/tree-a3"}])
        self.refused("InvalidRequest", 400, iot.add_thing_to_thing_group, thingGroupName="tree-a1", thingName="tree-t3")
        self.refused("InvalidRequest", 400, iot.delete_thing_group, thingGroupName="tree-a")
        refusal = self.refused("ResourceAlreadyExists", 409, iot.create_thing_group, thingGroupName="tree-a")
        self.assertEqual(refusal["resourceArn"], ARN + "thinggroup/tree-a")
        self.refused("ResourceNotFound", 404, iot.describe_thing_group, thingGroupName="none")
        self.refused("ResourceNotFound", 404, iot.update_thing_group, thingGroupName="none", thingGroupProperties={})
        self.refused("VersionConflict", 409, iot.update_thing_group, thingGroupName="tree-a", thingGroupProperties={}, expectedVersion=9)
        self.refused("InvalidRequest", 400, iot.create_thing_group, thingGroupName="x" * 129)
        self.refused("InvalidRequest", 400, iot.create_thing_group, thingGroupName="no spaces")
        self.refused("InvalidRequest", 400, iot.list_thing_groups, maxResults=251)
        self.refused("InvalidRequest", 400, iot.list_thing_groups, nextToken="made up")
        iot.delete_thing_group(thingGroupName="none")

    def test_policies_on_groups(self):
        iot = self.iot
        document = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]})
        iot.create_policy(policyName="on-group", policyDocument=document)
        arn = iot.create_thing_group(thingGroupName="with-policy")["thingGroupArn"]
        iot.attach_policy(policyName="on-group", target=arn)
        self.assertEqual(iot.list_targets_for_policy(policyName="on-group")["targets"], [arn])
        self.assertEqual([each["policyName"] for each in iot.list_attached_policies(target=arn)["policies"]], ["on-group"])
        iot.delete_thing_group(thingGroupName="with-policy")
        self.assertEqual(iot.list_targets_for_policy(policyName="on-group")["targets"], [])
        self.refused("ResourceNotFound", 404, iot.attach_policy, policyName="on-group", target=arn)

    def test_billing_groups(self):
        iot = self.iot
        self.assertEqual(iot.create_billing_group(billingGroupName="bill")["billingGroupArn"], ARN + "billinggroup/bill")
        iot.create_thing(thingName="billed", billingGroupName="bill")
        self.assertEqual(iot.describe_thing(thingName="billed")["billingGroupName"], "bill")
        self.assertEqual(iot.list_things_in_billing_group(billingGroupName="bill")["things"], ["billed"])
        iot.remove_thing_from_billing_group(billingGroupArn=ARN + "billinggroup/bill", thingArn=ARN + "thing/billed")
        self.assertNotIn("billingGroupName", iot.describe_thing(thingName="billed"))
        updated = iot.update_billing_group(billingGroupName="bill", billingGroupProperties={"billingGroupDescription": "d"})
        self.assertEqual(updated["version"], 2)
        group = iot.describe_billing_group(billingGroupName="bill")
        self.assertEqual(group["billingGroupProperties"], {"billingGroupDescription": "d"})
        self.assertIn("creationDate", group["billingGroupMetadata"])
        self.assertEqual([each["groupName"] for each in iot.list_billing_groups(namePrefixFilter="bi")["billingGroups"]], ["bill"])
        self.refused("VersionConflict", 409, iot.delete_billing_group, billingGroupName="bill", expectedVersion=1)
        iot.delete_billing_group(billingGroupName="bill", expectedVersion=2)
        self.refused("ResourceNotFound", 404, iot.describe_billing_group, billingGroupName="bill")
        self.refused("ResourceNotFound", 404, iot.create_thing, thingName="x", billingGroupName="none")

    def test_tags(self):
        iot = self.iot
        arn = iot.create_thing_group(thingGroupName="tagged", tags=[{"Key": "a", "Value": "1"}])["thingGroupArn"]
        iot.tag_resource(resourceArn=arn, tags=[{"Key": "b", "Value": "ü / :"}, {"Key": "a", "Value": "2"}])
        self.assertEqual(iot.list_tags_for_resource(resourceArn=arn)["tags"],
                         [{"Key": "a", "Value": "2"}, {"Key": "b", "Value": "ü / :"}])
        iot.untag_resource(resourceArn=arn, tagKeys=["a"])
        self.assertEqual(iot.list_tags_for_resource(resourceArn=arn)["tags"], [{"Key": "b", "Value": "ü / :"}])
        self.refused("LimitExceeded", 410, iot.tag_resource, resourceArn=arn, tags=[{"Key": f"k{i}", "Value": ""} for i in range(50)])
        self.refused("ResourceNotFound", 404, iot.list_tags_for_resource, resourceArn=ARN + "thinggroup/none")
        self.refused("InvalidRequest", 400, iot.list_tags_for_resource, resourceArn=ARN + "thing/none")
        self.refused("InvalidRequest", 400, iot.tag_resource, resourceArn=arn, tags=[{"Key": "k" * 129, "Value": ""}])

    def test_bounds_that_are_newer_than_this_sdk(self):
        template = json.dumps({"Parameters": {"p": {"Type": "String"}}, "Resources": {
            "c": {"Type": "AWS::IoT::Certificate", "Properties": {"CertificateId": {"Ref": "p"}}}}})
        self.refused("ResourceRegistrationFailure", 400, self.iot.register_thing, templateBody=template, parameters={"p": "x" * 4096})
        self.refused("InvalidRequest", 400, self.iot.register_thing, templateBody=template, parameters={"p": "x" * 4097})
        destination = ARN + "ruledestination/http/none"
        for status, refusal in (("ENABLED", ("Unauthorized", 401)), ("SOMEHOW", ("InvalidRequest", 400))):
            self.refused(*refusal, lambda new: self.iot.update_topic_rule_destination(arn=destination, status=new), new=status)
        self.refused("InvalidRequest", 400, self.iot.confirm_topic_rule_destination, confirmationToken="x" * 2049)

    def test_a_message_s_topic_has_no_nul(self):
        data = self.server.api("iot-data")
        self.refused("InvalidRequest", 400, data.publish, topic="a\0b", payload=b"x")

    def test_registry_events_reach_subscribers(self):
        iot = self.iot
        self.assertEqual(len(iot.describe_event_configurations()["eventConfigurations"]), 11)
        iot.update_event_configurations(eventConfigurations={
            each: {"Enabled": True} for each in ("THING", "THING_GROUP", "THING_GROUP_MEMBERSHIP")})
        listener = Subscriber(self.server, "$aws/events/thing/#", "$aws/events/thingGroupMembership/#", client_id="events")
        self.addCleanup(listener.close)
        iot.create_thing(thingName="told", attributePayload={"attributes": {"a": "1"}})
        iot.create_thing_group(thingGroupName="told-group")
        iot.add_thing_to_thing_group(thingGroupName="told-group", thingName="told")
        iot.update_thing(thingName="told", attributePayload={"attributes": {"a": "2"}})
        iot.delete_thing(thingName="told")
        wait_until(lambda: len(listener.messages) >= 5)
        found = {message.topic: json.loads(message.payload) for message in listener.messages}
        self.assertEqual(set(found), {
            "$aws/events/thing/told/created", "$aws/events/thing/told/updated", "$aws/events/thing/told/deleted",
            "$aws/events/thingGroupMembership/thingGroup/told-group/thing/told/added",
            "$aws/events/thingGroupMembership/thingGroup/told-group/thing/told/removed"})
        updated = found["$aws/events/thing/told/updated"]
        self.assertEqual(set(updated), {"eventType", "eventId", "timestamp", "operation", "accountId", "thingId", "thingName",
                                        "versionNumber", "thingTypeName", "attributes"})
        self.assertEqual((updated["versionNumber"], updated["attributes"], updated["thingTypeName"]), (2, {"a": "2"}, None))
        self.refused("InvalidRequest", 400, iot.update_event_configurations, eventConfigurations={"OTHER": {"Enabled": True}})

    def test_logging(self):
        iot = self.iot
        self.refused("NotConfigured", 404, iot.get_v2_logging_options)
        iot.set_v2_logging_options(roleArn="arn:aws:iam::123456789012:role/log", defaultLogLevel="WARN")
        self.assertEqual(iot.get_v2_logging_options()["defaultLogLevel"], "WARN")
        iot.set_v2_logging_level(logTarget={"targetType": "CLIENT_ID", "targetName": "c"}, logLevel="DEBUG")
        self.assertEqual(len(iot.list_v2_logging_levels(targetType="CLIENT_ID")["logTargetConfigurations"]), 1)
        iot.delete_v2_logging_level(targetType="CLIENT_ID", targetName="c")
        self.assertEqual(iot.list_v2_logging_levels()["logTargetConfigurations"], [])
        self.refused("InvalidRequest", 400, iot.set_v2_logging_options, defaultLogLevel="LOUD")
        iot.set_logging_options(loggingOptionsPayload={"roleArn": "arn:aws:iam::123456789012:role/log", "logLevel": "INFO"})
        self.assertEqual(iot.get_logging_options()["logLevel"], "INFO")

    def test_what_is_logged_of_the_things_of_a_group(self):
        server = Server()
        self.addCleanup(server.close)
        iot = server.api()
        iot.create_thing_group(thingGroupName="watched")
        iot.create_thing_group(thingGroupName="below", parentGroupName="watched")
        for name in ("member", "other"):
            iot.create_thing(thingName=name)
        iot.add_thing_to_thing_group(thingGroupName="below", thingName="member")
        iot.set_v2_logging_options(roleArn="arn:aws:iam::123456789012:role/log", defaultLogLevel="ERROR")
        iot.set_v2_logging_level(logTarget={"targetType": "THING_GROUP", "targetName": "watched"}, logLevel="DEBUG")

        def lines_of(name):
            """What is logged while that client comes and goes."""
            before = len(server.read_log())
            Subscriber(server, client_id=name).close()
            Subscriber(server, "$aws/events/presence/#", client_id="after").close()
            return [line for line in server.read_log()[before:].splitlines() if f"client_id={name}" in line]
        wait_until(lambda: any("client.connected" in line for line in lines_of("member")))
        self.assertEqual(lines_of("other"), [])
        self.assertEqual(lines_of("nobody"), [])
        # Membership counts within a second, either way.
        iot.add_thing_to_thing_group(thingGroupName="watched", thingName="other")
        wait_until(lambda: lines_of("other"), 5)
        iot.remove_thing_from_thing_group(thingGroupName="below", thingName="member")
        wait_until(lambda: not lines_of("member"), 5)
        # So after a restart, and no more once the level has gone.
        self.assertEqual(server.stop(), 0)
        server.start()
        self.assertTrue(lines_of("other"))
        server.api().delete_v2_logging_level(targetType="THING_GROUP", targetName="watched")
        self.assertEqual(lines_of("other"), [])

    def test_dynamic_groups_outlive_a_restart(self):
        server = Server()
        self.addCleanup(server.close)
        iot = server.api()
        iot.create_thing(thingName="early", attributePayload={"attributes": {"battery": "9.5"}})
        iot.create_dynamic_thing_group(thingGroupName="weak", queryString="attributes.battery<20")
        iot.create_thing_group(thingGroupName="static", tags=[{"Key": "k", "Value": "v"}])
        iot.add_thing_to_thing_group(thingGroupName="static", thingName="early")
        wait_until(lambda: iot.describe_thing_group(thingGroupName="weak")["status"] == "ACTIVE")
        self.assertEqual(server.stop(), 0)
        server.start()
        iot = server.api()
        iot.create_thing(thingName="late", attributePayload={"attributes": {"battery": "3"}})
        iot.create_thing(thingName="full", attributePayload={"attributes": {"battery": "100"}})
        self.assertEqual(iot.list_things_in_thing_group(thingGroupName="weak")["things"], ["early", "late"])
        iot.update_thing(thingName="early", attributePayload={"attributes": {"battery": "80"}})
        self.assertEqual(iot.list_things_in_thing_group(thingGroupName="weak")["things"], ["late"])
        self.assertEqual(iot.list_things_in_thing_group(thingGroupName="static")["things"], ["early"])
        self.assertEqual(len(iot.list_tags_for_resource(resourceArn=ARN + "thinggroup/static")["tags"]), 1)
        group = iot.describe_thing_group(thingGroupName="weak")
        self.assertEqual((group["queryString"], group["queryVersion"], group["indexName"]),
                         ("attributes.battery<20", "2017-09-30", "AWS_Things"))
        iot.update_dynamic_thing_group(thingGroupName="weak", thingGroupProperties={}, queryString="attributes.battery:100")
        wait_until(lambda: iot.describe_thing_group(thingGroupName="weak")["status"] == "ACTIVE")
        self.assertEqual(iot.list_things_in_thing_group(thingGroupName="weak")["things"], ["full"])
        iot.delete_dynamic_thing_group(thingGroupName="weak")

    def test_the_cli_manages_groups(self):
        for arguments in (["create-thing-group", "--thing-group-name", "cli"], ["create-thing", "--thing-name", "cli"],
                          ["add-thing-to-thing-group", "--thing-group-name", "cli", "--thing-name", "cli"]):
            code, output = self.server.aws("iot", *arguments)
            self.assertEqual(code, 0, output)
        code, output = self.server.aws("iot", "list-things-in-thing-group", "--thing-group-name", "cli")
        self.assertEqual((code, output), (0, {"things": ["cli"]}))


if __name__ == "__main__":
    unittest.main(warnings="ignore")
