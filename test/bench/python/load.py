"""Median milliseconds that python-tuf needs to parse a targets file and verify its one signature.

usage: load.py FILE PUBLIC_KEY_HEX RUNS
"""

import statistics
import sys
import time

from securesystemslib.signer import SSlibKey
from tuf.api.metadata import Metadata, Targets
from tuf.api.serialization.json import CanonicalJSONSerializer

with open(sys.argv[1], "rb") as file:
    data = file.read()

times = []
for _ in range(int(sys.argv[3])):
    start = time.perf_counter()
    metadata = Metadata[Targets].from_bytes(data)
    (signature,) = metadata.signatures.values()
    key = SSlibKey(signature.keyid, "ed25519", "ed25519", {"public": sys.argv[2]})
    key.verify_signature(signature, CanonicalJSONSerializer().serialize(metadata.signed))
    times.append((time.perf_counter() - start) * 1000)
print(statistics.median(times))
