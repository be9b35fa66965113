"""Devices whose certificates are registered when they first connect (JITR, JITP), over real TLS."""
import json
import ssl
import socket
import unittest

import paho.mqtt.client as mqtt

from identity import ALLOW_ALL, Pki, Refusals
from server import Server, Subscriber, wait_until

TEMPLATE = {
    "Parameters": {"AWS::IoT::Certificate::CommonName": {"Type": "String"}, "AWS::IoT::Certificate::Country": {"Type": "String"},
                   "AWS::IoT::Certificate::Id": {"Type": "String"}},
    "Resources": {
        "thing": {"Type": "AWS::IoT::Thing", "Properties": {
            "ThingName": {"Fn::Join": ["-", [{"Ref": "AWS::IoT::Certificate::Country"}, {"Ref": "AWS::IoT::Certificate::CommonName"}]]},
            "AttributePayload": {"country": {"Ref": "AWS::IoT::Certificate::Country"}}}},
        "certificate": {"Type": "AWS::IoT::Certificate", "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "Active"}},
        "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyDocument": ALLOW_ALL}}}}


class Registration(Refusals, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.iot = cls.server.api()
        cls.pki = Pki()

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def connect(self, name, client_id=None):
        """The code of CONNACK."""
        certificate, key = self.pki.files(name)
        answers = []
        client = mqtt.Client(client_id=client_id or name, protocol=mqtt.MQTTv5)
        client.tls_set(ca_certs=self.server.ca, certfile=certificate, keyfile=key)
        client.on_connect = lambda c, d, f, reason, p: answers.append(getattr(reason, "value", reason))
        client.connect("localhost", self.server.port("mqtts"))
        client.loop_start()
        wait_until(lambda: answers)
        client.disconnect()
        client.loop_stop()
        return answers[0]

    def shake_hands(self, name):
        certificate, key = self.pki.files(name)
        context = ssl.create_default_context(cafile=self.server.ca)
        context.load_cert_chain(certificate, key)
        with socket.create_connection(("localhost", self.server.port("mqtts"))) as plain:
            with context.wrap_socket(plain, server_hostname="localhost"):
                pass

    def certificates_of(self, ca):
        return self.iot.list_certificates_by_ca(caCertificateId=ca)["certificates"]

    def test_g77_g78_g79_a_device_registers_itself_and_waits(self):
        ca = self.pki.register_ca(self.iot, "jitr", setAsActive=True, allowAutoRegistration=True)
        self.pki.signed("jitr-device", "jitr")
        events = Subscriber(self.server, "$aws/events/certificates/registered/#")
        self.shake_hands("jitr-device")
        self.assertEqual(self.certificates_of(ca), [])
        self.assertEqual(self.connect("jitr-device"), 0x87)
        listed = self.certificates_of(ca)
        self.assertEqual([(each["certificateId"], each["status"]) for each in listed],
                         [(self.pki.fingerprint("jitr-device"), "PENDING_ACTIVATION")])
        event = json.loads(events.wait(1)[0].payload)
        self.assertEqual(events.messages[0].topic, f"$aws/events/certificates/registered/{ca}")
        self.assertEqual(event.pop("timestamp") // 10 ** 12, 1)
        self.assertIsInstance(event.pop("certificateRegistrationTimestamp"), str)
        self.assertEqual(event, {"certificateId": listed[0]["certificateId"], "caCertificateId": ca,
                                 "certificateStatus": "PENDING_ACTIVATION", "awsAccountId": "000000000000"})
        self.assertEqual(self.connect("jitr-device"), 0x87)
        events.wait(2)
        self.assertEqual(len(self.certificates_of(ca)), 1)

        self.iot.update_certificate(certificateId=listed[0]["certificateId"], newStatus="ACTIVE")
        self.iot.create_policy(policyName="jitr", policyDocument=ALLOW_ALL)
        self.iot.attach_policy(policyName="jitr", target=listed[0]["certificateArn"])
        self.assertEqual(self.connect("jitr-device"), 0)

        self.iot.update_ca_certificate(certificateId=ca, newStatus="INACTIVE")
        self.assertEqual(self.connect("jitr-device"), 0)
        self.pki.signed("jitr-late", "jitr")
        self.assertEqual(self.connect("jitr-late"), 0x87)
        self.iot.update_ca_certificate(certificateId=ca, newStatus="ACTIVE", newAutoRegistrationStatus="DISABLE")
        self.assertEqual(self.connect("jitr-late"), 0x87)
        self.assertEqual(len(self.certificates_of(ca)), 1)
        events.close()

    def test_a_template_provisions_a_device_at_once(self):
        ca = self.pki.register_ca(self.iot, "jitp", setAsActive=True, allowAutoRegistration=True, registrationConfig={
            "templateBody": json.dumps(TEMPLATE), "roleArn": "arn:aws:iam::000000000000:role/jitp"})
        self.pki.signed("jitp-device", "jitp", subject="/C=NO/CN=lamp")
        self.assertEqual(self.connect("jitp-device"), 0)
        thing = self.iot.describe_thing(thingName="NO-lamp")
        self.assertEqual(thing["attributes"], {"country": "NO"})
        arn = self.iot.list_thing_principals(thingName="NO-lamp")["principals"][0]
        self.assertTrue(arn.endswith(self.pki.fingerprint("jitp-device")))
        attached = self.iot.list_attached_policies(target=arn)["policies"]
        self.assertRegex(attached[0]["policyName"], "^[0-9A-F]{40}$")
        self.assertEqual([each["status"] for each in self.certificates_of(ca)], ["ACTIVE"])
        # Without the country that the template asks for, nothing is made but the certificate.
        self.pki.signed("jitp-nowhere", "jitp", subject="/CN=nowhere")
        self.assertEqual(self.connect("jitp-nowhere"), 0x87)
        self.refused("ResourceNotFoundException", 404, self.iot.describe_thing, thingName="nowhere")
        statuses = {each["certificateId"]: each["status"] for each in self.certificates_of(ca)}
        self.assertEqual(statuses[self.pki.fingerprint("jitp-nowhere")], "PENDING_ACTIVATION")
        self.assertIn("certificate.auto_registration_failed", self.server.read_log())

    def test_templates_by_name(self):
        role = "arn:aws:iam::000000000000:role/jitp"
        iot = self.iot
        iot.create_provisioning_template(templateName="fleet", templateBody=json.dumps(TEMPLATE), provisioningRoleArn=role, enabled=True)
        iot.create_provisioning_template(templateName="jitp", templateBody=json.dumps(TEMPLATE), provisioningRoleArn=role, type="JITP")
        use = {"setAsActive": True, "allowAutoRegistration": True}
        for config, error, status in (({"templateName": "none"}, "ResourceNotFoundException", 404),
                                      ({"templateName": "fleet"}, "InvalidRequestException", 400),
                                      ({"templateName": "jitp", "templateBody": json.dumps(TEMPLATE)}, "InvalidRequestException", 400)):
            self.refused(error, status, self.pki.register_ca, iot=iot, name="refused", registrationConfig=config, **use)
        ca = self.pki.register_ca(iot, "named", registrationConfig={"templateName": "jitp"}, **use)
        self.assertEqual(iot.describe_ca_certificate(certificateId=ca)["registrationConfig"], {"templateName": "jitp"})
        self.assertEqual([each["certificateId"] for each in iot.list_ca_certificates(templateName="jitp")["certificates"]], [ca])
        self.refused("DeleteConflictException", 409, iot.delete_provisioning_template, templateName="jitp")
        # A template that is not enabled makes nothing; once it is, the device that comes back is provisioned.
        self.pki.signed("named-device", "named", subject="/C=NO/CN=named")
        self.assertEqual(self.connect("named-device"), 0x87)
        self.refused("ResourceNotFoundException", 404, iot.describe_thing, thingName="NO-named")
        iot.update_provisioning_template(templateName="jitp", enabled=True)
        self.assertEqual(self.connect("named-device"), 0)
        self.assertEqual(iot.describe_thing(thingName="NO-named")["attributes"], {"country": "NO"})
        # The default version holds, from the next device on.
        other = json.loads(json.dumps(TEMPLATE))
        other["Resources"]["thing"]["Properties"]["ThingName"] = {"Fn::Sub": "v2-${AWS::IoT::Certificate::CommonName}"}
        self.assertEqual(iot.create_provisioning_template_version(templateName="jitp", templateBody=json.dumps(other))["versionId"], 2)
        iot.update_provisioning_template(templateName="jitp", defaultVersionId=2)
        self.pki.signed("second-device", "named", subject="/C=NO/CN=second")
        self.assertEqual(self.connect("second-device"), 0)
        iot.describe_thing(thingName="v2-second")
        # What the CA does not name any more may go.
        iot.update_ca_certificate(certificateId=ca, removeAutoRegistration=True)
        self.refused("DeleteConflictException", 409, iot.delete_provisioning_template_version, templateName="jitp", versionId=2)
        iot.delete_provisioning_template(templateName="jitp")
        self.refused("ResourceNotFoundException", 404, iot.describe_provisioning_template, templateName="jitp")
        iot.delete_provisioning_template(templateName="fleet")

    def test_a_thing_is_registered_by_a_template(self):
        self.pki.run("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "registered.key", "-subj", "/CN=r",
                     "-out", "registered.csr")
        body = {"Parameters": {"Name": {"Type": "String"}, "CSR": {"Type": "String"}, "Site": {"Type": "String", "Default": "north"}},
                "Resources": {
                    "thing": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": {"Ref": "Name"}, "AttributePayload": {"site": {"Ref": "Site"}}},
                              "OverrideSettings": {"AttributePayload": "FAIL"}},
                    "certificate": {"Type": "AWS::IoT::Certificate", "Properties": {"CertificateSigningRequest": {"Ref": "CSR"}}},
                    "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyDocument": ALLOW_ALL}}}}
        parameters = {"Name": "registered", "CSR": self.pki.read("registered.csr")}
        made = self.iot.register_thing(templateBody=json.dumps(body), parameters=parameters)
        self.assertEqual(set(made["resourceArns"]), {"thing", "certificate", "policy"})
        with open(self.pki.path("registered.pem"), "w") as file:
            file.write(made["certificatePem"])
        self.assertEqual(self.connect("registered"), 0)
        self.assertEqual(self.iot.describe_thing(thingName="registered")["attributes"], {"site": "north"})
        certificates = len(self.iot.list_certificates()["certificates"])
        self.refused("ConflictingResourceUpdateException", 409, self.iot.register_thing, templateBody=json.dumps(body), parameters=parameters)
        self.refused("InvalidRequestException", 400, self.iot.register_thing, templateBody=json.dumps(body), parameters={"Name": "x"})
        body["Resources"]["thing"]["Properties"]["ThingTypeName"] = "absent"
        self.refused("ResourceRegistrationFailureException", 400, self.iot.register_thing, templateBody=json.dumps(body),
                     parameters={**parameters, "Name": "never"})
        # Nothing is left of what failed.
        self.assertEqual(len(self.iot.list_certificates()["certificates"]), certificates)
        self.refused("ResourceNotFoundException", 404, self.iot.describe_thing, thingName="never")

    def test_g07_a_certificate_of_no_ca_connects_once_it_is_registered(self):
        self.pki.ca("own", is_ca=False)
        self.assertEqual(self.connect("own"), 0x87)
        made = self.iot.register_certificate_without_ca(certificatePem=self.pki.read("own.pem"), status="ACTIVE")
        self.assertEqual(self.connect("own"), 0x87)
        self.iot.create_policy(policyName="own", policyDocument=ALLOW_ALL)
        self.iot.attach_policy(policyName="own", target=made["certificateArn"])
        self.assertEqual(self.connect("own"), 0)


if __name__ == "__main__":
    unittest.main(warnings="ignore")
