cdef class Delivery:
    cdef public object job
    cdef public object handler
    cdef public object payload
    cdef public object error
    cdef public object settlement
    cdef public object task
    cdef public double started
    cdef public double seconds
    cdef public bint lost
    cdef public bint completing
    cdef public bint completed


cdef class HandlerTable:
    cdef dict _routes
    cpdef open(self, Delivery delivery)
