#!/usr/bin/python3
"""tests/tls/check.py HOST:PORT [--ca FILE] [--name HOST] [--cert FILE --key FILE]: what a TLS face agrees to, held against what it should.

By `openssl s_client`, and by a hello written by hand for what that does not speak any more. A line a check: `ok`, `BAD` or `info`; ends with 1 if anything is BAD.
"""
import argparse
import datetime
import os
import re
import socket
import subprocess
import sys
import tempfile

MODERN_12 = re.compile(r"^ECDHE-(ECDSA|RSA)-(AES(128|256)-GCM-SHA(256|384)|CHACHA20-POLY1305)$")
SUITES_13 = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256"]
WEAK_GROUPS = ["secp192k1", "secp224r1", "sect163k1", "secp256k1"]
ANY = ["-cipher", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"]


class Face:
    def __init__(self, host, port, ca=None, name=None, identity=()):
        self.host, self.port, self.ca, self.name, self.identity = host, port, ca, name or host, list(identity)

    def connect(self, *options, stdin="", name=None):
        command = ["openssl", "s_client", "-connect", f"{self.host}:{self.port}", "-servername", name or self.name, *options, *self.identity]
        command += ["-CAfile", self.ca] if self.ca else []
        try:
            done = subprocess.run(command, input=stdin, capture_output=True, text=True, errors="replace", timeout=20)
        except subprocess.TimeoutExpired as late:
            return (late.stdout or b"").decode(errors="replace") if isinstance(late.stdout, bytes) else str(late.stdout)
        return done.stdout + done.stderr

    def agreed(self, *options):
        """(protocol, suite) or None."""
        found = re.search(r"New, (\S+), Cipher is (\S+)", self.connect(*options))
        return None if found is None or found[2] == "(NONE)" else (found[1], found[2])

    def answers_ssl3(self):
        """A hello of SSL 3.0 by hand: Debian's OpenSSL cannot say it."""
        suites = bytes.fromhex("000a002f0035")
        body = b"\x03\x00" + bytes(32) + b"\x00" + len(suites).to_bytes(2, "big") + suites + b"\x01\x00"
        hello = b"\x01" + len(body).to_bytes(3, "big") + body
        with socket.create_connection((self.host, self.port), timeout=10) as raw:
            raw.sendall(b"\x16\x03\x00" + len(hello).to_bytes(2, "big") + hello)
            try:
                return raw.recv(1) == b"\x16"
            except OSError:
                return False

    def heartbeat(self):
        """Whether the server agrees to heartbeats (the extension of CVE-2014-0160)."""
        return 'server extension "heartbeat"' in self.connect("-tls1_2", "-tlsextdebug").lower()


class Report:
    def __init__(self, out=sys.stdout):
        self.lines, self.bad, self.out = [], [], out

    def say(self, verdict, what):
        self.lines.append((verdict, what))
        if verdict == "BAD":
            self.bad.append(what)
        print(f"{verdict:5}{what}", file=self.out, flush=True)

    def check(self, good, what, found=""):
        self.say("ok" if good else "BAD", f"{what}{': ' + str(found) if found else ''}")


def protocols(face, report):
    report.check(not face.answers_ssl3(), "SSL 3.0 is refused")
    for flag, name, wanted in (("-tls1", "TLS 1.0", False), ("-tls1_1", "TLS 1.1", False), ("-tls1_2", "TLS 1.2", True), ("-tls1_3", "TLS 1.3", True)):
        agreed = face.agreed(flag, *(ANY if not wanted else []))
        report.check((agreed is not None) == wanted, f"{name} is {'spoken' if wanted else 'refused'}", agreed[1] if agreed else "")
    report.check("inappropriate fallback" in face.connect("-tls1_2", "-fallback_scsv"), "a downgrade is noticed (TLS_FALLBACK_SCSV)")


def suites(face, report):
    listed = subprocess.run(["openssl", "ciphers", "-s", "-tls1_2", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"], capture_output=True, text=True, check=True).stdout
    offered = [name for name in listed.strip().split(":") if not name.startswith("TLS_") and "PSK" not in name and "SRP" not in name]
    accepted = [name for name in offered if face.agreed("-tls1_2", "-cipher", f"{name}:@SECLEVEL=0")]
    weak = [name for name in accepted if not MODERN_12.match(name)]
    report.check(accepted and not weak, f"TLS 1.2: of {len(offered)} suites only forward secrecy with AEAD", " ".join(weak or accepted))
    spoken = [name for name in SUITES_13 if face.agreed("-tls1_3", "-ciphersuites", name)]
    report.check(spoken and not any("CCM_8" in name for name in spoken), "TLS 1.3 suites", " ".join(spoken))
    for kind in ("aNULL", "eNULL", "EXPORT", "RC4", "3DES", "kRSA"):
        if not subprocess.run(["openssl", "ciphers", f"{kind}:@SECLEVEL=0"], capture_output=True, text=True).stdout.strip():
            continue
        report.check(face.agreed("-tls1_2", "-cipher", f"{kind}:@SECLEVEL=0") is None, f"no suite of the kind {kind}")


def key_exchange(face, report):
    text = face.connect("-tls1_3")
    found = re.search(r"Server Temp Key: (.+)", text)
    report.check(found is not None and any(good in found[1] for good in ("X25519", "P-256", "P-384")), "key exchange", found and found[1])
    for group in WEAK_GROUPS:
        report.check(face.agreed("-tls1_2", "-curves", group, "-cipher", "ECDHE:@SECLEVEL=0") is None, f"the curve {group} is refused")
    report.check(face.agreed("-tls1_2", "-sigalgs", "RSA+SHA1:ECDSA+SHA1", "-cipher", "ECDHE:@SECLEVEL=0") is None, "signatures with SHA-1 are refused")


def handshake(face, report):
    text = face.connect("-tls1_2")
    report.check("Compression: NONE" in text, "no compression (CRIME)")
    report.check("Secure Renegotiation IS supported" in text, "renegotiation is secured (RFC 5746)")
    report.check("Extended master secret: yes" in text, "extended master secret (RFC 7627)")
    again = face.connect("-tls1_2", stdin="R\n")
    report.check("RENEGOTIATING" in again and ("no renegotiation" in again or "error" in again or "alert" in again), "a client cannot renegotiate")
    report.check(not face.heartbeat(), "no heartbeat extension")
    text = face.connect("-tls1_3", stdin="\n")
    early = re.search(r"Max Early Data: (\d+)", text)
    report.check(early is None or early[1] == "0", "no early data, which could be replayed")


def tickets(face, report):
    with tempfile.TemporaryDirectory() as folder:
        for flag, name in (("-tls1_2", "TLS 1.2"), ("-tls1_3", "TLS 1.3")):
            session = os.path.join(folder, flag)
            text = face.connect(flag, "-sess_out", session)
            lifetime = re.search(r"TLS session ticket lifetime hint: (\d+)", text)
            if not os.path.exists(session):
                report.say("info", f"{name}: no session is given to resume")
                continue
            again = face.connect(flag, "-sess_in", session)
            hours = int(lifetime[1]) / 3600 if lifetime else 0
            how = f"a ticket that lives {hours:g} h" if lifetime else "the session's id"
            report.check(hours <= 24, f"{name}: resumption by {how}, {'taken' if 'Reused,' in again else 'not taken'} when it comes back")


def certificate(face, report):
    if not face.ca:
        report.say("info", "the certificate is not looked at without --ca")
        return
    text = face.connect("-showcerts", "-verify_hostname", face.name, "-verify_return_error")
    report.check("Verify return code: 0 (ok)" in text or "Verification: OK" in text, f"the chain leads to the CA, and is for {face.name}")
    wrong = face.connect("-verify_hostname", "wrong.example.com", "-verify_return_error")
    report.check("hostname mismatch" in wrong.lower(), "it is not for another host")
    chain = re.findall(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", text, re.S)
    report.say("info", f"{len(chain)} certificate(s) are sent")
    for place, pem in enumerate(chain):
        shown = subprocess.run(["openssl", "x509", "-noout", "-text", "-enddate", "-checkend", str(30 * 86400)], input=pem, capture_output=True, text=True).stdout
        key = re.search(r"Public Key Algorithm: (\S+)[\s\S]*?Public-Key: \((\d+) bit\)", shown)
        strong = key and (int(key[2]) >= 2048 if key[1].startswith("rsa") else int(key[2]) >= 256)
        report.check(strong, f"certificate {place}: key", key and f"{key[1]} {key[2]}")
        signature = re.search(r"Signature Algorithm: (\S+)", shown)[1]
        report.check("sha1" not in signature.lower() and "md5" not in signature.lower(), f"certificate {place}: signature", signature)
        end = re.search(r"notAfter=(.+)", shown)[1]
        days = (datetime.datetime.strptime(end, "%b %d %H:%M:%S %Y %Z") - datetime.datetime.utcnow()).days
        report.check(days >= 30, f"certificate {place}: valid for another {days} days")
        if place == 0:
            report.check("X509v3 Subject Alternative Name" in shown, "certificate 0: names are in subjectAltName")
            report.check("TLS Web Server Authentication" in shown and "CA:TRUE" not in shown, "certificate 0: for a server, and not a CA")


def check(face, out=sys.stdout):
    report = Report(out)
    for each in (protocols, suites, key_exchange, handshake, tickets, certificate):
        each(face, report)
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("face", metavar="HOST:PORT")
    parser.add_argument("--ca")
    parser.add_argument("--name", help="the host that the certificate is for, where it is not HOST")
    parser.add_argument("--cert", help="of a device, where the face asks for one")
    parser.add_argument("--key")
    given = parser.parse_args()
    host, _, port = given.face.rpartition(":")
    identity = ["-cert", given.cert, "-key", given.key] if given.cert else []
    report = check(Face(host, int(port), given.ca, given.name, identity))
    print(f"{len(report.lines)} lines, {len(report.bad)} BAD")
    sys.exit(1 if report.bad else 0)


if __name__ == "__main__":
    main()
