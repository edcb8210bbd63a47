"""How entries, chains and lines are laid out, for the store, which has them in its hands."""

cimport cython
from cpython.ref cimport PyObject
from libc.stdint cimport int64_t

from lagoqueue._heap cimport DelayHeap


@cython.final
cdef class Entry:
    cdef readonly object job
    cdef readonly object receipt
    cdef object given_at                 # its available_at where it was pushed with one
    cdef double wall                     # else its time in seconds
    cdef readonly double due             # on the monotonic clock, as the two that follow
    cdef readonly double reserved_at
    cdef readonly double reserved_until
    cdef readonly int64_t sequence
    cdef PyObject* ahead                 # of this entry, in the chain that it is in
    cdef PyObject* behind

    cdef object available(self)
    cdef Entry copy(self)


cdef inline bint comes_before(Entry one, Entry other) noexcept:
    return one.due < other.due or (one.due == other.due and one.sequence < other.sequence)


cdef struct Chain:
    PyObject* first
    PyObject* last
    Py_ssize_t length


cdef inline void append(Chain* chain, Entry entry) noexcept:
    entry.ahead = chain.last
    entry.behind = NULL
    if chain.last is NULL:
        chain.first = <PyObject*>entry
    else:
        (<Entry>chain.last).behind = <PyObject*>entry
    chain.last = <PyObject*>entry
    chain.length += 1


cdef inline void remove(Chain* chain, Entry entry) noexcept:
    if entry.ahead is NULL:
        chain.first = entry.behind
    else:
        (<Entry>entry.ahead).behind = entry.behind
    if entry.behind is NULL:
        chain.last = entry.ahead
    else:
        (<Entry>entry.behind).ahead = entry.ahead
    entry.ahead = entry.behind = NULL
    chain.length -= 1


@cython.final
cdef class Line:
    cdef readonly object label
    cdef readonly int64_t priority
    cdef Line lower        # the label's line of the next lower priority
    cdef Chain ready       # were due when they came, and come in order
    cdef DelayHeap others

    cdef int add(self, Entry entry, double now) except -1
    cdef Entry pop_due(self, double now)
    cpdef double next_due(self)
