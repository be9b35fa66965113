"""Certificates and CA certificates over AWS's own tools: registration, verification, life cycle, transfer."""
import json
import unittest

from identity import ALLOW_ALL, Pki, Refusals
from server import Server


TEMPLATE = json.dumps({"Resources": {"certificate": {
    "Type": "AWS::IoT::Certificate", "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}}}}})


class Certificates(Refusals, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.iot = cls.server.api()
        cls.pki = Pki()

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def test_g76_a_ca_is_registered_by_who_has_its_key(self):
        code = self.iot.get_registration_code()["registrationCode"]
        self.assertRegex(code, "^[0-9a-f]{64}$")
        self.assertEqual(self.iot.get_registration_code()["registrationCode"], code)
        pem = self.pki.ca("verified")
        register = self.iot.register_ca_certificate
        self.refused("InvalidRequestException", 400, register, caCertificate=pem)
        self.refused("RegistrationCodeValidationException", 400, register, caCertificate=pem,
                     verificationCertificate=self.pki.signed("wrong-name", "verified", "0" * 64))
        self.pki.ca("stranger")
        self.refused("CertificateValidationException", 400, register, caCertificate=pem,
                     verificationCertificate=self.pki.signed("wrong-ca", "stranger", code))
        self.refused("CertificateValidationException", 400, register, caCertificate="no certificate")
        self.refused("CertificateValidationException", 400, register, caCertificate=self.pki.ca("leaf", is_ca=False),
                     certificateMode="SNI_ONLY")
        proof = self.pki.signed("proof", "verified", code)
        made = register(caCertificate=pem, verificationCertificate=proof, tags=[{"Key": "site", "Value": "north"}])
        self.assertEqual(made["certificateId"], self.pki.fingerprint("verified"))
        self.assertEqual(made["certificateArn"], f"arn:aws:iot:us-east-1:000000000000:cacert/{made['certificateId']}")
        described = self.iot.describe_ca_certificate(certificateId=made["certificateId"])["certificateDescription"]
        self.assertEqual(described["status"], "INACTIVE")
        self.assertEqual(described["autoRegistrationStatus"], "DISABLE")
        self.assertEqual(described["certificateMode"], "DEFAULT")
        self.assertEqual(described["certificatePem"], pem)
        self.assertEqual(described["customerVersion"], 1)
        self.assertLess(described["validity"]["notBefore"], described["validity"]["notAfter"])
        again = self.refused("ResourceAlreadyExistsException", 409, register, caCertificate=pem, verificationCertificate=proof)
        self.assertEqual(again["resourceArn"], made["certificateArn"])

        self.iot.delete_registration_code()
        self.refused("ResourceNotFoundException", 404, self.iot.delete_registration_code)
        self.assertNotEqual(self.iot.get_registration_code()["registrationCode"], code)

    def test_a_ca_in_mode_sni_only_needs_no_proof(self):
        pem = self.pki.ca("sni")
        self.refused("InvalidRequestException", 400, self.iot.register_ca_certificate, caCertificate=pem,
                     certificateMode="SNI_ONLY", verificationCertificate=pem)
        made = self.iot.register_ca_certificate(caCertificate=pem, certificateMode="SNI_ONLY", setAsActive=True)
        device = self.iot.register_certificate(certificatePem=self.pki.signed("sni-device", "sni"), status="ACTIVE")
        described = self.iot.describe_certificate(certificateId=device["certificateId"])["certificateDescription"]
        self.assertEqual(described["certificateMode"], "SNI_ONLY")
        self.assertEqual(described["caCertificateId"], made["certificateId"])

    def test_a_ca_s_life(self):
        ca = self.pki.register_ca(self.iot, "alive", setAsActive=True, allowAutoRegistration=True,
                                registrationConfig={"templateBody": TEMPLATE, "roleArn": "arn:aws:iam::000000000000:role/jitp"})
        described = self.iot.describe_ca_certificate(certificateId=ca)
        self.assertEqual(described["certificateDescription"]["autoRegistrationStatus"], "ENABLE")
        self.assertEqual(described["registrationConfig"],
                         {"templateBody": TEMPLATE, "roleArn": "arn:aws:iam::000000000000:role/jitp"})
        self.refused("InvalidRequestException", 400, self.iot.update_ca_certificate, certificateId=ca,
                     registrationConfig={"templateBody": "{}"})
        self.refused("CertificateStateException", 406, self.iot.delete_ca_certificate, certificateId=ca)
        device = self.iot.register_certificate(certificatePem=self.pki.signed("alive-1", "alive"))["certificateId"]
        self.assertEqual(device, self.pki.fingerprint("alive-1"))  # G-80
        self.assertEqual([each["certificateId"] for each in
                          self.iot.list_certificates_by_ca(caCertificateId=ca)["certificates"]], [device])
        self.iot.update_ca_certificate(certificateId=ca, newStatus="INACTIVE", removeAutoRegistration=True)
        described = self.iot.describe_ca_certificate(certificateId=ca)
        self.assertEqual(described["certificateDescription"]["status"], "INACTIVE")
        self.assertEqual(described["certificateDescription"]["autoRegistrationStatus"], "DISABLE")
        self.assertEqual(described["certificateDescription"]["customerVersion"], 2)
        self.assertNotIn("registrationConfig", described)
        self.refused("CertificateStateException", 406, self.iot.register_certificate,
                     certificatePem=self.pki.signed("alive-2", "alive"))
        self.iot.delete_ca_certificate(certificateId=ca)
        self.refused("ResourceNotFoundException", 404, self.iot.describe_ca_certificate, certificateId=ca)
        self.iot.describe_certificate(certificateId=device)
        self.assertEqual(self.iot.list_certificates_by_ca(caCertificateId="0" * 64)["certificates"], [])

    def test_device_certificates_need_a_ca_or_say_that_they_have_none(self):
        self.pki.register_ca(self.iot, "one", subject="twin", setAsActive=True)
        self.pki.register_ca(self.iot, "two", subject="twin", key="one", setAsActive=True)
        pem = self.pki.signed("twin-device", "one")
        self.refused("CertificateConflictException", 409, self.iot.register_certificate, certificatePem=pem)
        made = self.iot.register_certificate(certificatePem=pem, caCertificatePem=self.pki.read("two.pem"), setAsActive=True)
        described = self.iot.describe_certificate(certificateId=made["certificateId"])["certificateDescription"]
        self.assertEqual(described["caCertificateId"], self.pki.fingerprint("two"))
        self.assertEqual(described["status"], "ACTIVE")
        self.refused("ResourceAlreadyExistsException", 409, self.iot.register_certificate, certificatePem=pem,
                     caCertificatePem=self.pki.read("two.pem"))
        self.pki.ca("nobody")
        orphan = self.pki.signed("orphan", "nobody")
        self.refused("CertificateValidationException", 400, self.iot.register_certificate, certificatePem=orphan)
        for register in (self.iot.register_certificate, self.iot.register_certificate_without_ca):
            self.refused("CertificateStateException", 406, register, certificatePem=orphan, status="PENDING_ACTIVATION")
        self.refused("CertificateValidationException", 400, self.iot.register_certificate_without_ca,
                     certificatePem=self.pki.signed("weak", "nobody", bits=1024))
        made = self.iot.register_certificate_without_ca(certificatePem=orphan, status="ACTIVE")
        self.refused("ResourceAlreadyExistsException", 409, self.iot.register_certificate_without_ca, certificatePem=orphan)
        described = self.iot.describe_certificate(certificateId=made["certificateId"])["certificateDescription"]
        self.assertEqual((described["status"], described["certificateMode"]), ("ACTIVE", "SNI_ONLY"))
        self.assertNotIn("caCertificateId", described)

    def test_certificates_of_our_own_ca_are_registered_again(self):
        made = self.iot.create_keys_and_certificate()
        pem, arn = made["certificatePem"], made["certificateArn"]
        for register in (self.iot.register_certificate, self.iot.register_certificate_without_ca):
            self.refused("ResourceAlreadyExistsException", 409, register, certificatePem=pem)
        self.iot.delete_certificate(certificateId=made["certificateId"])
        self.assertEqual(self.iot.register_certificate(certificatePem=pem, setAsActive=True)["certificateArn"], arn)
        described = self.iot.describe_certificate(certificateId=made["certificateId"])["certificateDescription"]
        self.assertEqual((described["status"], described["certificateMode"], described["certificatePem"]), ("ACTIVE", "DEFAULT", pem))
        self.assertNotIn("caCertificateId", described)
        self.iot.update_certificate(certificateId=made["certificateId"], newStatus="INACTIVE")
        self.iot.delete_certificate(certificateId=made["certificateId"])
        self.refused("CertificateValidationException", 400, self.iot.register_certificate, certificatePem=pem,
                     caCertificatePem=self.pki.ca("stranger"))

    def test_ca_certificates_are_listed_by_age(self):
        self.iot.create_provisioning_template(templateName="shared", templateBody=TEMPLATE, type="JITP",
                                              provisioningRoleArn="arn:aws:iam::000000000000:role/jitp")
        ids = [self.iot.register_ca_certificate(caCertificate=self.pki.ca(f"listed-{n}"), certificateMode="SNI_ONLY",
                                                registrationConfig={"templateName": "shared"})["certificateId"] for n in range(3)]
        pages = self.iot.get_paginator("list_ca_certificates").paginate(
            ascendingOrder=True, PaginationConfig={"PageSize": 2})
        listed = [each["certificateId"] for page in pages for each in page["certificates"]]
        self.assertEqual([each for each in listed if each in ids], ids)
        code, output = self.server.aws("iot", "list-ca-certificates", "--template-name", "shared", tls=False)
        if code == 0:
            self.assertEqual([each["certificateId"] for each in output["certificates"]], ids[::-1])

    def test_a_certificate_is_offered_and_taken(self):
        made = self.iot.create_keys_and_certificate(setAsActive=True)
        certificate = made["certificateId"]
        offer = {"certificateId": certificate, "targetAwsAccount": "111122223333"}
        self.refused("CertificateStateException", 406, self.iot.transfer_certificate, **offer)
        self.iot.update_certificate(certificateId=certificate, newStatus="INACTIVE")
        self.iot.create_policy(policyName="transfer", policyDocument=ALLOW_ALL)
        self.iot.attach_policy(policyName="transfer", target=made["certificateArn"])
        self.refused("TransferConflictException", 409, self.iot.transfer_certificate, **offer)
        self.iot.detach_policy(policyName="transfer", target=made["certificateArn"])
        self.refused("InvalidRequestException", 400, self.iot.transfer_certificate, certificateId=certificate,
                     targetAwsAccount="000000000000")
        self.refused("TransferAlreadyCompletedException", 410, self.iot.cancel_certificate_transfer, certificateId=certificate)
        answer = self.iot.transfer_certificate(transferMessage="yours", **offer)
        self.assertEqual(answer["transferredCertificateArn"], f"arn:aws:iot:us-east-1:111122223333:cert/{certificate}")
        self.refused("CertificateStateException", 406, self.iot.transfer_certificate, **offer)
        self.refused("CertificateStateException", 406, self.iot.update_certificate, certificateId=certificate, newStatus="ACTIVE")
        outgoing = self.iot.list_outgoing_certificates()["outgoingCertificates"]
        self.assertEqual([(each["certificateId"], each["transferredTo"], each["transferMessage"]) for each in outgoing],
                         [(certificate, "111122223333", "yours")])
        self.iot.reject_certificate_transfer(certificateId=certificate, rejectReason="not mine")
        described = self.iot.describe_certificate(certificateId=certificate)["certificateDescription"]
        self.assertEqual(described["status"], "INACTIVE")
        self.assertEqual(described["transferData"]["rejectReason"], "not mine")
        self.assertEqual(self.iot.list_outgoing_certificates()["outgoingCertificates"], [])
        self.iot.transfer_certificate(**offer)
        self.iot.cancel_certificate_transfer(certificateId=certificate)
        self.iot.transfer_certificate(**offer)
        self.iot.accept_certificate_transfer(certificateId=certificate, setAsActive=True)
        described = self.iot.describe_certificate(certificateId=certificate)["certificateDescription"]
        self.assertEqual(described["status"], "ACTIVE")
        self.assertIn("acceptDate", described["transferData"])
        for call in (self.iot.accept_certificate_transfer, self.iot.reject_certificate_transfer):
            self.refused("TransferAlreadyCompletedException", 410, call, certificateId=certificate)
            self.refused("ResourceNotFoundException", 404, call, certificateId="0" * 64)


if __name__ == "__main__":
    unittest.main(warnings="ignore")
