"""Debian's AWS CLI and boto3, unmodified, on the TLS face and on the development face."""
import json
import unittest

from botocore.exceptions import ClientError

from server import Server

POLICY = json.dumps({"Version": "2012-10-17",
                     "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]})


class AwsTools(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def aws(self, *arguments, **options):
        code, output = self.server.aws(*arguments, **options)
        self.assertEqual(code, 0, output)
        return output

    def test_the_cli_runs_a_device_s_life(self):
        created = self.aws("iot", "create-thing", "--thing-name", "pump", "--attribute-payload",
                           json.dumps({"attributes": {"site": "north"}}))
        self.assertEqual(created["thingArn"], "arn:aws:iot:us-east-1:000000000000:thing/pump")
        self.assertIn("pump", [each["thingName"] for each in self.aws("iot", "list-things")["things"]])
        described = self.aws("iot", "describe-thing", "--thing-name", "pump")
        self.assertEqual(described["attributes"], {"site": "north"})
        self.assertEqual(described["version"], 1)
        keys = self.aws("iot", "create-keys-and-certificate", "--set-as-active")
        self.assertIn("BEGIN RSA PRIVATE KEY", keys["keyPair"]["PrivateKey"])
        self.aws("iot", "create-policy", "--policy-name", "all", "--policy-document", POLICY)
        self.aws("iot", "attach-policy", "--policy-name", "all", "--target", keys["certificateArn"])
        self.aws("iot", "attach-thing-principal", "--thing-name", "pump", "--principal", keys["certificateArn"])
        principals = self.aws("iot", "list-thing-principals", "--thing-name", "pump")
        self.assertEqual(principals["principals"], [keys["certificateArn"]])
        self.assertIn("endpointAddress", self.aws("iot", "describe-endpoint", "--endpoint-type", "iot:Data-ATS"))
        code, error = self.server.aws("iot", "describe-thing", "--thing-name", "absent")
        self.assertNotEqual(code, 0)
        self.assertIn("ResourceNotFoundException", error)

    def test_the_cli_speaks_to_the_data_plane(self):
        self.aws("iot-data", "publish", "--topic", "cli/t", "--qos", "1", "--retain", "--payload", "aGVsbG8=")
        kept = self.server.api("iot-data").get_retained_message(topic="cli/t")
        self.assertEqual(kept["payload"], b"hello")
        self.assertEqual(kept["qos"], 1)

        self.aws("iot-data", "update-thing-shadow", "--thing-name", "cli", "--cli-binary-format", "raw-in-base64-out",
                 "--payload", '{"state": {"desired": {"a": 1}}}', "/dev/null")
        code, document = self.server.aws("iot-data", "get-thing-shadow", "--thing-name", "cli", "/dev/stderr")
        self.assertEqual(code, 0, document)

    def test_the_cli_makes_a_rule(self):
        rule = {"sql": "SELECT * FROM 'a'", "actions": [{"republish": {"topic": "b", "roleArn": "arn:aws:iam::000000000000:role/r"}}]}
        self.aws("iot", "create-topic-rule", "--rule-name", "cli", "--topic-rule-payload", json.dumps(rule))
        self.assertEqual(self.aws("iot", "get-topic-rule", "--rule-name", "cli")["rule"]["sql"], rule["sql"])

    def test_signatures_are_checked_on_tls_and_not_on_the_development_face(self):
        wrong = self.server.api(tls=True, aws_access_key_id="AKIAIOSFODNN7EXAMPLE", aws_secret_access_key="x" * 40)
        with self.assertRaises(ClientError) as unknown:
            wrong.list_things()
        self.assertEqual(unknown.exception.response["Error"]["Code"], "UnrecognizedClientException")
        self.assertEqual(unknown.exception.response["ResponseMetadata"]["HTTPStatusCode"], 403)
        with open(self.server.path("credentials")) as file:
            key = file.read().split("aws_access_key_id = ")[1].split()[0]
        wrong = self.server.api(tls=True, aws_access_key_id=key, aws_secret_access_key="x" * 40)
        with self.assertRaises(ClientError) as mismatch:
            wrong.list_things()
        self.assertEqual(mismatch.exception.response["Error"]["Code"], "InvalidSignatureException")
        self.server.api(aws_access_key_id="anybody", aws_secret_access_key="anything").list_things()

    def test_bounds_and_errors_have_aws_s_names(self):
        iot = self.server.api(tls=True)
        for call, code, status in [
            (lambda: iot.create_thing(thingName="x" * 129), "InvalidRequestException", 400),
            (lambda: iot.create_thing(thingName="a b"), "InvalidRequestException", 400),
            (lambda: iot.create_policy(policyName="p", policyDocument="{"), "MalformedPolicyException", 400),
            (lambda: iot.create_policy(policyName="p", policyDocument='{"Version":"2012-10-17"}'), "MalformedPolicyException", 400),
            (lambda: iot.create_certificate_from_csr(certificateSigningRequest="no"), "InvalidRequestException", 400),
            (lambda: iot.attach_policy(policyName="absent", target="arn:aws:iot:us-east-1:000000000000:cert/" + "0" * 64), "ResourceNotFoundException", 404),
        ]:
            with self.assertRaises(ClientError) as caught:
                call()
            response = caught.exception.response
            self.assertEqual((response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]), (code, status), response)
            self.assertTrue(response["Error"]["Message"])
            self.assertTrue(response["ResponseMetadata"]["RequestId"])

    def test_pages(self):
        iot = self.server.api()
        names = [f"page-{n:03d}" for n in range(30)]
        for name in names:
            iot.create_thing(thingName=name)
        pages = iot.get_paginator("list_things").paginate(PaginationConfig={"PageSize": 7})
        listed = [thing["thingName"] for page in pages for thing in page["things"]]
        self.assertEqual([name for name in listed if name.startswith("page-")], names)

    def test_an_operation_that_is_not_there_yet_says_so(self):
        with self.assertRaises(ClientError) as caught:
            self.server.api().list_jobs()
        self.assertIn(caught.exception.response["Error"]["Code"],
                      ("NotImplementedException", "UnknownOperationException"))


if __name__ == "__main__":
    unittest.main(warnings="ignore")
