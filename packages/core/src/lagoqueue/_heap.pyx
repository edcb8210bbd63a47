# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
# cython: auto_pickle=False, autotestdict=False
"""`DelayHeap`: objects by due time, earliest first.

Three structures share the work. The heap is two C arrays, due times apart from the (sequence, slot) of
each, eight children to a node, so sifting touches neither Python objects nor reference counts, and
choosing the earliest child reads two cache lines at most. A slot gives an entry a fixed
place while its position in the heap changes, which is what a handle points at, and holds its object.
Slots lie in pages, and the type's own `tp_traverse` shows their objects to the garbage collector.

Cancelling marks the slot and lets the object go at once; what stays in the array is dropped when it
comes to the top, or with all others of its kind once they are the majority. So sifting need not
tell each entry's slot where it went, which in a large heap is a cache miss for each level.

Memory follows the number of entries in both directions: the heap array halves at a quarter of its
capacity, and a page goes when its last entry does. (In a large heap a pop is a chain of cache misses, so the code
asks for memory before it needs it.)
"""

import types

cimport cython
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_XDECREF, PyObject
from libc.math cimport INFINITY
from libc.stdint cimport INT64_MIN, int64_t, uint64_t
from libc.stdlib cimport qsort


cdef enum:
    ARITY = 8
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
    ctypedef int (*visitproc)(PyObject* item, void* argument) noexcept

    ctypedef struct PyTypeObject:
        int (*tp_traverse)(PyObject* self, visitproc visit, void* argument) noexcept
        int (*tp_clear)(PyObject* self) noexcept

    long long PyLong_AsLongLongAndOverflow(object number, int* overflow) except? -1


cdef inline bint comes_before(double due, const Rest* rest, double other_due, const Rest* other) noexcept nogil:
    # The first comparison is no branch: which of two random times is earlier is what a processor cannot predict.
    cdef bint before = due < other_due
    if due == other_due:
        before = rest.sequence < other.sequence
    return before


cdef int compare_entries(const void* a, const void* b) noexcept nogil:
    cdef const Entry* one = <const Entry*>a
    cdef const Entry* other = <const Entry*>b
    if comes_before(one.due, &one.rest, other.due, &other.rest):
        return -1
    return comes_before(other.due, &other.rest, one.due, &one.rest)


cdef void sift_up(double* dues, Rest* rests, Py_ssize_t position, double due, Rest rest) noexcept nogil:
    """Fill the hole at `position` with an entry, or with its parents until it fits."""
    cdef Py_ssize_t parent
    while position > 0:
        parent = (position - 1) // ARITY
        if not comes_before(due, &rest, dues[parent], &rests[parent]):
            break
        dues[position] = dues[parent]
        rests[position] = rests[parent]
        position = parent
    dues[position] = due
    rests[position] = rest


cdef inline Py_ssize_t earlier(
    const double* dues, const Rest* rests, Py_ssize_t one, Py_ssize_t other
) noexcept nogil:
    """Return the position of the earlier of two entries."""
    return one + (other - one) * comes_before(dues[other], &rests[other], dues[one], &rests[one])


cdef inline Py_ssize_t earliest_child(
    const double* dues, const Rest* rests, Py_ssize_t child, Py_ssize_t length
) noexcept nogil:
    """Return the earliest of the siblings from `child` on; there is at least one."""
    cdef Py_ssize_t best, other, first, second, third, fourth
    if child + ARITY <= length:
        first = earlier(dues, rests, child, child + 1)
        second = earlier(dues, rests, child + 2, child + 3)
        third = earlier(dues, rests, child + 4, child + 5)
        fourth = earlier(dues, rests, child + 6, child + 7)
        return earlier(dues, rests, earlier(dues, rests, first, second), earlier(dues, rests, third, fourth))
    best = child
    for other in range(child + 1, length):
        best = earlier(dues, rests, best, other)
    return best


cdef inline void prefetch_grandchildren(const double* dues, Py_ssize_t position, Py_ssize_t length) noexcept nogil:
    """Fetch what the next level down will compare while this one is compared; a third off a large heap's pop."""
    cdef Py_ssize_t first = ARITY * (ARITY * position + 1) + 1
    cdef Py_ssize_t offset
    if first + ARITY * ARITY <= length:
        for offset in range(0, ARITY * ARITY + 1, 8):  # a cache line has 64 bytes
            prefetch(&dues[first + offset])


cdef void sift_down(
    double* dues, Rest* rests, Py_ssize_t length, Py_ssize_t position, double due, Rest rest
) noexcept nogil:
    """Fill the hole at `position` with an entry, or with its earliest children until it fits."""
    cdef Py_ssize_t best
    while ARITY * position + 1 < length:
        prefetch_grandchildren(dues, position, length)
        best = earliest_child(dues, rests, ARITY * position + 1, length)
        if not comes_before(dues[best], &rests[best], due, &rest):
            break
        dues[position] = dues[best]
        rests[position] = rests[best]
        position = best
    dues[position] = due
    rests[position] = rest


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


@cython.final
cdef class DelayHeap:
    """Objects by due time. Every method is atomic under the GIL, so threads may share a heap.

    Destructors of the objects may use the heap: it is consistent whenever one can run.
    """

    __class_getitem__ = classmethod(types.GenericAlias)

    def __cinit__(self):
        self._room = self._freed = -1

    def __dealloc__(self):
        self.clear()

    def __len__(self):
        return self._length

    def __bool__(self):
        return self._length > 0

    def __sizeof__(self):
        """Return the bytes that the heap holds itself, without the objects in it."""
        cdef Py_ssize_t number, size = object.__sizeof__(self)
        size += self._capacity * sizeof(Entry) + self._directory * sizeof(Page)
        for number in range(self._numbered):
            if self._pages[number].slots is not NULL:
                size += PAGE_SLOTS * sizeof(Slot)
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
        cdef Rest rest
        cdef Py_ssize_t index
        if due != due:
            raise ValueError("due must not be NaN, which is neither before nor after anything")
        if item is None:
            raise ValueError("item must not be None: that is how pop_due says that nothing is due")
        if self._room < 0:
            self._add_page()
        if self._filled == self._capacity and not self._resize(max(LEAST_CAPACITY, 2 * self._capacity)):
            raise MemoryError
        page = &self._pages[self._room]
        index = page.fresh if page.free == 0 else page.free - 1
        slot = &page.slots[index]
        rest.sequence = order
        rest.slot = (self._room << PAGE_BITS) | index
        handle = make_handle(self._serial + 1, rest.slot)

        # From here on nothing can fail.
        Py_INCREF(item)
        slot.item = <PyObject*>item
        if page.free == 0:
            page.fresh += 1
        else:
            page.free = <Py_ssize_t>slot.serial
        page.live += 1
        if page.live == PAGE_SLOTS:
            self._unlink(self._room)
        self._serial += 1
        slot.serial = self._serial
        if sequence is None:
            self._next_sequence += 1
        self._length += 1
        self._filled += 1
        sift_up(self._dues, self._rests, self._filled - 1, due, rest)
        return handle

    def pop(self):
        """Take out the earliest object and return it.

        Raises:
            IndexError: The heap is empty.
        """
        if self._length == 0:
            raise IndexError("pop from an empty heap")
        return self._take()

    cpdef object pop_due(self, double now):
        """Take out the earliest object and return it if it is due by `now`; else return None."""
        if self._length == 0 or not self._dues[0] <= now:
            return None
        return self._take()

    cpdef object peek(self):
        """Return the earliest object without taking it out; None when the heap is empty."""
        return <object>self._slot(self._rests[0].slot).item if self._length else None

    cpdef double peek_due(self):
        """Return the earliest due time; infinity when the heap is empty."""
        return self._dues[0] if self._length else INFINITY

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
        if entry.item is NULL or entry.serial != serial:
            return False
        item = self._take_item(slot)
        self._length -= 1
        self._drop_cancelled()
        if self._filled > 2 * self._length + LEAST_CAPACITY:
            self._compact()
        self._shrink()
        del item  # only now that the heap is consistent: this may run a destructor
        return True

    def clear(self):
        """Take out everything and give the memory back. Handles given before stay dead."""
        cdef Page* pages = self._pages
        cdef Py_ssize_t number, index, numbered = self._numbered
        PyMem_Free(self._dues)
        PyMem_Free(self._rests)
        self._pages = NULL
        self._dues = NULL
        self._rests = NULL
        self._room = self._freed = -1
        self._numbered = self._directory = self._capacity = self._length = self._filled = 0
        for number in range(numbered):  # only now that the heap is empty: this may run destructors
            if pages[number].slots is not NULL:
                for index in range(pages[number].fresh):
                    Py_XDECREF(pages[number].slots[index].item)
                PyMem_Free(pages[number].slots)
        PyMem_Free(pages)

    def items(self):
        """Return the objects in the order in which they would come out."""
        return self.first(self._length)

    cpdef list first(self, Py_ssize_t limit, double after_due=-INFINITY, after_sequence=None):
        """Return up to `limit` objects in the order in which they would come out, without sorting the others.

        Args:
            limit: How many at most.
            after_due: Leave out what is due before this.
            after_sequence: Of what is due then, leave out this place in their order and those before it.
        """
        cdef list found = []  # made first: an allocation may run a destructor, an append cannot
        cdef Py_ssize_t position, chosen = 0, room
        cdef Entry* entries
        cdef Entry last
        cdef bint bounded = False, inclusive = after_sequence is None
        cdef int64_t after = INT64_MIN if inclusive else after_sequence
        if self._length == 0 or limit <= 0:
            return found
        limit = min(limit, self._length)
        room = min(2 * limit, self._length)
        entries = <Entry*>PyMem_Malloc(room * sizeof(Entry))
        if entries is NULL:
            raise MemoryError
        for position in range(self._filled):
            last.due = self._dues[position]
            last.rest = self._rests[position]
            if last.due < after_due or (last.due == after_due and not inclusive and last.rest.sequence <= after):
                continue
            if bounded and compare_entries(&last, &entries[limit - 1]) >= 0:
                continue
            if self._slot(last.rest.slot).item is NULL:
                continue
            if chosen == room:
                qsort(entries, chosen, sizeof(Entry), &compare_entries)
                chosen = limit
                bounded = True
                if compare_entries(&last, &entries[limit - 1]) >= 0:
                    continue
            entries[chosen] = last
            chosen += 1
        qsort(entries, chosen, sizeof(Entry), &compare_entries)
        try:
            for position in range(min(chosen, limit)):
                found.append(<object>self._slot(entries[position].rest.slot).item)
        finally:
            PyMem_Free(entries)
        return found

    cpdef Py_ssize_t count_due(self, double now):
        """Return how many objects are due by `now`."""
        cdef Py_ssize_t position, count = 0
        for position in range(self._filled):
            count += self._dues[position] <= now and self._slot(self._rests[position].slot).item is not NULL
        return count

    cdef inline Slot* _slot(self, Py_ssize_t slot) noexcept:
        return &self._pages[slot >> PAGE_BITS].slots[slot & SLOT_MASK]

    cdef inline object _take_item(self, Py_ssize_t slot):
        """Take the object out of a slot."""
        cdef PyObject* taken = self._slot(slot).item
        self._slot(slot).item = NULL
        item = <object>taken
        Py_DECREF(item)  # the slot's own reference
        return item

    cdef object _take(self):
        """Take out the first entry, which is a live one, and return its object."""
        cdef Py_ssize_t slot = self._rests[0].slot
        item = self._take_item(slot)
        self._free_slot(slot)
        self._length -= 1
        self._drop_first()
        self._drop_cancelled()
        if self._filled > 0:
            prefetch(self._slot(self._rests[0].slot).item)
        self._shrink()
        return item

    cdef inline void _drop_first(self) noexcept:
        cdef Py_ssize_t last = self._filled - 1
        self._filled = last
        if last > 0:
            sift_down(self._dues, self._rests, last, 0, self._dues[last], self._rests[last])

    cdef inline void _drop_cancelled(self) noexcept:
        """Drop cancelled entries until the first is a live one; their objects have left before."""
        while self._filled > self._length and self._slot(self._rests[0].slot).item is NULL:
            self._free_slot(self._rests[0].slot)
            self._drop_first()

    cdef void _compact(self) noexcept:
        """Drop every cancelled entry. As many were cancelled as are looked at, so it costs each of them a constant."""
        cdef Py_ssize_t position, kept = 0
        for position in range(self._filled):
            if self._slot(self._rests[position].slot).item is not NULL:
                self._dues[kept] = self._dues[position]
                self._rests[kept] = self._rests[position]
                kept += 1
            else:
                self._free_slot(self._rests[position].slot)
        self._filled = kept
        for position in range((kept - 2) // ARITY, -1, -1):
            sift_down(self._dues, self._rests, kept, position, self._dues[position], self._rests[position])

    cdef inline void _shrink(self) noexcept:
        while self._filled <= self._capacity // 4 and self._capacity > LEAST_CAPACITY:
            if not self._resize(self._capacity // 2):
                break

    cdef void _free_slot(self, Py_ssize_t slot) noexcept:
        """Free a slot whose object has been taken out, and its page with the last one."""
        cdef Page* page = &self._pages[slot >> PAGE_BITS]
        cdef Py_ssize_t index = slot & SLOT_MASK
        page.slots[index].serial = page.free
        page.free = index + 1
        page.live -= 1
        if page.live == PAGE_SLOTS - 1:
            self._link(slot >> PAGE_BITS)
        elif page.live == 0 and (page.next >= 0 or page.previous >= 0):
            # Another page has room. The last such page stays, so that one entry to and fro costs no allocation.
            self._drop_page(slot >> PAGE_BITS)

    cdef int _add_page(self) except -1:
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
            self._freed = self._pages[number].next
        else:
            number = self._numbered
            self._numbered += 1
        page = &self._pages[number]
        page.slots = slots
        page.live = page.fresh = page.free = 0
        self._link(number)
        return 0

    cdef void _drop_page(self, Py_ssize_t number) noexcept:
        cdef Page* page = &self._pages[number]
        self._unlink(number)
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
        cdef double* dues = <double*>PyMem_Realloc(self._dues, capacity * sizeof(double))
        if dues is NULL:
            return False
        self._dues = dues
        cdef Rest* rests = <Rest*>PyMem_Realloc(self._rests, capacity * sizeof(Rest))
        if rests is not NULL:
            self._rests = rests
        elif capacity > self._capacity:  # when shrinking, the larger one will do
            return False
        self._capacity = capacity
        return True


cdef int traverse(PyObject* heap, visitproc visit, void* argument) noexcept:
    cdef Page* pages = (<DelayHeap>heap)._pages
    cdef Py_ssize_t number, index
    cdef int stop
    for number in range((<DelayHeap>heap)._numbered):
        if pages[number].slots is not NULL:
            for index in range(pages[number].fresh):
                if pages[number].slots[index].item is not NULL:
                    stop = visit(pages[number].slots[index].item, argument)
                    if stop:
                        return stop
    return 0


cdef int clear(PyObject* heap) noexcept:
    (<DelayHeap>heap).clear()
    return 0


(<PyTypeObject*>DelayHeap).tp_traverse = traverse
(<PyTypeObject*>DelayHeap).tp_clear = clear
