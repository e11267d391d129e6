"""What others say of a signature: dkimpy, and OpenDKIM by its library, each with a table in the place of the DNS."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

DKIMPY = """
import json, sys
import dkim
keys, message = json.loads(sys.argv[1]), open(sys.argv[2], "rb").read()
ask = lambda name, timeout=5: keys.get(name.decode().rstrip("."), "").encode()
judged = dkim.DKIM(message)
count = sum(name.lower() == b"dkim-signature" for name, _ in judged.headers)
print(json.dumps([judged.verify(idx=number, dnsfunc=ask) for number in range(count)]))
"""

# Its dkim.h: DKIM_OP_SETOPT, DKIM_OPTS_QUERYMETHOD, DKIM_OPTS_QUERYINFO, DKIM_QUERY_FILE; handles are pointers.
OPENDKIM = """
import ctypes, sys
library = ctypes.CDLL("libopendkim.so.11")
table, wire = sys.argv[1].encode(), open(sys.argv[2], "rb").read()
pointer, size = ctypes.c_void_p, ctypes.c_size_t
library.dkim_init.restype = library.dkim_verify.restype = pointer
handle = pointer(library.dkim_init(None, None))
library.dkim_options(handle, 1, 6, ctypes.byref(ctypes.c_int(1)), size(4))
library.dkim_options(handle, 1, 7, ctypes.create_string_buffer(table, 4096), size(len(table) + 1))
job = pointer(library.dkim_verify(handle, b"test", None, ctypes.byref(ctypes.c_int(0))))
header, _, body = wire.partition(b"\\r\\n\\r\\n")
fields = []
for line in header.removesuffix(b"\\r\\n").split(b"\\r\\n"):
    if line[:1] in (b" ", b"\\t"):
        fields[-1] += b"\\r\\n" + line
    else:
        fields.append(line)
for field in fields:
    assert library.dkim_header(job, field, size(len(field))) == 0, field
ended = library.dkim_eoh(job)
if ended == 0 and body:
    ended = library.dkim_body(job, body, size(len(body)))
print(ended or library.dkim_eom(job, None))
"""


def opendkim(wire: Path, keys: Mapping[str, bytes]) -> int:
    """Give OpenDKIM's verdict on a message that has CR LF: 0 is good, as in its dkim.h."""
    table = wire.with_name("keys")
    table.write_bytes(b"".join(name.encode() + b" " + text + b"\n" for name, text in keys.items()))
    command = ["/usr/bin/python3", "-c", OPENDKIM, str(table), str(wire)]
    return int(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def dkimpy(wire: Path, keys: Mapping[str, bytes]) -> list[bool]:
    """Give dkimpy's verdict on each signature of a message that has CR LF."""
    table = json.dumps({name: text.decode() for name, text in keys.items()})
    command = ["/usr/bin/python3", "-c", DKIMPY, table, str(wire)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    verdicts: list[bool] = json.loads(done.stdout)
    return verdicts
