#!/usr/bin/env python3
"""Parses every Google body of tests/fixtures strictly, with the protos that Google itself publishes.

A body passes if it is a message of the request it goes to: no unknown field, no unknown enum value, no wrong type. Rules
beyond that are not checked here. Bodies that must be refused prove that the parser is strict. Needs the network once: the
two packages are installed under target/.

    python3 tests/google_protos.py
"""
import importlib
import json
import pathlib
import re
import subprocess
import sys
import venv

ROOT = pathlib.Path(__file__).resolve().parent.parent
HOME = ROOT / "target" / "google_protos"
PACKAGES = ["google-ads==34.0.0", "google-ads-datamanager==0.9.4"]

DATA_MANAGER = "google.ads.datamanager_v1.types.ingestion_service"
ADS = "google.ads.googleads.{version}.services.types."
CALLS = {
    "uploadClickConversions": ("conversion_upload_service", "UploadClickConversionsRequest"),
    "uploadConversionAdjustments": ("conversion_adjustment_upload_service", "UploadConversionAdjustmentsRequest"),
}

# As the page of each API shows them, with one fault that a lenient parser would pass over.
REFUSED = [
    ("a field of another platform", "https://datamanager.googleapis.com/v1/events:ingest",
     {"destinations": [], "events": [{"orderId": "o-1", "eventTimestamp": "2026-11-20T13:32:18Z"}]}),
    ("a time as a number", "https://datamanager.googleapis.com/v1/events:ingest",
     {"events": [{"transactionId": "o-1", "eventTimestamp": 1795168338}]}),
    ("the other API's word for consent", "https://googleads.googleapis.com/v26/customers/1:uploadClickConversions",
     {"conversions": [{"gclid": "g", "consent": {"adUserData": "CONSENT_GRANTED"}}], "partialFailure": True}),
    ("a field of the other call", "https://googleads.googleapis.com/v26/customers/1:uploadConversionAdjustments",
     {"conversionAdjustments": [{"orderId": "o-1", "gclid": "g"}], "partialFailure": True}),
]


def with_packages():
    """Runs this file again with the packages, installing them first where they are missing."""
    stamp = HOME / "installed"
    python = HOME / "bin" / "python"
    if not stamp.exists() or stamp.read_text() != " ".join(PACKAGES):
        venv.create(HOME, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES], check=True)
        stamp.write_text(" ".join(PACKAGES))
    return subprocess.run([python, __file__, "--installed"]).returncode


def refusal(url, body):
    """Why the body is no message of the request at this address; None if it is one."""
    from google.protobuf import json_format

    call = re.search(r"/(v\d+)/customers/(\d+):(\w+)$", url)
    if call:
        version, customer, method = call.groups()
        if "customerId" in body:
            return "customerId belongs into the path alone"
        module, message = CALLS[method]
        module = ADS.format(version=version) + module
        body = {**body, "customerId": customer}
    elif url.endswith("/v1/events:ingest"):
        module, message = DATA_MANAGER, "IngestEventsRequest"
    else:
        return f"no request is known at {url}"
    proto = getattr(importlib.import_module(module), message).pb()
    try:
        json_format.Parse(json.dumps(body), proto(), ignore_unknown_fields=False)
    except json_format.ParseError as error:
        return str(error)
    return None


def main():
    passed, failed = 0, 0

    def judge(name, problem):
        nonlocal passed, failed
        if problem is None:
            passed += 1
        else:
            failed += 1
            print(f"{name}: {problem}")

    files = sorted(path for folder in ("google_ads", "google_data_manager")
                   for path in (ROOT / "tests" / "fixtures" / folder).glob("*.json"))
    for path in files:
        for request in json.loads(path.read_text(encoding="utf-8"))["expected"]["requests"]:
            judge(path.relative_to(ROOT), refusal(request["url"], request["body"]))
    if passed + failed < 32:
        judge("tests/fixtures", f"only {passed + failed} requests to Google were found")
    for name, url, body in REFUSED:
        judge(name, None if refusal(url, body) else "was taken, and must be refused")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main() if "--installed" in sys.argv else with_packages())
