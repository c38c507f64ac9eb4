"""What tests of the load generator start from: a world whose time stands still, a correct server, and a certificate.

No test here waits for luck: a clock is a `ManualClock`, or a wait ends with what is waited for.
"""

from __future__ import annotations

import shutil
import subprocess

import pytest
from helpers.generator import serving
from helpers.manual_time import World


@pytest.fixture
def world():
    """A kernel whose time is moved by hand."""
    return World()


@pytest.fixture(scope="module")
def echo_server():
    """A correct server in a process of its own."""
    with serving("coroutines") as served:
        yield served


@pytest.fixture(scope="session")
def tls_certificate(tmp_path_factory):
    """A throwaway key and certificate for localhost and 127.0.0.1, which is its own authority."""
    if (openssl := shutil.which("openssl")) is None:
        pytest.skip("no openssl here to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    make = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=echobench test", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-days", "2"]
    subprocess.run([*make, *names, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return key, cert
