"""Domain configurations, role aliases and the credentials provider."""
import http.client
import json
import ssl
import unittest

from identity import ARN, Refusals, policy
from server import Server


class Domains(Refusals, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.iot = cls.server.api()

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def test_domain_configurations(self):
        create = self.iot.create_domain_configuration
        made = create(domainConfigurationName="field", domainName="Field.example.com",
                      authorizerConfig={"defaultAuthorizerName": "a", "allowAuthorizerOverride": True})
        self.assertRegex(made["domainConfigurationArn"], f"^{ARN}domainconfiguration/field/[0-9a-z]+$")
        self.refused("ResourceAlreadyExistsException", 409, create, domainConfigurationName="field")
        self.refused("InvalidRequestException", 400, create, domainConfigurationName="twin", domainName="field.example.com")
        self.refused("InvalidRequestException", 400, create, domainConfigurationName="bad", domainName="no host")
        described = self.iot.describe_domain_configuration(domainConfigurationName="field")
        self.assertEqual((described["domainName"], described["domainConfigurationStatus"], described["serviceType"], described["domainType"]),
                         ("field.example.com", "ENABLED", "DATA", "CUSTOMER_MANAGED"))
        self.assertEqual(described["authorizerConfig"], {"defaultAuthorizerName": "a", "allowAuthorizerOverride": True})
        listed = {each["domainConfigurationName"]: each["serviceType"] for each in self.iot.list_domain_configurations()["domainConfigurations"]}
        self.assertEqual(listed, {"iot:Data-ATS": "DATA", "iot:Data": "DATA", "iot:CredentialProvider": "CREDENTIAL_PROVIDER",
                                  "iot:Jobs": "JOBS", "field": "DATA"})
        listed = self.iot.list_domain_configurations(serviceType="JOBS")["domainConfigurations"]
        self.assertEqual([each["domainConfigurationName"] for each in listed], ["iot:Jobs"])
        managed = self.iot.describe_domain_configuration(domainConfigurationName="iot:Data-ATS")
        self.assertEqual(managed["domainType"], "ENDPOINT")
        self.assertEqual(managed["domainName"], self.iot.describe_endpoint(endpointType="iot:Data-ATS")["endpointAddress"])
        update = self.iot.update_domain_configuration
        self.refused("InvalidRequestException", 400, update, domainConfigurationName="iot:Jobs", domainConfigurationStatus="DISABLED")
        self.refused("ResourceNotFoundException", 404, update, domainConfigurationName="absent", domainConfigurationStatus="DISABLED")
        self.refused("InvalidRequestException", 400, self.iot.delete_domain_configuration, domainConfigurationName="field")
        update(domainConfigurationName="field", domainConfigurationStatus="DISABLED", removeAuthorizerConfig=True)
        self.assertNotIn("authorizerConfig", self.iot.describe_domain_configuration(domainConfigurationName="field"))
        self.iot.delete_domain_configuration(domainConfigurationName="field")
        self.refused("ResourceNotFoundException", 404, self.iot.delete_domain_configuration, domainConfigurationName="field")
        self.refused("ResourceNotFoundException", 404, self.iot.describe_domain_configuration, domainConfigurationName="field")

    def test_role_aliases(self):
        role = "arn:aws:iam::000000000000:role/pump"
        create = self.iot.create_role_alias
        self.refused("InvalidRequestException", 400, create, roleAlias="r", roleArn="arn:aws:iam::111122223333:role/other")
        self.refused("InvalidRequestException", 400, create, roleAlias="r", roleArn=role, credentialDurationSeconds=43201)
        made = create(roleAlias="r", roleArn=role)
        self.assertEqual((made["roleAlias"], made["roleAliasArn"]), ("r", ARN + "rolealias/r"))
        self.refused("ResourceAlreadyExistsException", 409, create, roleAlias="r", roleArn=role)
        described = self.iot.describe_role_alias(roleAlias="r")["roleAliasDescription"]
        self.assertEqual((described["roleArn"], described["credentialDurationSeconds"], described["owner"]), (role, 3600, "000000000000"))
        self.iot.update_role_alias(roleAlias="r", credentialDurationSeconds=900)
        self.assertEqual(self.iot.describe_role_alias(roleAlias="r")["roleAliasDescription"]["credentialDurationSeconds"], 900)
        create(roleAlias="r2", roleArn=role)
        listed = self.iot.list_role_aliases(ascendingOrder=True)["roleAliases"]
        self.assertEqual([name for name in listed if name.startswith("r")], ["r", "r2"])
        page = self.iot.list_role_aliases(pageSize=1)
        self.assertEqual(page["roleAliases"], ["r2"])
        self.assertEqual(self.iot.list_role_aliases(pageSize=1, marker=page["nextMarker"])["roleAliases"], ["r"])
        for name in ("r", "r2"):
            self.iot.delete_role_alias(roleAlias=name)
        for call in (self.iot.describe_role_alias, self.iot.update_role_alias, self.iot.delete_role_alias):
            self.refused("ResourceNotFoundException", 404, call, roleAlias="r")

    def test_devices_get_credentials_by_their_certificates(self):
        certificate, key, _ = self.server.device("pump", json.loads(policy(("Allow", "iot:AssumeRoleWithCertificate", ARN + "rolealias/pump"))))
        self.iot.create_role_alias(roleAlias="pump", roleArn="arn:aws:iam::000000000000:role/pump", credentialDurationSeconds=900)
        self.iot.create_role_alias(roleAlias="other", roleArn="arn:aws:iam::000000000000:role/other")

        def get(alias, headers=None, files=(certificate, key)):
            context = ssl.create_default_context(cafile=self.server.ca)
            if files:
                context.load_cert_chain(*files)
            connection = http.client.HTTPSConnection("localhost", self.server.port("https"), context=context, timeout=20)
            connection.request("GET", f"/role-aliases/{alias}/credentials", headers=headers or {})
            response = connection.getresponse()
            body = json.loads(response.read())
            connection.close()
            return response.status, body

        self.assertEqual(get("other")[0], 403)
        self.assertEqual(get("pump", files=None)[0], 403)
        self.assertEqual(get("pump", {"x-amzn-iot-thingname": "valve"})[0], 403)
        status, body = get("pump", {"x-amzn-iot-thingname": "pump"})
        self.assertEqual(status, 200, body)
        self.assertEqual(sorted(body["credentials"]), ["accessKeyId", "expiration", "secretAccessKey", "sessionToken"])
        self.assertRegex(body["credentials"]["expiration"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        data = self.server.api("iot-data", tls=True, aws_access_key_id=body["credentials"]["accessKeyId"],
                               aws_secret_access_key=body["credentials"]["secretAccessKey"], aws_session_token=body["credentials"]["sessionToken"])
        self.refused("AccessDeniedException", 403, data.publish, topic="pumps/t", payload=b"x")
        self.iot.create_policy(policyName="role", policyDocument=policy(("Allow", "iot:Publish", ARN + "topic/pumps/*")))
        self.iot.attach_policy(policyName="role", target="arn:aws:iam::000000000000:role/pump")
        data.publish(topic="pumps/t", payload=b"x")


if __name__ == "__main__":
    unittest.main(warnings="ignore")
