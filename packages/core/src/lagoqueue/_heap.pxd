"""What other Cython modules may call of a `DelayHeap` without the interpreter between, and how it is laid out."""

cimport cython
from cpython.ref cimport PyObject
from libc.stdint cimport int64_t, uint64_t


cdef struct Rest:        # of an entry; sifting needs it only where due times are equal
    int64_t sequence
    Py_ssize_t slot


cdef struct Entry:
    double due
    Rest rest


cdef struct Slot:
    PyObject* item       # owned; NULL while free, and when its entry was cancelled and is in the heap still
    uint64_t serial      # of the push that took it, never used again; while free: the next free slot + 1


cdef struct Page:
    Slot* slots          # PAGE_SLOTS of them; NULL where the page was freed
    int live             # slots taken
    int fresh            # slots from this one on were never taken
    Py_ssize_t free      # first of the free slots below `fresh`, + 1; 0 when there is none
    Py_ssize_t next      # among the pages that have room, or among those that were freed; -1 at the end
    Py_ssize_t previous  # among the pages that have room


@cython.final
cdef class DelayHeap:
    cdef double* _dues          # of the entries in the heap
    cdef Rest* _rests
    cdef Py_ssize_t _length     # entries that can come out
    cdef Py_ssize_t _filled     # entries in the array, the cancelled ones included; the first is never one
    cdef Py_ssize_t _capacity
    cdef Page* _pages
    cdef Py_ssize_t _numbered   # pages in use or freed
    cdef Py_ssize_t _directory  # capacity of _pages
    cdef Py_ssize_t _room       # first of the pages that have room; -1 when there is none
    cdef Py_ssize_t _freed      # first of the pages that were freed; -1 when there is none
    cdef object _tracked        # always None: an attribute of this kind makes it a type that the collector knows
    cdef int64_t _next_sequence
    cdef public uint64_t _serial  # of the last push; public so that a test can start it high

    cpdef object peek(self)
    cpdef double peek_due(self)
    cpdef object pop_due(self, double now)
    cpdef list first(self, Py_ssize_t limit, double after_due=*, after_sequence=*)
    cpdef Py_ssize_t count_due(self, double now)
    cdef Slot* _slot(self, Py_ssize_t slot) noexcept
    cdef object _take_item(self, Py_ssize_t slot)
    cdef object _take(self)
    cdef void _drop_first(self) noexcept
    cdef void _drop_cancelled(self) noexcept
    cdef void _compact(self) noexcept
    cdef void _shrink(self) noexcept
    cdef void _free_slot(self, Py_ssize_t slot) noexcept
    cdef int _add_page(self) except -1
    cdef void _drop_page(self, Py_ssize_t number) noexcept
    cdef void _link(self, Py_ssize_t number) noexcept
    cdef void _unlink(self, Py_ssize_t number) noexcept
    cdef bint _resize(self, Py_ssize_t capacity) noexcept
