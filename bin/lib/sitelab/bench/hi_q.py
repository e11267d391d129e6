"""bin/bench hi-q: CPU time of a message that goes through hi-q and one filter.

Measured are the whole of hi-q with a filter that copies and a queue that reads everything, then the filter and the
queue by themselves; the difference is hi-q's. It must stay below the start of a Python interpreter plus 3 ms.
"""

import resource
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from sitelab.paths import ROOT

INTERPRETER = "/usr/bin/python3"
ALLOWANCE = 3.0
"""Milliseconds of CPU time that hi-q may take beyond the start of its interpreter."""
QUEUE = r"""
#include <unistd.h>
int main(void)
{
	static char data[65536];
	while (read(0, data, sizeof data) > 0)
		continue;
	while (read(1, data, sizeof data) > 0)
		continue;
	return 0;
}
"""
MESSAGE = b"Subject: bench\n\n" + b"a line of the message\n" * 200
ENVELOPE = b"Fsender@example.org\0Trecipient@example.test\0\0"


def cpu() -> float:
    """Give the CPU time of all processes that have been waited for, in milliseconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (used.ru_utime + used.ru_stime) * 1000


def measure(run: Callable[[], None], times: int, batches: int = 5) -> float:
    """Give the CPU time of one run in milliseconds: the median of some batches."""
    found = []
    for _ in range(batches):
        before = cpu()
        for _ in range(times):
            run()
        found.append((cpu() - before) / times)
    return statistics.median(found)


def measure_hi_q(times: int) -> int:
    """Measure, say what was found, and give the exit code: 1 when it is too much."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        top = Path(folder)
        subprocess.run(
            ["make", "-s", "-C", ROOT / "src/hi_q", "install", f"PREFIX={top}", "DESTDIR=", f"BUILD={top}/build"],
            check=True,
        )
        (top / "queue.c").write_text(QUEUE)
        subprocess.run(["cc", "-O2", "-o", top / "queue", top / "queue.c"], check=True)
        (top / "filters").write_text("/bin/cat\n")
        (top / "message").write_bytes(MESSAGE)
        (top / "envelope").write_bytes(ENVELOPE)

        def run(*words: str | Path) -> Callable[[], None]:
            def once() -> None:
                # As qmail-smtpd has it: the message on 0, the envelope to be read from 1.
                with (top / "message").open("rb") as message, (top / "envelope").open("rb") as envelope:
                    subprocess.run(words, stdin=message, stdout=envelope, check=True)

            return once

        def copy() -> None:
            with (top / "message").open("rb") as message:
                subprocess.run(["/bin/cat"], stdin=message, stdout=subprocess.DEVNULL, check=True)

        whole = measure(run(top / "bin/hi-q", "--filters", top / "filters", "--queue", top / "queue"), times)
        queue = measure(run(top / "queue"), times)
        filter_ = measure(copy, times)
        python = measure(run(INTERPRETER, "-I", "-S", "-c", "pass"), times)
    own = whole - queue - filter_
    limit = python + ALLOWANCE
    print(f"a message through hi-q, one filter and the queue  {whole:6.2f} ms of CPU time")
    print(f"  the filter (cat) and the queue by themselves    {queue + filter_:6.2f} ms")
    print(f"  hi-q's own part                                 {own:6.2f} ms")
    print(f"  allowed: python3 -I -S -c pass ({python:.2f} ms) + {ALLOWANCE:.0f} ms {limit:6.2f} ms")
    return 0 if own <= limit else 1
