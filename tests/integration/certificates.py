"""A certificate for a test's own TLS server."""
import os
import subprocess


def make_certificate(folder, address):
    """(certificate, key): signed by itself, for that IP address."""
    certificate, key = os.path.join(folder, f"{address}.pem"), os.path.join(folder, f"{address}.key")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=test", "-addext", f"subjectAltName=IP:{address}", "-keyout", key, "-out", certificate],
                   check=True, capture_output=True)
    return certificate, key
