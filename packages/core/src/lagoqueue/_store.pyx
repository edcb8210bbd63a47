# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
# cython: auto_pickle=False, autotestdict=False
"""`Store`: the jobs of a `MemoryQueue`, by id, each waiting in a line or reserved.

A `Line` a label and priority holds what waits. Reservations last equally long, so a chain in the order
of their beginning is one in the order of their expiry. The dict of ids is what owns the entries.

There is no lock: every method is atomic under the GIL. Other code can run only where a clock is
read, where memory for an object that the garbage collector tracks is asked for (it may run destructors),
and where a waiting pop is woken; at all of these the store is consistent, and nothing that was read
before is relied on after. So any thread, and any destructor, may use it. Importing this module turns the GIL of
a free-threaded interpreter on.
"""

cimport cython
from cpython.dict cimport PyDict_DelItem, PyDict_GetItemWithError, PyDict_SetDefault, PyDict_SetItem, PyDict_Size
from cpython.ref cimport PyObject
from libc.stdint cimport int64_t

from lagoqueue._fields cimport blank, field, fill, offset_of
from lagoqueue._heap cimport DelayHeap
from lagoqueue._line cimport Chain, Entry, Line, append, remove
from lagoqueue._time import to_seconds
from lagoqueue.errors import DuplicateJob, QueueClosed, ReservationLost
from lagoqueue.job import (
    MAX_ID as _MAX_ID,
    MAX_LABEL as _MAX_LABEL,
    MAX_NAME as _MAX_NAME,
    MAX_PRIORITY as _MAX_PRIORITY,
    Job,
    check_job,
)
from lagoqueue.queue import Settlement

cdef extern from "Python.h":
    ctypedef struct PyTypeObject:
        pass

    bint PyObject_TypeCheck(object value, PyTypeObject* type)
    object PyUnicode_DecodeASCII(const char* text, Py_ssize_t size, const char* errors)
    long long PyLong_AsLongLongAndOverflow(object number, int* overflow) except? -1
    bint PyUnicode_IS_ASCII(object text)
    bint PyUnicode_CheckExact(object value)
    bint PyBytes_CheckExact(object value)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    void* PyUnicode_DATA(object text)


cdef extern from "string.h" nogil:
    void* memchr(const void* text, int character, size_t size)

cdef object job_type = Job
cdef object settlement_type = Settlement

# Seconds by which wall and monotonic clock may drift apart before that is taken for a change of the wall clock.
cdef double CLOCK_STEP = 0.001


# --- A job's fields -------------------------------------------------------------------------------

cdef Py_ssize_t id_at = offset_of(Job, "id")
cdef Py_ssize_t name_at = offset_of(Job, "name")
cdef Py_ssize_t payload_at = offset_of(Job, "payload")
cdef Py_ssize_t attempts_at = offset_of(Job, "attempts")
cdef Py_ssize_t available_at_at = offset_of(Job, "available_at")
cdef Py_ssize_t queue_at = offset_of(Job, "queue")
cdef Py_ssize_t priority_at = offset_of(Job, "priority")
cdef Py_ssize_t headers_at = offset_of(Job, "headers")
cdef Py_ssize_t receipt_at = offset_of(Job, "receipt")
cdef Py_ssize_t settled_job_at = offset_of(Settlement, "job")
cdef Py_ssize_t action_at = offset_of(Settlement, "action")

cdef int longest_id = _MAX_ID, longest_name = _MAX_NAME, longest_label = _MAX_LABEL
cdef long long highest_priority = _MAX_PRIORITY
cdef object no_attempts = 0


cdef inline bint is_job(object value) noexcept:
    """Tell whether a job's fields are in a value; `isinstance` believes what a mock or a proxy says of itself."""
    return PyObject_TypeCheck(value, <PyTypeObject*>job_type)


cdef inline object fill_job(object job, Entry entry, object attempts, object receipt):
    """Make a blank job the entry's; nothing that happens here can run other code."""
    fill(job, id_at, field(entry.job, id_at))
    fill(job, name_at, field(entry.job, name_at))
    fill(job, payload_at, field(entry.job, payload_at))
    fill(job, attempts_at, attempts)
    fill(job, available_at_at, entry.available())
    fill(job, queue_at, field(entry.job, queue_at))
    fill(job, priority_at, field(entry.job, priority_at))
    fill(job, headers_at, field(entry.job, headers_at))
    fill(job, receipt_at, receipt)
    return job


cdef inline bint is_short_text(object value, Py_ssize_t longest) noexcept:
    cdef Py_ssize_t length
    if not PyUnicode_CheckExact(value) or not PyUnicode_IS_ASCII(value):
        return False
    length = PyUnicode_GET_LENGTH(value)
    return 0 < length <= longest and memchr(PyUnicode_DATA(value), 0, length) is NULL


cdef object check(object job):
    """Return a job if every store could keep it; the usual ones are seen to be fine without `check_job`."""
    cdef int overflow = 0
    cdef long long number
    if type(job) is job_type:
        headers = field(job, headers_at)
        priority = field(job, priority_at)
        number = PyLong_AsLongLongAndOverflow(priority, &overflow) if type(priority) is int else 0
        if (
            is_short_text(field(job, id_at), longest_id)
            and is_short_text(field(job, name_at), longest_name)
            and is_short_text(field(job, queue_at), longest_label)
            and PyBytes_CheckExact(field(job, payload_at))
            and type(priority) is int
            and overflow == 0
            and -highest_priority <= number <= highest_priority
            and field(job, attempts_at) is no_attempts
            and field(job, available_at_at) is None
            and type(headers) is dict
            and PyDict_Size(headers) == 0
        ):
            return job
    elif not is_job(job):
        raise TypeError(f"push takes a Job, not {type(job).__name__}")
    check_job(job)
    return job


# --- The store ------------------------------------------------------------------------------------

@cython.final
cdef class Store:
    """The live jobs of one queue.

    Args:
        clock: The time that delays and reservations go by.
        visibility_timeout: How long a reservation lasts, in seconds.
        waiters: Pops that wait; any that may want a job is woken when one comes into line.
    """

    cdef readonly double visibility_timeout
    cdef dict _entries    # by id, in push order
    cdef dict _lines      # of each label, the one with the highest priority; none is empty
    cdef Chain _reserved  # in order of expiry
    cdef int64_t _pushed
    cdef int64_t _receipts
    cdef object _time
    cdef object _monotonic
    cdef double _offset   # of the wall clock from the monotonic one
    cdef object _waiters
    cdef dict _sleeping   # the waiters' own; empty when nobody waits
    cdef bint _closed

    def __init__(self, clock, double visibility_timeout, waiters):
        self.visibility_timeout = visibility_timeout
        self._entries = {}
        self._lines = {}
        self._time = clock.time
        self._monotonic = clock.monotonic
        self._offset = self._time() - self._monotonic()
        self._waiters = waiters
        self._sleeping = waiters.sleeping

    def __len__(self):
        return len(self._entries)

    # --- Push and claim ---------------------------------------------------------------------------

    def push(self, job, delay, bint exist_ok):
        """See `Queue.push`."""
        cdef double seconds = 0.0, now, due
        cdef Entry entry = Entry.__new__(Entry)
        cdef Line line
        cdef PyObject* live
        entry.job = check(job)
        if delay is not None:
            seconds = to_seconds(delay, "delay")
        self._check_open()
        now = self._monotonic()
        if delay is None:
            entry.given_at = field(job, available_at_at)
        if entry.given_at is None:
            due = now + seconds
            entry.wall = <double>self._time() + seconds
        else:
            due = self._due_at(entry.given_at, now)
        entry.due = due
        line = self._line(field(job, queue_at), field(job, priority_at))
        entry.sequence = self._pushed
        live = PyDict_SetDefault(self._entries, field(job, id_at), entry)
        if live is not <PyObject*>entry:
            self._drop_if_empty(line)
            if exist_ok:
                return False
            raise DuplicateJob(job.id)
        try:
            line.add(entry, now)
        except MemoryError:
            PyDict_DelItem(self._entries, field(job, id_at))
            self._drop_if_empty(line)
            raise
        self._pushed += 1
        if PyDict_Size(self._sleeping):
            self._waiters.wake(line.label, due > now)
        return True

    def pop(self, labels):
        """Reserve the first due job and return it; None when there is none."""
        return self._reserve_first(labels, self._reclaimed())

    def pop_many(self, labels, Py_ssize_t limit):
        """Reserve up to `limit` due jobs and return them."""
        cdef double now = self._reclaimed()
        cdef list jobs = []
        while len(jobs) < limit:
            job = self._reserve_first(labels, now)
            if job is None:
                break
            jobs.append(job)
        return jobs

    def next_event(self, labels, double latest):
        """Return when to look again, at the latest: a reservation made from now on expires no earlier than that."""
        cdef double when = min(latest, <double>self._monotonic() + self.visibility_timeout)
        cdef Line line
        self._check_open()
        if self._reserved.first is not NULL:
            when = min(when, (<Entry>self._reserved.first).reserved_until)
        for label in labels:
            line = self._lines.get(label)
            while line is not None:
                when = min(when, line.next_due())
                line = line.lower
        return when

    cdef object _reserve_first(self, labels, double now):
        cdef Entry entry
        job = blank(job_type)
        receipt = digits(self._receipts + 1)
        for label in labels:
            entry = self._take(label, now)
            if entry is not None:
                self._receipts += 1
                entry.receipt = receipt
                entry.reserved_at = now
                entry.reserved_until = now + self.visibility_timeout
                append(&self._reserved, entry)
                fill_job(job, entry, field(entry.job, attempts_at) + 1, receipt)
                entry.job = job
                return job
        return None

    cdef Entry _take(self, label, double now):
        """Take the first due job of a label out of its line; None when there is none."""
        cdef PyObject* found = PyDict_GetItemWithError(self._lines, label)
        cdef Line line = None if found is NULL else <Line>found
        cdef Entry entry
        while line is not None:
            entry = line.pop_due(now)
            if entry is not None:
                self._drop_if_empty(line)
                return entry
            line = line.lower
        return None

    cdef double _reclaimed(self) except? -1:
        """Return every job whose reservation has expired to the place it had, and return what time it is."""
        cdef double now
        cdef Entry entry
        self._check_open()
        now = self._monotonic()
        while self._reserved.first is not NULL:
            entry = <Entry>self._reserved.first
            if entry.reserved_until > now:
                break
            self._return(entry, entry.due, now)
        return now

    # --- Settle -----------------------------------------------------------------------------------

    def ack(self, job):
        """See `Queue.ack`."""
        if not self._ack(job):
            raise ReservationLost(job.id)

    def ack_many(self, settlements):
        """Ack the jobs whose settlement says so, and return the other settlements, and those that were lost."""
        cdef list left = []
        self._check_open()
        for settlement in settlements:
            if type(settlement) is not settlement_type:
                raise TypeError(f"settle takes Settlements, not {type(settlement).__name__}")
            if field(settlement, action_at) != "ack" or not self._ack(field(settlement, settled_job_at)):
                left.append(settlement)
        return left

    def give_back(self, job, double delay, bint attempt):
        """Return a reserved job to its line, due in `delay` seconds, and its attempt with it if asked to."""
        cdef double now, wall
        cdef Entry entry
        self._check_open()
        now = self._monotonic()
        wall = <double>self._time() + delay
        entry = self._owned(job)
        if attempt:
            returned = blank(job_type)
            fill_job(returned, entry, field(entry.job, attempts_at) - 1, field(entry.job, receipt_at))
        if not self._return(entry, now + delay, now):
            raise ReservationLost(job.id)
        if attempt:
            entry.job = returned
        entry.given_at, entry.wall = None, wall
        if PyDict_Size(self._sleeping):
            self._waiters.wake(field(job, queue_at), delay > 0)

    def extend(self, job):
        """See `Queue.extend`."""
        cdef double now
        cdef Entry entry
        self._check_open()
        now = self._monotonic()
        entry = self._owned(job)
        remove(&self._reserved, entry)
        entry.reserved_until = now + self.visibility_timeout
        append(&self._reserved, entry)

    cdef bint _ack(self, job) except -1:
        """Drop a job; False when its reservation was lost."""
        cdef Entry entry = self._find_owned(job)
        if entry is None:
            return False
        remove(&self._reserved, entry)
        entry.receipt = None
        PyDict_DelItem(self._entries, field(entry.job, id_at))
        return True

    cdef Entry _owned(self, job):
        """Return the entry that this delivery reserves."""
        cdef Entry entry = self._find_owned(job)
        if entry is None:
            raise ReservationLost(job.id)
        return entry

    cdef Entry _find_owned(self, job):
        cdef PyObject* found
        cdef Entry entry
        self._check_open()
        if not is_job(job):
            raise TypeError(f"a reservation is ended with its Job, not with {type(job).__name__}")
        found = PyDict_GetItemWithError(self._entries, field(job, id_at))
        if found is NULL:
            return None
        entry = <Entry>found
        receipt = field(job, receipt_at)
        if entry.receipt is None or (receipt is not entry.receipt and receipt != entry.receipt):
            return None
        return entry

    cdef bint _return(self, Entry entry, double due, double now) except -1:
        """Move a reserved entry into its line; False when its reservation ended meanwhile."""
        receipt = entry.receipt
        cdef Line line = self._line(field(entry.job, queue_at), field(entry.job, priority_at))
        if entry.receipt is not receipt:  # a destructor that the new line's making ran did it
            self._drop_if_empty(line)
            return False
        remove(&self._reserved, entry)
        entry.due = due
        try:
            line.add(entry, now)
        except MemoryError:
            self._drop_if_empty(line)
            append(&self._reserved, entry)
            raise
        entry.receipt = None
        return True

    # --- Lines and instants -----------------------------------------------------------------------

    cdef Line _line(self, label, int64_t priority):
        """Return the line of a label and priority, a new one where there is none."""
        cdef Line line, above = None
        cdef Line fresh = None
        while True:
            above = None
            line = self._lines.get(label)
            while line is not None and line.priority > priority:
                above, line = line, line.lower
            if line is not None and line.priority == priority:
                return line
            if fresh is not None:
                break
            fresh = Line.__new__(Line)
            fresh.label, fresh.priority, fresh.others = label, priority, DelayHeap()  # may run a destructor: look again
        fresh.lower = line
        if above is None:
            PyDict_SetItem(self._lines, label, fresh)
        else:
            above.lower = fresh
        return fresh

    cdef int _drop_if_empty(self, Line line) except -1:
        cdef Line above
        if line.ready.first is not NULL or line.others._length:
            return 0
        above = self._lines[line.label]
        if above is not line:
            while above.lower is not line:
                above = above.lower
            above.lower = line.lower
        elif line.lower is not None:
            PyDict_SetItem(self._lines, line.label, line.lower)
        else:
            PyDict_DelItem(self._lines, line.label)
        return 0

    cdef double _due_at(self, available_at, double now) except? -1:
        """Return an instant, past ones included, on the monotonic clock."""
        cdef double offset = <double>self._time() - now
        if abs(offset - self._offset) > CLOCK_STEP:  # the wall clock was set
            self._offset = offset
        # One offset for all, since two readings of two clocks differ each time: jobs that are due
        # at one instant must stay in push order.
        return <double>available_at.timestamp() - self._offset

    # --- Looking ----------------------------------------------------------------------------------

    def size(self, labels):
        """Return how many jobs wait under the labels."""
        self._check_open()
        return sum([len(line) for label in labels for line in self._lines_of(label)])

    def jobs(self):
        """Return every live job, in push order."""
        return [(<Entry>entry).job for entry in list(self._entries.values())]

    def lines(self, label=None):
        """Return the lines of a label, highest priority first; without one, of all labels, sorted by label."""
        if label is not None:
            return self._lines_of(label)
        return [line for each in sorted(self._lines) for line in self._lines_of(each)]

    def reserved(self):
        """Return the reserved entries as they are at this moment, once those that expired have been returned."""
        cdef list found = []  # made first, as in Line.first
        cdef PyObject* each
        self._reclaimed()
        each = self._reserved.first
        while each is not NULL:
            found.append((<Entry>each).copy())
            each = (<Entry>each).behind
        return found

    def find(self, str job_id):
        """Return the entry of a live job as it is at this moment, or None."""
        cdef Entry entry
        self._reclaimed()
        entry = self._entries.get(job_id)
        return None if entry is None else entry.copy()

    cdef list _lines_of(self, label):
        cdef list found = []
        cdef Line line = self._lines.get(label)
        while line is not None:
            found.append(line)
            line = line.lower
        return found

    # --- The end ----------------------------------------------------------------------------------

    def close(self):
        """Refuse every call from now on."""
        self._closed = True

    cdef inline int _check_open(self) except -1:
        if self._closed:
            raise QueueClosed("this MemoryQueue was closed; make a new one to go on")
        return 0


cdef object digits(int64_t number):
    """Return a number from 0 as text."""
    cdef char text[20]
    cdef int start = 20
    while True:
        start -= 1
        text[start] = <char>(c"0" + number % 10)
        number //= 10
        if number == 0:
            return PyUnicode_DecodeASCII(text + start, 20 - start, NULL)
