# By this host's interpreter, as the service has it: the signatures of RFC 8463 are good, and so is one of our own.
import base64
import sys
from pathlib import Path

sys.path[0:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]
import examples  # noqa: E402
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: E402
from qmail_dkim.signing import Signer, signatures  # noqa: E402
from qmail_dkim.stream import Message, wire  # noqa: E402
from qmail_dkim.verify import verify  # noqa: E402

key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(examples.ED25519_SEED))
signer = Signer("football.example.com", "brisbane", key)
ours = signatures(Message(wire([examples.UNSIGNED]), 65536), [signer], 1).replace(b"\r\n", b"\n")
message = Message(wire([ours + examples.SIGNED]), 65536)
results = [each.result for each in verify(message, lambda name: [examples.KEYS[name]], 1)]
if results != ["pass"] * 3:
    sys.exit(f"0 passed, 1 failed: {results}")
print("1 passed, 0 failed")
