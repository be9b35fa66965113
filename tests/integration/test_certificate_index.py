"""The certificates in memory: what is asked when a device connects is never older than the last answer of the API."""
import json
import re
import subprocess
import unittest
import urllib.request

from gateway_checks import NUMBERS, Checks
from server import BINARY, wait_until


class CertificatesInMemory(Checks):
    def connack(self, tls):
        return self.client(f"index-{next(NUMBERS)}", tls, version=5).connack.reason

    def refused(self, tls, code):
        client_id = f"index-{next(NUMBERS)}"
        self.assertEqual(self.client(client_id, tls, version=5).connack.reason, 0x87)
        self.logged("connection.authn_error", code, client_id)

    def in_memory(self):
        page = urllib.request.urlopen(f"http://127.0.0.1:{self.server.port('admin')}/metrics", timeout=30).read().decode()
        return int(re.search(r"^iotcore_certificates (\d+)$", page, re.MULTILINE)[1])

    def set_status(self, arn, status):
        self.iot.update_certificate(certificateId=arn.rpartition("/")[2], newStatus=status)

    def test_the_next_connection_sees_a_change(self):
        _, tls, arn = self.device()
        for _ in range(5):
            self.assertEqual(self.connack(tls), 0)
            self.set_status(arn, "INACTIVE")
            self.refused(tls, "DEVICE_CERTIFICATE_INACTIVE")
            self.set_status(arn, "ACTIVE")
        self.set_status(arn, "REVOKED")
        self.refused(tls, "DEVICE_CERTIFICATE_REVOKED")

    def test_a_live_connection_ends_within_a_second(self):
        _, tls, arn = self.device()
        live = self.client(f"index-{next(NUMBERS)}", tls, version=5)
        self.assertEqual(live.connack.reason, 0)
        self.set_status(arn, "INACTIVE")
        self.assertTrue(live.ended(1.0))

    def test_a_deleted_certificate_is_unknown_and_can_be_registered_again(self):
        name, tls, arn = self.device()
        before = self.in_memory()
        self.set_status(arn, "INACTIVE")
        self.iot.detach_thing_principal(thingName=name, principal=arn)
        self.iot.delete_certificate(certificateId=arn.rpartition("/")[2], forceDelete=True)
        self.refused(tls, "DEVICE_CERTIFICATE_NOT_REGISTERED")
        self.assertEqual(self.in_memory(), before - 1)
        with open(tls[0]) as file:
            again = self.iot.register_certificate_without_ca(certificatePem=file.read(), status="ACTIVE")["certificateArn"]
        self.assertEqual(again, arn)
        self.iot.attach_policy(policyName=f"policy-{name}", target=arn)
        self.assertEqual(self.connack(tls), 0)

    def test_a_certificate_on_offer_lets_nobody_in(self):
        name, tls, arn = self.device()
        certificate_id = arn.rpartition("/")[2]
        self.iot.detach_thing_principal(thingName=name, principal=arn)
        self.iot.detach_policy(policyName=f"policy-{name}", target=arn)
        self.set_status(arn, "INACTIVE")
        self.iot.transfer_certificate(certificateId=certificate_id, targetAwsAccount="111111111111")
        self.refused(tls, "DEVICE_CERTIFICATE_INACTIVE")
        self.iot.cancel_certificate_transfer(certificateId=certificate_id)
        self.set_status(arn, "ACTIVE")
        self.iot.attach_policy(policyName=f"policy-{name}", target=arn)
        self.assertEqual(self.connack(tls), 0)

    def test_imported_devices_connect_at_once_and_after_a_restart(self):
        fleet = self.pki.path("fleet.jsonl")
        self.iot.create_policy(policyName="imported", policyDocument=json.dumps(self.document(("Allow", "iot:*", "*"))))
        with open(fleet, "w") as file:
            for name, status in (("in-1", "ACTIVE"), ("in-2", "INACTIVE")):
                file.write(json.dumps({"thingName": name, "certificatePem": self.pki.ca(name, is_ca=False),
                                       "certificateStatus": status, "policyNames": ["imported"]}) + "\n")
        done = subprocess.run([BINARY, "import", fleet, "--data-dir", self.server.data_dir], capture_output=True, text=True)
        self.assertIn("2 imported", done.stdout, done.stderr)
        for end in (None, self.server.stop, self.server.kill):
            with self.subTest(end=end):
                known = self.in_memory()
                if end:
                    end()
                    self.server.start()
                    type(self).iot = self.server.api()
                self.assertEqual(self.connack(self.pki.files("in-1")), 0)
                self.refused(self.pki.files("in-2"), "DEVICE_CERTIFICATE_INACTIVE")
                wait_until(lambda known=known: self.in_memory() == known)
                self.assertEqual(self.connack(self.pki.files("in-1")), 0)
                self.refused(self.pki.files("in-2"), "DEVICE_CERTIFICATE_INACTIVE")


if __name__ == "__main__":
    unittest.main()
