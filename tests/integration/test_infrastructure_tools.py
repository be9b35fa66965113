"""What tools that manage infrastructure as code call to create, read, change and delete a resource, and the words by which they know that they should try
again: each resource goes through its whole life, tags and all, and is gone in the end as those tools look for it."""
import unittest

from identity import ARN, Pki, Refusals, policy
from server import Server

ROLE = "arn:aws:iam::000000000000:role/r"
TAGS = [{"Key": "stage", "Value": "test"}]


def topic(number):
    return policy(("Allow", ["iot:Publish"], [f"{ARN}topic/{number}"]))


class InfrastructureTools(Refusals, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.addClassCleanup(cls.server.close)
        cls.pki = Pki()
        cls.addClassCleanup(cls.pki.folder.cleanup)

    def setUp(self):
        self.iot = self.server.api()

    def retagged(self, arn):
        """Tags are read with the resource and changed beside it."""
        self.assertEqual(self.iot.list_tags_for_resource(resourceArn=arn)["tags"], TAGS)
        self.iot.untag_resource(resourceArn=arn, tagKeys=["stage"])
        self.iot.tag_resource(resourceArn=arn, tags=[{"Key": "owner", "Value": "me"}])
        self.assertEqual(self.iot.list_tags_for_resource(resourceArn=arn)["tags"], [{"Key": "owner", "Value": "me"}])

    def test_rule(self):
        payload = {"sql": "SELECT * FROM 'iac'", "description": "d", "ruleDisabled": True, "awsIotSqlVersion": "2015-10-08",
                   "actions": [{"republish": {"topic": "out", "roleArn": ROLE}}],
                   "errorAction": {"cloudwatchLogs": {"logGroupName": "g", "roleArn": ROLE}}}
        self.iot.create_topic_rule(ruleName="iac", topicRulePayload=payload, tags="stage=test")
        shown = self.iot.get_topic_rule(ruleName="iac")
        self.assertEqual({key: shown["rule"][key] for key in payload}, payload)
        self.retagged(shown["ruleArn"])
        self.iot.replace_topic_rule(ruleName="iac", topicRulePayload={**payload, "ruleDisabled": False})
        self.assertFalse(self.iot.get_topic_rule(ruleName="iac")["rule"]["ruleDisabled"])
        self.iot.delete_topic_rule(ruleName="iac")
        self.refused("UnauthorizedException", 401, self.iot.get_topic_rule, ruleName="iac")

    def test_destination(self):
        iot, vpc = self.iot, {"subnetIds": ["subnet-1"], "securityGroups": ["sg-1"], "vpcId": "vpc-1", "roleArn": ROLE}
        made = iot.create_topic_rule_destination(destinationConfiguration={"vpcConfiguration": vpc})["topicRuleDestination"]
        self.assertEqual((made["status"], made["vpcProperties"]), ("ENABLED", vpc))
        for status in ("DISABLED", "ENABLED"):
            iot.update_topic_rule_destination(arn=made["arn"], status=status)
            self.assertEqual(iot.get_topic_rule_destination(arn=made["arn"])["topicRuleDestination"]["status"], status)
        iot.delete_topic_rule_destination(arn=made["arn"])
        self.refused("UnauthorizedException", 401, iot.get_topic_rule_destination, arn=made["arn"])

    def test_policy_whose_oldest_version_makes_room(self):
        iot = self.iot
        self.retagged(iot.create_policy(policyName="iac", policyDocument=topic(0), tags=TAGS)["policyArn"])
        for number in range(1, 8):
            try:
                iot.create_policy_version(policyName="iac", policyDocument=topic(number), setAsDefault=True)
            except iot.exceptions.VersionsLimitExceededException:
                oldest = min(int(version["versionId"]) for version in iot.list_policy_versions(policyName="iac")["policyVersions"]
                             if not version["isDefaultVersion"])
                iot.delete_policy_version(policyName="iac", policyVersionId=str(oldest))
                iot.create_policy_version(policyName="iac", policyDocument=topic(number), setAsDefault=True)
            self.assertEqual(iot.get_policy(policyName="iac")["policyDocument"], topic(number))
        for version in iot.list_policy_versions(policyName="iac")["policyVersions"]:
            if not version["isDefaultVersion"]:
                iot.delete_policy_version(policyName="iac", policyVersionId=version["versionId"])
        iot.delete_policy(policyName="iac")
        self.refused("ResourceNotFoundException", 404, iot.list_policy_versions, policyName="iac")

    def test_certificate_of_a_ca(self):
        iot = self.iot
        code = iot.get_registration_code()["registrationCode"]
        pem = self.pki.ca("iac")
        ca = iot.register_ca_certificate(caCertificate=pem, verificationCertificate=self.pki.signed("iac-proof", "iac", code), setAsActive=True, tags=TAGS)
        self.retagged(ca["certificateArn"])
        shown = iot.describe_ca_certificate(certificateId=ca["certificateId"])["certificateDescription"]
        self.assertEqual((shown["certificatePem"], shown["status"], shown["autoRegistrationStatus"], shown["customerVersion"]),
                         (pem, "ACTIVE", "DISABLE", 1))
        device = iot.register_certificate(certificatePem=self.pki.signed("iac-device", "iac"), caCertificatePem=pem, setAsActive=True)["certificateId"]
        self.assertEqual(iot.describe_certificate(certificateId=device)["certificateDescription"]["caCertificateId"], ca["certificateId"])
        iot.update_certificate(certificateId=device, newStatus="INACTIVE")
        iot.delete_certificate(certificateId=device)
        iot.update_ca_certificate(certificateId=ca["certificateId"], newStatus="INACTIVE")
        iot.delete_ca_certificate(certificateId=ca["certificateId"])
        self.refused("ResourceNotFoundException", 404, iot.describe_ca_certificate, certificateId=ca["certificateId"])

    def test_thing_with_what_is_attached(self):
        iot = self.iot
        certificate = iot.create_keys_and_certificate(setAsActive=True)
        arn = certificate["certificateArn"]
        iot.create_thing(thingName="iac", attributePayload={"attributes": {"a": "b"}})
        iot.create_policy(policyName="attached", policyDocument=topic(0))
        iot.attach_policy(policyName="attached", target=arn)
        iot.attach_thing_principal(thingName="iac", principal=arn)
        self.assertEqual(iot.list_attached_policies(target=arn)["policies"], [{"policyName": "attached", "policyArn": ARN + "policy/attached"}])
        refusal = self.refused("InvalidRequestException", 400, iot.delete_thing, thingName="iac")
        self.assertIn("still attached to one or more principals", refusal["Error"]["Message"])
        iot.update_thing(thingName="iac", attributePayload={"attributes": {}})
        self.assertEqual(iot.describe_thing(thingName="iac")["attributes"], {})
        iot.detach_thing_principal(thingName="iac", principal=arn)
        iot.delete_thing(thingName="iac")
        # A certificate goes by force with its policies attached; detaching them afterwards is no error.
        iot.update_certificate(certificateId=certificate["certificateId"], newStatus="INACTIVE")
        self.refused("DeleteConflictException", 409, iot.delete_certificate, certificateId=certificate["certificateId"])
        iot.delete_certificate(certificateId=certificate["certificateId"], forceDelete=True)
        iot.detach_policy(policyName="attached", target=arn)
        iot.delete_policy(policyName="attached")

    def test_groups_and_types(self):
        iot = self.iot
        parent = iot.create_thing_group(thingGroupName="parent", tags=TAGS)["thingGroupArn"]
        iot.create_thing_group(thingGroupName="child", parentGroupName="parent")
        self.retagged(parent)
        refusal = self.refused("InvalidRequestException", 400, iot.delete_thing_group, thingGroupName="parent")
        self.assertIn("there are still child groups attached", refusal["Error"]["Message"])
        for group in ("child", "parent"):
            iot.delete_thing_group(thingGroupName=group)
            self.refused("ResourceNotFoundException", 404, iot.describe_thing_group, thingGroupName=group)
        bill = iot.create_billing_group(billingGroupName="iac", tags=TAGS)["billingGroupArn"]
        self.retagged(bill)
        version = iot.describe_billing_group(billingGroupName="iac")["version"]
        iot.update_billing_group(billingGroupName="iac", billingGroupProperties={"billingGroupDescription": "d"}, expectedVersion=version)
        iot.delete_billing_group(billingGroupName="iac")
        self.refused("ResourceNotFoundException", 404, iot.describe_billing_group, billingGroupName="iac")
        self.retagged(iot.create_thing_type(thingTypeName="iac", tags=TAGS)["thingTypeArn"])
        iot.deprecate_thing_type(thingTypeName="iac")
        refusal = self.refused("InvalidRequestException", 400, iot.delete_thing_type, thingTypeName="iac")
        self.assertIn("Please wait for 5 minutes after deprecation and then retry", refusal["Error"]["Message"])

    def test_what_devices_sign_in_with(self):
        iot = self.iot
        self.retagged(iot.create_role_alias(roleAlias="iac", roleArn=ROLE, tags=TAGS)["roleAliasArn"])
        iot.update_role_alias(roleAlias="iac", credentialDurationSeconds=900)
        iot.delete_role_alias(roleAlias="iac")
        self.refused("ResourceNotFoundException", 404, iot.describe_role_alias, roleAlias="iac")
        function = "arn:aws:lambda:us-east-1:000000000000:function:f"
        self.retagged(iot.create_authorizer(authorizerName="iac", authorizerFunctionArn=function, signingDisabled=True, status="ACTIVE",
                                            tags=TAGS)["authorizerArn"])
        iot.update_authorizer(authorizerName="iac", status="INACTIVE")
        iot.delete_authorizer(authorizerName="iac")
        self.refused("ResourceNotFoundException", 404, iot.describe_authorizer, authorizerName="iac")
        domain = iot.create_domain_configuration(domainConfigurationName="iac", domainName="iac.example.com", tags=TAGS,
                                                 serverCertificateArns=["arn:aws:acm:us-east-1:000000000000:certificate/c"])
        self.retagged(domain["domainConfigurationArn"])
        iot.update_domain_configuration(domainConfigurationName="iac", domainConfigurationStatus="DISABLED")
        iot.delete_domain_configuration(domainConfigurationName="iac")
        self.refused("ResourceNotFoundException", 404, iot.describe_domain_configuration, domainConfigurationName="iac")

    def test_account(self):
        iot = self.iot
        kinds = iot.describe_event_configurations()["eventConfigurations"]
        for enabled in (True, False):
            iot.update_event_configurations(eventConfigurations={kind: {"Enabled": enabled} for kind in kinds})
            self.assertEqual(iot.describe_event_configurations()["eventConfigurations"], {kind: {"Enabled": enabled} for kind in kinds})
        iot.set_v2_logging_options(roleArn=ROLE, defaultLogLevel="WARN", disableAllLogs=False)
        shown = iot.get_v2_logging_options()
        self.assertEqual((shown["roleArn"], shown["defaultLogLevel"], shown["disableAllLogs"]), (ROLE, "WARN", False))


if __name__ == "__main__":
    unittest.main(warnings="ignore")
