"""A certificate for a test's own TLS server."""
import os
import subprocess


def make_client_certificate(folder):
    """(authority, certificate, key): what a client shows to a server that asks, and who has signed it."""
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=folder)

    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *new_key, "-days", "2", "-subj", "/CN=test clients", "-keyout", "clients.key", "-out", "clients.pem")
    openssl("req", *new_key, "-subj", "/CN=iotcore", "-keyout", "client.key", "-out", "client.csr")
    openssl("x509", "-req", "-in", "client.csr", "-CA", "clients.pem", "-CAkey", "clients.key", "-CAcreateserial", "-days", "2", "-out", "client.pem")
    return tuple(os.path.join(folder, name) for name in ("clients.pem", "client.pem", "client.key"))


def make_certificate(folder, address):
    """(certificate, key): signed by itself, for that IP address and for localhost."""
    certificate, key = os.path.join(folder, f"{address}.pem"), os.path.join(folder, f"{address}.key")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=test", "-addext", f"subjectAltName=IP:{address},DNS:localhost", "-keyout", key, "-out", certificate],
                   check=True, capture_output=True)
    return certificate, key
