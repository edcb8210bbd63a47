# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
# cython: auto_pickle=False, autotestdict=False
"""The two ends of a job's way, each in one call: payload to `Job`, and `Job` to handler and payload.

msgspec does the JSON; what is fused here is everything around it: the name of a type, the id, the
`Job` itself, and the choice of a decoder by name.
"""

import os
import types
import weakref

cimport cython
from cpython.ref cimport PyObject
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, strstr

import msgspec

from lagoqueue._fields cimport blank, fill, offset_of, place
from lagoqueue.errors import (
    DuplicateHandler,
    HandlerError,
    InvalidJob,
    PayloadDecodeError,
    PayloadEncodeError,
    UnknownJob,
)
from lagoqueue.job import Job, job_name

cdef extern from "Python.h":
    object PyObject_CallOneArg(object function, object argument)
    object PyUnicode_New(Py_ssize_t size, Py_UCS4 highest)
    void* PyUnicode_DATA(object text)

cdef extern from "<time.h>" nogil:
    ctypedef long time_t
    cdef struct timespec:
        time_t tv_sec
        long tv_nsec
    int timespec_get(timespec* now, int base)
    int TIME_UTC

cdef object job_type = Job
cdef object to_json = msgspec.json.Encoder().encode

cdef Py_ssize_t id_at = offset_of(Job, "id")
cdef Py_ssize_t name_at = offset_of(Job, "name")
cdef Py_ssize_t payload_at = offset_of(Job, "payload")
cdef Py_ssize_t attempts_at = offset_of(Job, "attempts")
cdef Py_ssize_t available_at_at = offset_of(Job, "available_at")
cdef Py_ssize_t queue_at = offset_of(Job, "queue")
cdef Py_ssize_t priority_at = offset_of(Job, "priority")
cdef Py_ssize_t headers_at = offset_of(Job, "headers")
cdef Py_ssize_t receipt_at = offset_of(Job, "receipt")
cdef object no_attempts = 0


# --- Ids ------------------------------------------------------------------------------------------

cdef enum:
    COUNTER_BITS = 26
    TAIL_BYTES = 6
    MOST_BYTES = TAIL_BYTES + 4  # of randomness that one id takes
    BLOCK_BYTES = 4096

cdef bytes random_block = b""
cdef Py_ssize_t random_left = 0
cdef uint64_t last_millisecond = 0
cdef uint32_t counter = 0


def new_id():
    """Return a new UUIDv7 (RFC 9562) as text; each sorts after those made before in this process.

    Behind the millisecond stands a counter of 26 bits (section 6.2, method 1): `rand_a` and the top
    of `rand_b`. It starts at random below its middle in each new millisecond; 48 random bits follow.
    While the clock stands, or has been set back, the last millisecond is kept and the counter goes on.
    """
    return make_id(unix_millisecond())


cdef inline uint64_t unix_millisecond() noexcept:
    cdef timespec now
    timespec_get(&now, TIME_UTC)
    return <uint64_t>now.tv_sec * 1000 + <uint64_t>(now.tv_nsec // 1_000_000)


def _new_id_at(uint64_t millisecond):
    """Return what `new_id` returns when the clock shows this Unix time."""
    return make_id(millisecond)


cdef object make_id(uint64_t millisecond):
    global random_block, random_left, last_millisecond, counter
    cdef const unsigned char* random
    cdef unsigned char uuid[16]
    if random_left < MOST_BYTES:
        block = os.urandom(BLOCK_BYTES)  # may let other threads run, so no state is read before it
        random_block = block
        random_left = BLOCK_BYTES
    random = <const unsigned char*>random_block + (BLOCK_BYTES - random_left)
    if millisecond > last_millisecond:
        last_millisecond = millisecond
        counter = random_counter(random + TAIL_BYTES)
        random_left -= MOST_BYTES
    else:
        counter += 1
        random_left -= TAIL_BYTES
        if counter >> COUNTER_BITS:  # 33 million ids in a millisecond: run ahead of the clock
            last_millisecond += 1
            counter = random_counter(random)
    uuid[0] = last_millisecond >> 40 & 255
    uuid[1] = last_millisecond >> 32 & 255
    uuid[2] = last_millisecond >> 24 & 255
    uuid[3] = last_millisecond >> 16 & 255
    uuid[4] = last_millisecond >> 8 & 255
    uuid[5] = last_millisecond & 255
    uuid[6] = 0x70 | counter >> 22
    uuid[7] = counter >> 14 & 255
    uuid[8] = 0x80 | counter >> 8 & 63
    uuid[9] = counter & 255
    memcpy(uuid + 10, random, TAIL_BYTES)
    return uuid_text(uuid)


cdef inline uint32_t random_counter(const unsigned char* random) noexcept:
    cdef uint32_t value = random[0] | random[1] << 8 | random[2] << 16 | <uint32_t>random[3] << 24
    return value & ((1 << (COUNTER_BITS - 1)) - 1)


cdef bytes every_byte = bytes(range(256)).hex().encode()
cdef const char* hex_pairs = every_byte  # of each byte its two digits


cdef inline void write_hex(char* text, const unsigned char* data, int size) noexcept:
    cdef int index
    for index in range(size):
        memcpy(text + 2 * index, hex_pairs + 2 * data[index], 2)


cdef inline object uuid_text(const unsigned char* uuid):
    written = PyUnicode_New(36, 127)
    cdef char* text = <char*>PyUnicode_DATA(written)
    write_hex(text, uuid, 4)
    write_hex(text + 9, uuid + 4, 2)
    write_hex(text + 14, uuid + 6, 2)
    write_hex(text + 19, uuid + 8, 2)
    write_hex(text + 24, uuid + 10, 6)
    text[8] = text[13] = text[18] = text[23] = c"-"
    return written


def _forget_random():
    """Drop the random bytes drawn ahead, which a forked child would otherwise share with its parent."""
    global random_left
    random_left = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_random)


# --- From payload to Job --------------------------------------------------------------------------

@cython.final
cdef class _Kind:
    """What is known of a payload type; the type itself is only watched, not kept alive."""

    cdef object name
    cdef bint own_json  # a pydantic model, which writes JSON itself
    cdef object watch


cdef dict kinds = {}  # by the address of the type; entries leave with their type
cdef PyObject* last_type = NULL  # of the last job; most come in rows of one type
cdef _Kind last_kind = None


cdef inline _Kind kind_of(object payload_type):
    return last_kind if <PyObject*>payload_type is last_type else find_kind(payload_type)


cdef _Kind find_kind(object payload_type):
    global last_type, last_kind
    cdef object key = <size_t><PyObject*>payload_type
    cdef _Kind kind = kinds.get(key)
    if kind is None:
        kind = _Kind.__new__(_Kind)
        kind.name = job_name(payload_type)
        kind.own_json = callable(getattr(payload_type, "model_dump_json", None))
        kind.watch = weakref.ref(payload_type, lambda _, key=key: forget_kind(key))
        kinds[key] = kind
    last_type = NULL  # until the two belong together
    last_kind = kind
    last_type = <PyObject*>payload_type
    return kind


cdef object forget_kind(object key):
    global last_type
    if key == <size_t>last_type:
        last_type = NULL
    kinds.pop(key, None)


def make_job(payload, payload_type=None, queue="default", priority=0, headers=None, id=None, available_at=None):
    """Return the new `Job` that carries a payload.

    A float that is NaN or infinite is refused, as JSON has no form for it. A pydantic model is written
    by its own `model_dump_json`, under its own settings.

    Args:
        payload: A dataclass, msgspec.Struct, attrs class, NamedTuple, TypedDict or pydantic model.
        payload_type: The type to name the job by, where the value does not carry it: a TypedDict.
        queue: Label of the queue.
        priority: A larger one runs sooner.
        headers: A mapping of text to text, copied.
        id: The job's id; a new UUIDv7 when None.
        available_at: The earliest delivery, aware UTC, or None.

    Raises:
        JobNameError: The type has no stable name.
        InvalidJob: `headers` is not a mapping.
        PayloadEncodeError: The payload does not encode, or is not a `payload_type`.
    """
    cdef _Kind kind
    cdef bytes data
    if payload_type is None:
        kind = kind_of(type(payload))
    else:
        kind = kind_of(payload_type)
        check_instance(payload, payload_type)
    try:
        if kind.own_json:
            data = (<str?>payload.model_dump_json()).encode()
        else:
            data = to_json(payload)
            # JSON holds no NUL, and Python's `in` makes an exception first, on which it spends more than on the search.
            if strstr(data, b"null") is not NULL:
                check_finite(msgspec.to_builtins(payload))
    except Exception as error:
        raise encode_error(payload, kind.name, error) from error
    if headers is None:
        headers = {}
    else:
        headers = copied(headers)
    job = blank(job_type)
    fill(job, id_at, make_id(unix_millisecond()) if id is None else id)
    fill(job, name_at, kind.name)
    fill(job, payload_at, data)
    fill(job, attempts_at, no_attempts)
    fill(job, available_at_at, available_at)
    fill(job, queue_at, queue)
    fill(job, priority_at, priority)
    fill(job, headers_at, headers)
    fill(job, receipt_at, None)
    return job


cdef int check_instance(object payload, object payload_type) except -1:
    # A TypedDict refuses isinstance, and its values are plain dicts.
    if not isinstance(payload, dict if issubclass(payload_type, dict) else payload_type):
        raise PayloadEncodeError(
            f"the payload is a {type(payload).__qualname__}, which is no {payload_type.__qualname__}: "
            "leave out payload_type, which only a TypedDict needs"
        )
    return 0


cdef int check_finite(object value) except -1:
    """Refuse the floats that msgspec writes as null. `value` consists of builtins."""
    cdef double number
    if type(value) is float:
        number = value
        if number - number != 0:
            raise ValueError(f"JSON has no form for the float {value!r}; use None or text for it")
    elif type(value) is dict:
        for item in (<dict>value).values():
            check_finite(item)
    elif type(value) is list or type(value) is tuple:
        for item in value:
            check_finite(item)
    return 0


cdef object copied(object headers):
    try:
        return dict(headers)
    except (TypeError, ValueError):
        raise InvalidJob(f"headers must map text to text, not be {type(headers).__name__} {headers!r}") from None


cdef object encode_error(object payload, str name, object error):
    return PayloadEncodeError(
        f"the payload of job {name!r}, a {type(payload).__qualname__}, does not encode as JSON: {described(error)}"
    )


cdef str described(object error):
    """Name an exception and its message, whatever its own `__str__` does."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__


# --- From Job to handler and payload --------------------------------------------------------------

@cython.final
cdef class _Route:
    cdef object entry
    cdef object decode
    cdef object payload_type


@cython.final
@cython.freelist(64)
cdef class Delivery:
    """The record of one delivery, which a worker fills in as it goes."""

    __class_getitem__ = classmethod(types.GenericAlias)

    def __init__(self, job, error=None):
        self.job = job
        self.error = error


@cython.final
cdef class HandlerTable:
    """Entries by job name, each with the decoder of its payload type."""

    __class_getitem__ = classmethod(types.GenericAlias)

    def __cinit__(self):
        self._routes = {}

    def add(self, str name not None, entry, payload_type):
        """Register an entry (whatever the caller runs) under a job name.

        Raises:
            DuplicateHandler: The name is taken.
            HandlerError: JSON does not decode into the type.
        """
        cdef _Route route
        taken = self._routes.get(name)
        if taken is not None:
            raise DuplicateHandler(
                f"job {name!r} has a handler already, for {shown((<_Route>taken).payload_type)}; "
                f"register {shown(payload_type)} under another name (set __job_name__ in it) or on another worker"
            )
        route = _Route.__new__(_Route)
        route.entry = entry
        route.payload_type = payload_type
        route.decode = decoder_of(payload_type)
        self._routes[name] = route

    cpdef open(self, Delivery delivery):
        """Give a delivery its handler and decoded payload, and return it. Fields that the type lacks are ignored.

        Raises:
            UnknownJob: No entry has the job's name.
            PayloadDecodeError: The payload is not what the type takes.
        """
        cdef _Route route
        cdef PyObject* name
        cdef PyObject* payload
        job = delivery.job
        if type(job) is not job_type:
            raise TypeError(f"open takes the delivery of a Job, not of a {type(job).__name__}")
        name = place(job, name_at)[0]
        payload = place(job, payload_at)[0]
        if name is NULL or payload is NULL:
            raise TypeError("open takes a Job with a name and a payload")
        found = self._routes.get(<object>name)
        if found is None:
            raise unknown_job(job, self._routes)
        route = <_Route>found
        try:
            delivery.payload = PyObject_CallOneArg(route.decode, <object>payload)
        except Exception as error:
            raise decode_error(job, route.payload_type, error) from error
        delivery.handler = route.entry
        return delivery

    def names(self):
        """Return the registered names, in the order in which they were added."""
        return list(self._routes)

    def __contains__(self, name):
        return name in self._routes

    def __len__(self):
        return len(self._routes)


cdef object decoder_of(object payload_type):
    own = getattr(payload_type, "model_validate_json", None)  # a pydantic model
    if callable(own):
        return own
    try:
        decode = msgspec.json.Decoder(payload_type).decode
        strange = _undecodable(msgspec.inspect.type_info(payload_type), set())
    except Exception as error:
        raise HandlerError(
            f"JSON does not decode into {shown(payload_type)}, so no handler can take it: {described(error)}"
        ) from error
    if strange is not None:
        raise HandlerError(
            f"JSON does not decode into {shown(payload_type)}, so no handler can take it: "
            f"{shown(strange)} is none of the types that msgspec knows"
        )
    return decode


def _undecodable(node, seen):
    """Return a class within a type that only a hook could decode, or None.

    msgspec builds a decoder for such a class and fails on its first value, which is a job too late.
    """
    if isinstance(node, msgspec.inspect.CustomType):
        return node.cls
    if isinstance(node, (tuple, list)):
        parts = node
    elif isinstance(node, (msgspec.inspect.Type, msgspec.inspect.Field)):
        if id(node) in seen:
            return None
        seen.add(id(node))
        parts = [getattr(node, field) for field in node.__struct_fields__ if field not in ("cls", "default")]
    else:
        return None
    for part in parts:
        found = _undecodable(part, seen)
        if found is not None:
            return found
    return None


cdef str shown(object payload_type):
    if isinstance(payload_type, type):
        return f"{payload_type.__module__}.{payload_type.__qualname__}"
    return repr(payload_type)


cdef object unknown_job(object job, dict routes):
    known = ", ".join(sorted(routes)[:20]) or "none"
    return UnknownJob(f"no handler is registered for job {job.name!r} (id {job.id!r}); there are handlers for: {known}")


cdef object decode_error(object job, object payload_type, object error):
    return PayloadDecodeError(
        f"the payload of job {job.id!r} does not decode into {shown(payload_type)}, "
        f"which the handler of {job.name!r} takes: {described(error)}"
    )
