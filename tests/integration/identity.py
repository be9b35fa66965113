"""What the tests of identity share: the openssl tool as operators use it, and refusals."""
import hashlib
import json
import os
import subprocess
import tempfile

from botocore.exceptions import ClientError

ARN = "arn:aws:iot:us-east-1:000000000000:"


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": effect, "Action": action, "Resource": resource} for effect, action, resource in statements]})


ALLOW_ALL = policy(("Allow", "iot:*", "*"))


class Refusals:
    """For unittest.TestCase."""

    def refused(self, code, http_status, call, **arguments):
        with self.assertRaises(ClientError) as caught:
            call(**arguments)
        response = caught.exception.response
        self.assertEqual((response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]), (code, http_status), response)
        self.assertTrue(response["Error"]["Message"])
        return response


class Pki:
    """Makes keys and certificates with openssl, as operators do."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="iotcore-pki-")
        self.count = 0

    def run(self, *arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=self.folder.name)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def files(self, name):
        return self.path(f"{name}.pem"), self.path(f"{name}.key")

    def read(self, name):
        with open(self.path(name)) as file:
            return file.read()

    def ca(self, name, subject=None, key=None, is_ca=True):
        if key is None:
            self.run("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")
        else:
            self.run("ec", "-in", f"{key}.key", "-out", f"{name}.key")
        # Without a section of extensions from openssl.cnf, which would name basicConstraints a second time.
        with open(self.path("ca.cnf"), "w") as file:
            file.write(f"[req]\ndistinguished_name=dn\nx509_extensions=ext\n[dn]\n[ext]\nbasicConstraints=critical,CA:{'TRUE' if is_ca else 'FALSE'}\n")
        self.run("req", "-x509", "-new", "-config", "ca.cnf", "-key", f"{name}.key", "-days", "30",
                 "-subj", f"/CN={subject or name}", "-out", f"{name}.pem")
        return self.read(f"{name}.pem")

    def signed(self, name, ca, common_name=None, bits=None, subject=None):
        if bits:
            self.run("genrsa", "-out", f"{name}.key", str(bits))
        else:
            self.run("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")
        self.run("req", "-new", "-key", f"{name}.key", "-subj", subject or f"/CN={common_name or name}", "-out", f"{name}.csr")
        self.count += 1
        self.run("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-days", "30",
                 "-set_serial", str(self.count), "-out", f"{name}.pem")
        return self.read(f"{name}.pem")

    def register_ca(self, iot, name, **options):
        """A CA in mode DEFAULT with its proof; returns its id."""
        pem = self.ca(name, **{key: options.pop(key) for key in ("subject", "key") if key in options})
        proof = self.signed(f"{name}-proof", name, iot.get_registration_code()["registrationCode"])
        return iot.register_ca_certificate(caCertificate=pem, verificationCertificate=proof, **options)["certificateId"]

    def fingerprint(self, name):
        der = subprocess.run(["openssl", "x509", "-in", self.path(f"{name}.pem"), "-outform", "DER"],
                             check=True, capture_output=True).stdout
        return hashlib.sha256(der).hexdigest()
