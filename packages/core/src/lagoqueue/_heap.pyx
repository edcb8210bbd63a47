# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
# cython: auto_pickle=False, autotestdict=False
"""`DelayHeap`: objects by due time, earliest first.

Three structures share the work. The heap is a C array of (due, sequence, slot), four children to a
node, so sifting touches neither Python objects nor reference counts. A slot gives an entry a fixed
place while its position in the heap changes, which is what a handle points at. The objects
lie in Python lists, one a page of slots, where the garbage collector sees them.

Cancelling marks the slot and lets the object go at once; what stays in the array is dropped when it
comes to the top, or with all others of its kind once they are the majority. So sifting need not
tell each entry's slot where it went, which in a large heap is a cache miss for each level.

Memory follows the number of entries in both directions: the heap array halves at a quarter of its
capacity, and a page goes when its last entry does. (In a large heap a pop is a chain of cache misses, so the code
asks for memory before it needs it.)
"""

import math
import types

cimport cython
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport qsort
from libc.string cimport memcpy


cdef enum:
    FREE = 0
    LIVE = 1
    CANCELLED = 2
    ARITY = 4
    PAGE_BITS = 6
    PAGE_SLOTS = 1 << PAGE_BITS
    SLOT_MASK = PAGE_SLOTS - 1
    LEAST_CAPACITY = 16
    SLOT_BITS = 24
    WIDE_SLOT_BITS = 40

cdef extern from *:
    """
    #if defined(__GNUC__) || defined(__clang__)
    #define lagoqueue_prefetch(address) __builtin_prefetch(address)
    #else
    #define lagoqueue_prefetch(address) ((void)0)
    #endif
    """
    void prefetch "lagoqueue_prefetch"(const void* address) noexcept nogil

cdef extern from "Python.h":
    ctypedef struct PyListObject:
        PyObject** ob_item

    long long PyLong_AsLongLongAndOverflow(object number, int* overflow) except? -1


cdef struct Entry:
    double due
    int64_t sequence
    Py_ssize_t slot


cdef struct Slot:
    Py_ssize_t state     # FREE, LIVE, or CANCELLED: its entry is still in the heap, its object is not
    uint64_t serial      # of the push that took it, never used again; while free: the next free slot + 1


cdef struct Page:
    Slot* slots          # PAGE_SLOTS of them; NULL where the page was freed
    PyObject** objects   # inside the list of this page's objects, which the heap owns
    int live             # slots taken
    int fresh            # slots from this one on were never taken
    Py_ssize_t free      # first of the free slots below `fresh`, + 1; 0 when there is none
    Py_ssize_t next      # among the pages that have room, or among those that were freed; -1 at the end
    Py_ssize_t previous  # among the pages that have room


cdef inline bint comes_before(const Entry* a, const Entry* b) noexcept nogil:
    # No branches: which of two random times is earlier is what a processor cannot predict.
    return (a.due < b.due) | ((a.due == b.due) & (a.sequence < b.sequence))


cdef int compare_entries(const void* a, const void* b) noexcept nogil:
    if comes_before(<const Entry*>a, <const Entry*>b):
        return -1
    return comes_before(<const Entry*>b, <const Entry*>a)


cdef void sift_up(Entry* heap, Py_ssize_t position, Entry moving) noexcept nogil:
    """Fill the hole at `position` with `moving`, or with its parents until it fits."""
    cdef Py_ssize_t parent
    while position > 0:
        parent = (position - 1) // ARITY
        if not comes_before(&moving, &heap[parent]):
            break
        heap[position] = heap[parent]
        position = parent
    heap[position] = moving


cdef inline Py_ssize_t earliest_child(const Entry* heap, Py_ssize_t child, Py_ssize_t length) noexcept nogil:
    """Return the earliest of the siblings from `child` on; there is at least one."""
    cdef Py_ssize_t best, other
    if child + ARITY <= length:
        best = child + comes_before(&heap[child + 1], &heap[child])
        other = child + 2 + comes_before(&heap[child + 3], &heap[child + 2])
        return best + (other - best) * comes_before(&heap[other], &heap[best])
    best = child
    for other in range(child + 1, length):
        if comes_before(&heap[other], &heap[best]):
            best = other
    return best


cdef inline void prefetch_grandchildren(const Entry* heap, Py_ssize_t position, Py_ssize_t length) noexcept nogil:
    """Fetch what the next level down will compare while this one is compared; a third off a large heap's pop."""
    cdef Py_ssize_t first = ARITY * (ARITY * position + 1) + 1
    cdef Py_ssize_t offset
    if first + ARITY * ARITY <= length:
        for offset in range(0, ARITY * ARITY, 2):  # two entries are less than a cache line of 64 bytes
            prefetch(&heap[first + offset])


cdef void sift_down(Entry* heap, Py_ssize_t length, Py_ssize_t position, Entry moving) noexcept nogil:
    """Fill the hole at `position` with `moving`, or with its earliest children until it fits."""
    cdef Py_ssize_t best
    while ARITY * position + 1 < length:
        prefetch_grandchildren(heap, position, length)
        best = earliest_child(heap, ARITY * position + 1, length)
        if not comes_before(&heap[best], &moving):
            break
        heap[position] = heap[best]
        position = best
    heap[position] = moving


cdef object make_handle(uint64_t serial, Py_ssize_t slot):
    """Pack what identifies an entry for ever into an int: 63 bits for all but the largest numbers."""
    if serial >> (63 - SLOT_BITS) == 0 and slot >> SLOT_BITS == 0:
        return <int64_t>((serial << SLOT_BITS) | <uint64_t>slot)
    return ((<object>serial << WIDE_SLOT_BITS) | slot) << 63


cdef bint read_handle(object handle, uint64_t* serial, Py_ssize_t* slot) except -1:
    """Unpack a handle; False when `make_handle` cannot have made it."""
    cdef int overflow = 0
    cdef long long narrow = PyLong_AsLongLongAndOverflow(handle, &overflow)
    if overflow == 0:
        serial[0] = <uint64_t>narrow >> SLOT_BITS
        slot[0] = narrow & ((1 << SLOT_BITS) - 1)
        return narrow > 0
    wide = handle >> 63
    if overflow < 0 or wide >> (WIDE_SLOT_BITS + 64) or wide << 63 != handle:
        return False
    serial[0] = wide >> WIDE_SLOT_BITS
    slot[0] = wide & ((<int64_t>1 << WIDE_SLOT_BITS) - 1)
    return True


cdef inline object exchange(Page* page, Py_ssize_t index, object item):
    """Put an object into a slot and return the one that was there."""
    cdef PyObject* old = page.objects[index]
    Py_INCREF(item)
    page.objects[index] = <PyObject*>item
    taken = <object>old
    Py_DECREF(taken)  # the slot's own reference
    return taken


@cython.final
cdef class DelayHeap:
    """Objects by due time. Every method is atomic under the GIL, so threads may share a heap.

    Destructors of the objects may use the heap: it is consistent whenever one can run.
    """

    cdef Entry* _heap
    cdef Py_ssize_t _length     # entries that can come out
    cdef Py_ssize_t _filled     # entries in the array, the cancelled ones included; the first is never one
    cdef Py_ssize_t _capacity
    cdef Page* _pages
    cdef Py_ssize_t _numbered   # pages in use or freed
    cdef Py_ssize_t _directory  # capacity of _pages
    cdef Py_ssize_t _room       # first of the pages that have room; -1 when there is none
    cdef Py_ssize_t _freed      # first of the pages that were freed; -1 when there is none
    cdef list _lists            # the objects of each page: PAGE_SLOTS of them, or None where it was freed
    cdef int64_t _next_sequence
    cdef public uint64_t _serial  # of the last push; public so that a test can start it high

    __class_getitem__ = classmethod(types.GenericAlias)

    def __cinit__(self):
        self._lists = []
        self._room = self._freed = -1

    def __dealloc__(self):
        self._free_arrays()

    def __len__(self):
        return self._length

    def __bool__(self):
        return self._length > 0

    def __sizeof__(self):
        """Return the bytes that the heap holds itself, without the objects in it."""
        cdef Py_ssize_t number, size = object.__sizeof__(self)
        size += self._capacity * sizeof(Entry) + self._directory * sizeof(Page) + self._lists.__sizeof__()
        for number in range(self._numbered):
            if self._pages[number].slots is not NULL:
                size += PAGE_SLOTS * sizeof(Slot) + self._lists[number].__sizeof__()
        return size

    def __reduce__(self):
        raise TypeError("a DelayHeap cannot be copied or pickled, its handles are places in it; push its items() anew")

    def push(self, double due, item, sequence=None):
        """Add an object, and return a handle with which `cancel` can take it out.

        Args:
            due: When it comes out, in the unit of the caller's clock; infinities are allowed.
            item: Anything but None.
            sequence: Orders entries of equal due time, within 64 bits, signed; without it they come
                out first in, first out.

        Raises:
            ValueError: `due` is NaN, or `item` is None. Nothing was changed.
        """
        cdef int64_t order = self._next_sequence if sequence is None else sequence
        cdef Page* page
        cdef Slot* slot
        cdef Entry entry
        cdef Py_ssize_t index
        if due != due:
            raise ValueError("due must not be NaN, which is neither before nor after anything")
        if item is None:
            raise ValueError("item must not be None: that is how pop_due says that nothing is due")
        while self._filled == self._capacity or self._room < 0:
            self._make_room()  # may run a destructor, which may use the room up
        page = &self._pages[self._room]
        index = page.fresh if page.free == 0 else page.free - 1
        slot = &page.slots[index]
        entry.due = due
        entry.sequence = order
        entry.slot = (self._room << PAGE_BITS) | index
        handle = make_handle(self._serial + 1, entry.slot)

        # From here on nothing can fail.
        exchange(page, index, item)
        if page.free == 0:
            page.fresh += 1
        else:
            page.free = <Py_ssize_t>slot.serial
        page.live += 1
        if page.live == PAGE_SLOTS:
            self._unlink(self._room)
        self._serial += 1
        slot.serial = self._serial
        slot.state = LIVE
        if sequence is None:
            self._next_sequence += 1
        self._length += 1
        self._filled += 1
        sift_up(self._heap, self._filled - 1, entry)
        return handle

    def pop(self):
        """Take out the earliest object and return it.

        Raises:
            IndexError: The heap is empty.
        """
        if self._length == 0:
            raise IndexError("pop from an empty heap")
        return self._take()

    def pop_due(self, double now):
        """Take out the earliest object and return it if it is due by `now`; else return None."""
        if self._length == 0 or not self._heap[0].due <= now:
            return None
        return self._take()

    def peek_due(self):
        """Return the earliest due time; infinity when the heap is empty."""
        return self._heap[0].due if self._length else math.inf

    def cancel(self, handle):
        """Take out the entry that `push` gave this handle for.

        Returns:
            True when it was there; False when it has been popped or cancelled before.
        """
        cdef Py_ssize_t slot
        cdef uint64_t serial
        cdef Page* page
        cdef Slot* entry
        if not isinstance(handle, int):
            raise TypeError(f"a handle is the int that push returned, not {type(handle).__name__}")
        if not read_handle(handle, &serial, &slot) or slot >> PAGE_BITS >= self._numbered:
            return False
        page = &self._pages[slot >> PAGE_BITS]
        if page.slots is NULL or (slot & SLOT_MASK) >= page.fresh:
            return False
        entry = &page.slots[slot & SLOT_MASK]
        if entry.state != LIVE or entry.serial != serial:
            return False
        item = exchange(page, slot & SLOT_MASK, None)
        entry.state = CANCELLED
        self._length -= 1
        self._drop_cancelled()
        if self._filled > 2 * self._length + LEAST_CAPACITY:
            self._compact()
        self._shrink()
        del item  # only now that the heap is consistent: this may run a destructor
        return True

    def clear(self):
        """Take out everything and give the memory back. Handles given before stay dead."""
        lists = self._lists  # held, so that destructors run when the heap is empty already
        self._lists = []
        self._free_arrays()
        del lists

    def items(self):
        """Return the objects in the order in which they would come out."""
        cdef list found = []  # made first: an allocation may run a destructor, an append cannot
        cdef Py_ssize_t position, slot
        cdef Entry* ordered
        if self._length == 0:
            return found
        ordered = <Entry*>PyMem_Malloc(self._filled * sizeof(Entry))
        if ordered is NULL:
            raise MemoryError
        try:
            memcpy(ordered, self._heap, self._filled * sizeof(Entry))
            qsort(ordered, self._filled, sizeof(Entry), &compare_entries)
            for position in range(self._filled):
                slot = ordered[position].slot
                if self._slot(slot).state == LIVE:
                    found.append(<object>self._pages[slot >> PAGE_BITS].objects[slot & SLOT_MASK])
        finally:
            PyMem_Free(ordered)
        return found

    cdef inline Slot* _slot(self, Py_ssize_t slot) noexcept:
        return &self._pages[slot >> PAGE_BITS].slots[slot & SLOT_MASK]

    cdef object _take(self):
        """Take out the first entry, which is a live one, and return its object."""
        cdef Py_ssize_t slot
        item = self._give_back(self._heap[0].slot)
        self._length -= 1
        self._drop_first()
        self._drop_cancelled()
        if self._filled > 0:  # the next pop will want this object
            slot = self._heap[0].slot
            prefetch(self._pages[slot >> PAGE_BITS].objects[slot & SLOT_MASK])
        self._shrink()
        return item

    cdef inline void _drop_first(self) noexcept:
        self._filled -= 1
        if self._filled > 0:
            sift_down(self._heap, self._filled, 0, self._heap[self._filled])

    cdef inline void _drop_cancelled(self) noexcept:
        """Drop cancelled entries until the first is a live one; their objects have left before."""
        while self._filled > self._length and self._slot(self._heap[0].slot).state == CANCELLED:
            self._give_back(self._heap[0].slot)
            self._drop_first()

    cdef void _compact(self) noexcept:
        """Drop every cancelled entry. As many were cancelled as are looked at, so it costs each of them a constant."""
        cdef Py_ssize_t position, kept = 0
        for position in range(self._filled):
            if self._slot(self._heap[position].slot).state == LIVE:
                self._heap[kept] = self._heap[position]
                kept += 1
            else:
                self._give_back(self._heap[position].slot)
        self._filled = kept
        for position in range((kept - 2) // ARITY, -1, -1):
            sift_down(self._heap, kept, position, self._heap[position])

    cdef inline void _shrink(self) noexcept:
        while self._filled <= self._capacity // 4 and self._capacity > LEAST_CAPACITY:
            if not self._resize(self._capacity // 2):
                break

    cdef object _give_back(self, Py_ssize_t slot):
        """Free a slot, and its page with the last one; return the object that was there."""
        cdef Page* page = &self._pages[slot >> PAGE_BITS]
        cdef Py_ssize_t index = slot & SLOT_MASK
        item = exchange(page, index, None)
        page.slots[index].state = FREE
        page.slots[index].serial = page.free
        page.free = index + 1
        page.live -= 1
        if page.live == PAGE_SLOTS - 1:
            self._link(slot >> PAGE_BITS)
        elif page.live == 0 and (page.next >= 0 or page.previous >= 0):
            # Another page has room. The last such page stays, so that one entry to and fro costs no allocation.
            self._drop_page(slot >> PAGE_BITS)
        return item

    cdef int _make_room(self) except -1:
        cdef list objects
        if self._room < 0:
            objects = [None] * PAGE_SLOTS  # made first: this allocation may run a destructor
            self._add_page(objects)
        if self._filled == self._capacity and not self._resize(max(LEAST_CAPACITY, 2 * self._capacity)):
            raise MemoryError
        return 0

    cdef int _add_page(self, list objects) except -1:
        cdef Page* page
        cdef Page* pages
        cdef Slot* slots
        cdef Py_ssize_t number = self._freed, directory
        if number < 0 and self._numbered == self._directory:
            directory = max(1, 2 * self._directory)
            pages = <Page*>PyMem_Realloc(self._pages, directory * sizeof(Page))
            if pages is NULL:
                raise MemoryError
            self._pages = pages
            self._directory = directory
        slots = <Slot*>PyMem_Malloc(PAGE_SLOTS * sizeof(Slot))
        if slots is NULL:
            raise MemoryError
        if number >= 0:
            self._lists[number] = objects
            self._freed = self._pages[number].next
        else:
            number = self._numbered
            try:
                self._lists.append(objects)
            except MemoryError:
                PyMem_Free(slots)
                raise
            self._numbered += 1
        page = &self._pages[number]
        page.slots = slots
        page.objects = (<PyListObject*>objects).ob_item
        page.live = page.fresh = page.free = 0
        self._link(number)
        return 0

    cdef void _drop_page(self, Py_ssize_t number) noexcept:
        cdef Page* page = &self._pages[number]
        self._unlink(number)
        self._lists[number] = None  # it holds None only, so no destructor runs
        PyMem_Free(page.slots)
        page.slots = NULL
        page.next = self._freed
        self._freed = number

    cdef void _link(self, Py_ssize_t number) noexcept:
        cdef Page* page = &self._pages[number]
        page.previous = -1
        page.next = self._room
        if self._room >= 0:
            self._pages[self._room].previous = number
        self._room = number

    cdef void _unlink(self, Py_ssize_t number) noexcept:
        cdef Page* page = &self._pages[number]
        if page.previous < 0:
            self._room = page.next
        else:
            self._pages[page.previous].next = page.next
        if page.next >= 0:
            self._pages[page.next].previous = page.previous

    cdef bint _resize(self, Py_ssize_t capacity) noexcept:
        cdef Entry* heap = <Entry*>PyMem_Realloc(self._heap, capacity * sizeof(Entry))
        if heap is NULL:
            return False
        self._heap = heap
        self._capacity = capacity
        return True

    cdef void _free_arrays(self) noexcept:
        cdef Py_ssize_t number
        for number in range(self._numbered):
            PyMem_Free(self._pages[number].slots)
        PyMem_Free(self._pages)
        PyMem_Free(self._heap)
        self._pages = NULL
        self._heap = NULL
        self._room = self._freed = -1
        self._numbered = self._directory = self._capacity = self._length = self._filled = 0
