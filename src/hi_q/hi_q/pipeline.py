"""The filters and qmail-queue as processes, and what becomes of a message.

    caller --> [filter 1] --> [filter 2] --> qmail-queue      the message: never read here
    caller ---------------> hi-q ----------> qmail-queue      the envelope: held back

Where the list has modules, hi-q takes the whole message and the envelope first, and the first filter reads from a file.

qmail-queue queues nothing without a whole envelope, and it gets none before each filter has ended well: exit code 0,
its input read to the end, its output closed. So nothing that happens to a filter, or to this process, can leave a
truncated or an unfiltered message in the queue.

Each pipe's reading end is kept open here too, unread. What poll(2) says of it tells whether the writer is done
(POLLHUP: nobody has it open for writing) and whether the reader left something behind. It is closed when the reader
ends, so a writer whose reader is gone gets its EPIPE.
"""

from __future__ import annotations

import posix
from _signal import (  # type: ignore[import-not-found]
    SIG_BLOCK,
    SIG_SETMASK,
    SIGHUP,
    SIGINT,
    SIGKILL,
    SIGPIPE,
    SIGTERM,
    SIGXFSZ,
    pthread_sigmask,
    signal,
)
from select import POLLHUP, POLLIN, poll
from time import monotonic

from hi_q.answer import (
    ACCEPTED,
    INTERNAL,
    LATER,
    NOTE_FD,
    NOTE_MAX,
    READ_ERROR,
    REASON_FD,
    REASON_MAX,
    REFUSED,
    Answer,
    bare,
    log,
    one_line,
    quoted,
    result,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from hi_q.filters import Filter

ENVELOPE_MAX = 32 << 20  # bytes: some hundred thousand recipients
SESSION_LIMIT = 7200.0  # seconds from the first byte to the answer, for a client that sends slowly
SETTLE_LIMIT = 2.0  # seconds for a writer that has closed its output to end, when its reader failed
RECIPIENTS_SHOWN = 5  # in the log
ADDRESS_SHOWN = 100  # bytes of each
FAREWELL_LIMIT = 5.0  # seconds for qmail-queue to see that there is nothing to queue
CHUNK = 65536
ENDING_SIGNALS = (SIGTERM, SIGINT, SIGHUP)

S_IFMT, S_IFIFO = 0o170000, 0o010000

REFUSED_TEXT = "message content refused (#5.7.1)"
LATER_TEXT = "mail filter in trouble, try again later (#4.3.0)"


class Stage:
    """One process of the pipe and what is known of it. `source` is the kept reading end of its input, or -1."""

    __slots__ = (
        "deadline",
        "drained",
        "fed",
        "label",
        "limit",
        "name",
        "note",
        "note_fd",
        "pid",
        "pidfd",
        "reason",
        "reason_fd",
        "source",
        "status",
    )

    def __init__(self, name: str, label: str, limit: float, source: int) -> None:
        """Describe a stage that is still to be started."""
        self.name = name
        self.label = label
        self.limit = limit
        self.source = source
        self.pid = 0
        self.pidfd = -1
        self.status: int | None = None  # the exit code, or minus the signal
        self.fed = False  # its input is complete
        self.drained = False  # and it had read all of it when it ended
        self.deadline: float | None = None
        self.reason_fd = -1
        self.reason = b""
        self.note_fd = -1
        self.note = b""

    @property
    def well(self) -> bool:
        """Has it ended, and all is right?"""
        return self.status == 0 and self.drained

    @property
    def failed(self) -> bool:
        """Has it ended, and something is wrong?"""
        return self.status is not None and not self.well


def is_pipe(fd: int) -> bool:
    """Is this a pipe, which has an end that somebody holds? What else a message may come from is complete as it is."""
    return posix.fstat(fd).st_mode & S_IFMT == S_IFIFO


def input_state(fd: int) -> tuple[bool, bool]:
    """Return (nothing is left to be read, nobody will write more) for a reading end."""
    if not is_pipe(fd):
        return True, True
    poller = poll()
    poller.register(fd, POLLIN)
    events = dict(poller.poll(0)).get(fd, 0)
    return not events & POLLIN, bool(events & POLLHUP)


def tidy_descriptors(keep: int = -1) -> None:
    """Keep 0, 1, 2 and, where they are given, 6 and `keep`, which is above 7; close what else was inherited.

    Nothing new will get a number up to 7.
    """
    for fd in (0, 1):
        try:
            posix.fstat(fd)
        except OSError:
            raise Answer(READ_ERROR, log=f"descriptor {fd} is not open") from None
    posix.closerange(3, REASON_FD)
    if keep >= 0:
        posix.closerange(REASON_FD + 1, keep)
    posix.closerange(max(REASON_FD, keep) + 1, 65536)
    while (fd := posix.open("/dev/null", posix.O_RDWR | posix.O_CLOEXEC)) <= NOTE_FD:
        pass
    posix.close(fd)
    posix.set_inheritable(2, True)  # where it was closed, the null device has its number now


class Pipeline:
    """A message on its way. `run` ends with an Answer, always."""

    def __init__(self, filters: list[Filter], queue: list[str], caller: int = -1, pid: int = 0) -> None:
        """Prepare; nothing is opened or started. `queue` is the last command: qmail-queue, or what becomes that.

        `caller`, of a resident's child, is where whoever asked says the number of a signal, or is gone; `pid` is his,
        for the log.
        """
        self.filters = [filter_ for filter_ in filters if not filter_.module]
        self.modules = [filter_ for filter_ in filters if filter_.module]
        self.module_notes: list[str] = []
        self.queue_command = queue
        self.caller = caller
        self.pid = pid or posix.getpid()
        self.stages: list[Stage] = []
        self.group = 0  # the filters' process group
        self.poller = poll()
        self.envelope = bytearray()
        self.envelope_in = 1
        self.envelope_out = -1
        self.released = False
        self.failing_since: float | None = None
        self.culprit: Stage | None = None  # the filter that decided against the message
        self.mask: set[int] = set()

    @property
    def queue(self) -> Stage:
        """The last stage."""
        return self.stages[-1]

    def run(self) -> NoReturn:
        """Take the message through. Raises Answer; by then every filter has ended."""
        # A signal is let in only while there is nothing to do but to wait.
        self.mask = pthread_sigmask(SIG_BLOCK, ENDING_SIGNALS)
        for number in ENDING_SIGNALS:
            signal(number, self.interrupted)
        try:
            tidy_descriptors(self.caller)
            end = monotonic() + SESSION_LIMIT
            if self.modules:
                self.run_modules(end)
            self.start()
            while True:
                if self.envelope_in >= 0 or self.filters or self.released:
                    self.wait(end)  # else all that is waited for is there already
                self.judge(end)
        except Answer as answer:
            answer.log = self.report(answer)
            raise
        finally:
            self.stop()

    def interrupted(self, number: int, frame: object) -> NoReturn:
        """End because of a signal."""
        raise Answer(LATER, LATER_TEXT, f"ended by signal {number}")

    def hear_caller(self) -> NoReturn:
        """End because whoever asked says so, or is gone."""
        try:
            said = posix.read(self.caller, 1)
        except OSError:
            said = b""
        raise Answer(LATER, LATER_TEXT, f"ended by signal {said[0]}" if said else "ended with its caller")

    # --- modules ---

    def run_modules(self, end: float) -> None:
        """Take the whole message and envelope, and have the message be what the modules make of it."""
        from hi_q import modules

        def wait(fd: int) -> None:
            pthread_sigmask(SIG_SETMASK, self.mask)
            try:
                ready = modules.waiting(fd, end - monotonic(), self.caller)
            finally:
                pthread_sigmask(SIG_BLOCK, ENDING_SIGNALS)
            if self.caller in ready:
                self.hear_caller()
            if not ready:
                raise Answer(LATER, LATER_TEXT, f"not done after {SESSION_LIMIT:.0f} s")

        def sender() -> bytes:
            self.poller.register(self.envelope_in, POLLIN)
            while self.envelope_in >= 0:
                wait(self.envelope_in)
                self.read_envelope()
            return bytes(self.envelope).partition(b"\0")[0][1:]

        modules.run(self.modules, wait, sender, self.module_notes)

    # --- starting ---

    def start(self) -> None:
        """Start every process, first to last."""
        source = 0
        total = len(self.filters)
        for number, filter_ in enumerate(self.filters, 1):
            name = bare(filter_.argv[0].rpartition("/")[2], ADDRESS_SHOWN)
            stage = Stage(name, f"filter {number} of {total} ({filter_})", filter_.limit, source)
            self.stages.append(stage)
            source, sink = posix.pipe()
            stage.reason_fd, reason = posix.pipe()
            stage.note_fd, note = posix.pipe()
            posix.set_blocking(stage.reason_fd, False)
            posix.set_blocking(stage.note_fd, False)
            try:
                argv = [word.encode() for word in filter_.argv]
                self.spawn(stage, argv, {0: stage.source, 1: sink, REASON_FD: reason, NOTE_FD: note}, group=True)
            finally:
                posix.close(sink)
                posix.close(reason)
                posix.close(note)
            self.poller.register(stage.reason_fd, POLLIN)
            self.poller.register(stage.note_fd, POLLIN)
        last = Stage("qmail-queue", self.queue_command[0], SESSION_LIMIT, source)
        self.stages.append(last)
        envelope, self.envelope_out = posix.pipe()
        try:
            self.spawn(last, [word.encode() for word in self.queue_command], {0: last.source, 1: envelope}, group=False)
        finally:
            posix.close(envelope)
        if self.envelope_in >= 0:
            self.poller.register(self.envelope_in, POLLIN)
        if self.caller >= 0:
            self.poller.register(self.caller, POLLIN)

    def spawn(self, stage: Stage, argv: list[bytes], descriptors: dict[int, int], *, group: bool) -> None:
        """Start one process with these descriptors (number there: number here) and those of 0 to 6 that are open."""
        try:
            stage.pid = posix.posix_spawn(
                argv[0],
                argv,
                posix.environ,
                file_actions=[(posix.POSIX_SPAWN_DUP2, here, there) for there, here in descriptors.items()],
                setpgroup=self.group if group else posix.getpgrp(),
                setsigmask=self.mask,
                setsigdef=[SIGPIPE, SIGXFSZ],  # Python ignores them, and so would the program
            )
            if group and not self.group:
                self.group = stage.pid
            stage.pidfd = posix.pidfd_open(stage.pid)
        except OSError as error:
            raise Answer(LATER, LATER_TEXT, f"{stage.label}: {error.strerror}") from None
        self.poller.register(stage.pidfd, POLLIN)
        if is_pipe(stage.source):
            self.poller.register(stage.source, 0)  # POLLHUP is told in any case
        else:
            self.complete(stage)

    # --- waiting ---

    def wait(self, end: float) -> None:
        """Wait until something happens, and take note of it."""
        happened = dict(self.poll(end))
        if self.caller in happened:
            self.hear_caller()
        if self.envelope_in in happened:
            self.read_envelope()
        for stage in self.stages:
            if stage.source in happened:
                self.poller.unregister(stage.source)
                self.complete(stage)
            if stage.reason_fd in happened:
                self.read_reason(stage)
            if stage.note_fd in happened:
                self.read_note(stage)
            if stage.pidfd in happened:
                self.ended(stage)

    def poll(self, end: float) -> list[tuple[int, int]]:
        """Wait for the next event or deadline. qmail-queue, once it has all, is waited for in peace and to its end."""
        if self.released:
            return self.poller.poll()
        times = [stage.deadline for stage in self.stages if stage.status is None and stage.deadline is not None]
        if self.failing_since is not None:
            times.append(self.failing_since + SETTLE_LIMIT)
        seconds = max(0.0, min([end, *times]) - monotonic())
        pthread_sigmask(SIG_SETMASK, self.mask)
        try:
            return self.poller.poll(int(seconds * 1000) + 1)
        finally:
            pthread_sigmask(SIG_BLOCK, ENDING_SIGNALS)

    def complete(self, stage: Stage) -> None:
        """Take note that a stage's input is complete: from here its time is counted."""
        if not stage.fed:
            stage.fed = True
            stage.deadline = monotonic() + stage.limit

    def read_envelope(self) -> None:
        """Take what there is of the envelope, up to the empty recipient that ends it."""
        try:
            chunk = posix.read(self.envelope_in, CHUNK)
        except OSError as error:
            raise Answer(READ_ERROR, log=f"envelope: {error.strerror}") from None
        if not chunk:
            raise Answer(READ_ERROR, log="the client went away before the end of the envelope")
        searched = max(0, len(self.envelope) - 1)
        self.envelope += chunk
        end = self.envelope.find(b"\0\0", searched)
        if end >= 0:
            del self.envelope[end + 2 :]
            self.poller.unregister(self.envelope_in)
            posix.close(self.envelope_in)
            self.envelope_in = -1
        elif len(self.envelope) > ENVELOPE_MAX:
            raise Answer(REFUSED, "too many recipients (#5.5.3)", f"an envelope of more than {ENVELOPE_MAX} bytes")

    def read_reason(self, stage: Stage) -> None:
        """Take what a filter says on its descriptor 6; of a long text the beginning."""
        stage.reason_fd, stage.reason = self.read_words(stage.reason_fd, stage.reason, REASON_MAX + 1)

    def read_note(self, stage: Stage) -> None:
        """Take what a filter says on its descriptor 7; of a long text the beginning."""
        stage.note_fd, stage.note = self.read_words(stage.note_fd, stage.note, NOTE_MAX)

    def read_words(self, fd: int, words: bytes, most: int) -> tuple[int, bytes]:
        """Return the descriptor, -1 when it has come to its end, and the words with what was read, at most `most`."""
        try:
            chunk = posix.read(fd, CHUNK)
        except BlockingIOError:
            return fd, words
        if chunk:
            return fd, (words + chunk)[:most]
        self.poller.unregister(fd)
        posix.close(fd)
        return -1, words

    def ended(self, stage: Stage) -> None:
        """Take note of how a process ended. It stays a zombie until `stop`, so that its group keeps its number."""
        status = posix.waitid(posix.P_PID, stage.pid, posix.WEXITED | posix.WNOWAIT)
        if status is None:
            return
        stage.status = status.si_status if status.si_code == posix.CLD_EXITED else -status.si_status
        self.poller.unregister(stage.pidfd)
        if stage.reason_fd >= 0:
            self.read_reason(stage)
        if stage.note_fd >= 0:
            self.read_note(stage)
        empty, closed = input_state(stage.source)
        stage.drained = empty and closed
        if closed:
            self.complete(stage)
        try:
            self.poller.unregister(stage.source)
        except KeyError:
            pass  # its end has been seen before
        posix.close(stage.source)
        stage.source = -1

    # --- judging ---

    def judge(self, end: float) -> None:
        """Go on, or let the envelope through, or raise the Answer."""
        now = monotonic()
        failed = next((i for i, stage in enumerate(self.stages) if stage.failed), None)
        if failed is None:
            for stage in self.stages[:-1]:
                if stage.status is None and stage.deadline is not None and now >= stage.deadline:
                    raise self.trouble(stage, f"took longer than {stage.limit} s")
            if now >= end and not self.released:
                raise Answer(LATER, LATER_TEXT, f"not done after {SESSION_LIMIT:.0f} s")
            self.release()
            return
        # A writer whose output is closed but that has not ended may be the one that failed first: wait for it.
        unsettled = any(stage.status is None and self.stages[i + 1].fed for i, stage in enumerate(self.stages[:failed]))
        self.failing_since = self.failing_since or now
        # The caller may be about to write the envelope, which the log is to name.
        unsettled = unsettled or (self.envelope_in >= 0 and self.stages[0].fed)
        if unsettled and now < self.failing_since + SETTLE_LIMIT:
            return
        stage = self.stages[failed]
        raise self.queue_answer() if stage is self.queue else self.filter_answer(stage)

    def release(self) -> None:
        """Give qmail-queue the envelope once all has ended well, and end with its answer."""
        if self.queue.status is not None:
            raise self.queue_answer()
        if self.released or self.envelope_in >= 0 or not self.queue.fed:
            return
        if not all(stage.well for stage in self.stages[:-1]):
            return
        self.released = True
        if self.caller >= 0:
            self.poller.unregister(self.caller)  # nothing is to be ended any more
        try:
            view = memoryview(self.envelope)
            while view:
                view = view[posix.write(self.envelope_out, view) :]
        except OSError:
            pass  # qmail-queue is gone; its exit code says why
        posix.close(self.envelope_out)
        self.envelope_out = -1

    def queue_answer(self) -> Answer:
        """Return what qmail-queue's end means: its exit code, but no success without the whole message and envelope."""
        status = self.queue.status
        assert status is not None  # noqa: S101 - callers know that it ended
        if status < 0:
            return Answer(INTERNAL, log=f"{self.queue.label}: killed by signal {-status}")
        if status == 0 and not (self.released and self.queue.drained):
            return Answer(INTERNAL, log=f"{self.queue.label}: ended well without having read everything")
        return Answer(status, log=f"{self.queue.label}: exit code {status}" if status else "")

    def filter_answer(self, stage: Stage) -> Answer:
        """Return what a filter's failure means."""
        status = stage.status
        assert status is not None  # noqa: S101 - callers know that it ended
        if status == 1:
            self.culprit = stage
            return Answer(REFUSED, self.said(stage) or REFUSED_TEXT)
        if status < 0:
            return self.trouble(stage, f"killed by signal {-status}")
        if status > 0:
            return self.trouble(stage, f"exit code {status}")
        return self.trouble(stage, "ended before it had read the whole message")

    def trouble(self, stage: Stage, what: str) -> Answer:
        """Return the temporary failure of a filter."""
        self.culprit = stage
        return Answer(LATER, self.said(stage) or LATER_TEXT, f"{stage.label}: {what}")

    def said(self, stage: Stage) -> str:
        """Return a filter's own words: what it wrote to its descriptor 6, less the letter D or Z before it."""
        return one_line(stage.reason[1:] if stage.reason[:1] in (b"D", b"Z") else stage.reason)

    # --- the log ---

    def report(self, answer: Answer) -> str:
        """Return the line for the log; none for a message that passed while no filter noted anything."""
        notes = [one_line(note, NOTE_MAX) for note in self.module_notes if note]
        for stage in self.stages[:-1]:
            if stage.note or stage is self.culprit:
                notes.append(f"filter={stage.name} {one_line(stage.note, NOTE_MAX)}".rstrip())
        if answer.code == ACCEPTED and not notes:
            return ""
        words = [f"pid={self.pid} result={result(answer.code)}", *notes, self.parties()]
        if answer.text:
            words.append(f"reason={quoted(answer.text)}")
        if answer.log:
            words.append(f"cause={quoted(answer.log)}")
        return " ".join(words)

    def parties(self) -> str:
        """Return the envelope for the log: who wrote that text can't add a word of its own to the line."""
        if self.envelope_in >= 0 or not self.envelope:
            return "from=? to=?"
        sender, *recipients = bytes(self.envelope[:-2]).split(b"\0")
        shown = [f"<{bare(address[1:], ADDRESS_SHOWN)}>" for address in recipients[:RECIPIENTS_SHOWN]]
        if len(recipients) > RECIPIENTS_SHOWN:
            shown.append(f"+{len(recipients) - RECIPIENTS_SHOWN}")
        return f"from=<{bare(sender[1:], ADDRESS_SHOWN)}> to={','.join(shown)}"

    # --- ending ---

    def stop(self) -> None:
        """End every filter, and see that qmail-queue, if it had no envelope, queues nothing."""
        if self.envelope_out >= 0:
            posix.close(self.envelope_out)
        if self.group and not self.released:
            try:
                posix.killpg(self.group, SIGKILL)
            except OSError:
                pass  # nobody there whom we may kill
        for stage in self.stages:
            if stage.pid and len(self.stages) > len(self.filters) and stage is self.queue:
                self.farewell(stage)
            elif stage.pid:
                if stage.status is None:
                    posix.kill(stage.pid, SIGKILL)  # it may have left the group
                posix.waitpid(stage.pid, 0)

    def farewell(self, queue: Stage) -> None:
        """Wait a little for qmail-queue, which without filters and an envelope has nothing more to wait for."""
        poller = poll()
        if queue.pidfd >= 0:
            poller.register(queue.pidfd, POLLIN)
        if poller.poll(int(FAREWELL_LIMIT * 1000)):
            posix.waitpid(queue.pid, 0)
        else:
            log(f"{queue.label}: still there without a message; left to itself")
