"""Fields of msgspec Structs, at their places in memory: what the interpreter does for slots, without its lookups."""

from cpython.ref cimport Py_INCREF, PyObject

cdef extern from "Python.h":
    ctypedef struct PyMemberDef:
        Py_ssize_t offset

    ctypedef struct PyMemberDescrObject:
        PyMemberDef* d_member

    ctypedef struct PyTypeObject:
        object (*tp_alloc)(PyTypeObject* self, Py_ssize_t items)


cdef inline Py_ssize_t offset_of(object struct, str field) except -1:
    """Return where the instances of a Struct keep a field."""
    import types

    import msgspec

    descriptor = struct.__dict__[field]
    if type(descriptor) is not types.MemberDescriptorType:
        raise ImportError(f"msgspec {msgspec.__version__} keeps a Struct's fields where lagoqueue does not know")
    return (<PyMemberDescrObject*><PyObject*>descriptor).d_member.offset


cdef inline PyObject** place(object struct, Py_ssize_t offset) noexcept:
    """Return the place of a field; what lies there is owned by the Struct, and NULL when it was never set."""
    return <PyObject**>(<char*><PyObject*>struct + offset)


cdef inline object field(object struct, Py_ssize_t offset):
    cdef PyObject* value = place(struct, offset)[0]
    if value is NULL:
        raise AttributeError(f"a {type(struct).__name__} lacks a field")
    return <object>value


cdef inline object blank(object struct):
    """Return a Struct without fields, as its type allocates it. Of a type with `gc=False` that runs no other code."""
    return (<PyTypeObject*>struct).tp_alloc(<PyTypeObject*>struct, 0)


cdef inline void fill(object struct, Py_ssize_t offset, object value) noexcept:
    """Set a field of a Struct that nobody has seen yet."""
    Py_INCREF(value)
    place(struct, offset)[0] = <PyObject*>value
