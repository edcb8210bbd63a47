# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
# cython: auto_pickle=False, autotestdict=False
"""The jobs of a `MemoryQueue`, an `Entry` each, and where they wait, a `Line` a label and priority.

In a line, jobs that were due when they came stand in a chain, in order, and all others in a `DelayHeap`;
what comes out is the earlier of the two. Entries carry the links of their chain themselves.
"""

cimport cython
from cpython.datetime cimport PyDateTime_IMPORT, datetime_new
from cpython.ref cimport PyObject
from libc.math cimport INFINITY, floor, rint
from libc.stdint cimport int64_t

from datetime import timezone as _timezone

PyDateTime_IMPORT

cdef object utc = _timezone.utc


@cython.final
@cython.no_gc  # a job holds text and bytes, and nothing that could lead back here
cdef class Entry:
    """A live job, and where it is in its life; reserved while it has a receipt."""

    @property
    def available_at(self):
        """When it was to be delivered at the earliest."""
        return self.available()

    cdef object available(self):
        return instant(self.wall) if self.given_at is None else self.given_at

    cdef Entry copy(self):
        """Return the entry as it is now, for those who look at it while it changes."""
        cdef Entry copy = Entry.__new__(Entry)
        copy.job, copy.receipt, copy.given_at, copy.wall = self.job, self.receipt, self.given_at, self.wall
        copy.due, copy.reserved_at, copy.reserved_until = self.due, self.reserved_at, self.reserved_until
        copy.sequence = self.sequence
        return copy


@cython.final
@cython.no_gc
cdef class Line:
    """The jobs that wait under one label with one priority."""

    def __len__(self):
        return self.ready.length + self.others._length

    cdef int add(self, Entry entry, double now) except -1:
        if entry.due <= now and (self.ready.last is NULL or comes_before(<Entry>self.ready.last, entry)):
            append(&self.ready, entry)
        else:
            self.others.push(entry.due, entry, entry.sequence)
        return 0

    cdef Entry pop_due(self, double now):
        """Take out the first job if it is due; else return None."""
        cdef Entry entry
        cdef Entry other = self.others.peek()
        if self.ready.first is NULL or (other is not None and comes_before(other, <Entry>self.ready.first)):
            return self.others.pop_due(now)
        entry = <Entry>self.ready.first
        if entry.due > now:
            return None
        remove(&self.ready, entry)
        return entry

    cpdef double next_due(self):
        """Return when the first job is due, on the monotonic clock; infinity when there is none."""
        cdef double due = self.others.peek_due()
        return due if self.ready.first is NULL else min(due, (<Entry>self.ready.first).due)

    def count_due(self, double now):
        """Return how many of the jobs are due."""
        cdef PyObject* each = self.ready.last
        cdef Py_ssize_t count = self.ready.length
        while each is not NULL and (<Entry>each).due > now:  # only if a clock went back
            count -= 1
            each = (<Entry>each).ahead
        return count + self.others.count_due(now)

    def first(self, Py_ssize_t limit, double after_due=-INFINITY, int64_t after_sequence=-1):
        """Return up to `limit` entries in order, from behind a place on, as they are at this moment."""
        cdef list found = [], chained = []  # made first: an allocation may run a destructor
        cdef list others = self.others.first(limit, after_due, after_sequence)
        cdef PyObject* each = self.ready.first
        cdef Py_ssize_t i = 0, j = 0
        cdef Entry entry
        while each is not NULL and len(chained) < limit:
            entry = <Entry>each
            if entry.due > after_due or (entry.due == after_due and entry.sequence > after_sequence):
                chained.append(entry)
            each = entry.behind
        while len(found) < limit and (i < len(chained) or j < len(others)):
            if j == len(others) or (i < len(chained) and comes_before(<Entry>chained[i], <Entry>others[j])):
                entry = <Entry>chained[i]
                i += 1
            else:
                entry = <Entry>others[j]
                j += 1
            found.append(entry.copy())
        return found


@cython.cdivision(False)  # a clock that a test set may show a time before 1970
cdef object instant(double seconds):
    """Return what `datetime.fromtimestamp(seconds, UTC)` does, at a quarter of its price."""
    cdef double whole = floor(seconds)
    cdef int64_t micros = <int64_t>rint((seconds - whole) * 1e6)
    cdef int64_t second = <int64_t>whole + micros // 1_000_000
    cdef int64_t day = second // 86_400
    cdef int64_t era, of_era, year, of_year, month
    second -= day * 86_400
    # Days are counted from 0000-03-01, so that the leap day is the last of its year, in eras of 400 years.
    day += 719_468
    era = day // 146_097
    of_era = day - era * 146_097
    year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    return datetime_new(
        year + era * 400 + (month >= 10),
        month - 9 if month >= 10 else month + 3,
        of_year - (153 * month + 2) // 5 + 1,
        second // 3600,
        second // 60 % 60,
        second % 60,
        micros % 1_000_000,
        utc,
    )
