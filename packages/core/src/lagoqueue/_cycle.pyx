# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
# cython: auto_pickle=False, autotestdict=False
"""A slot's way through one delivery after another: decode, run, decide, hand over to be settled.

Only what nearly every job needs is here, where each step would cost more in Python than what it
does. `Execution` has the rest, and the settings.
"""

import time

cimport cython
from cpython.contextvars cimport PyContext_CopyCurrent, PyContextVar_Reset, PyContextVar_Set
from cpython.object cimport Py_NE, PyObject_RichCompareBool

from lagoqueue import current
from lagoqueue._codec cimport Delivery, HandlerTable
from lagoqueue.errors import PayloadDecodeError, UnknownJob
from lagoqueue.queue import Settlement

cdef extern from "Python.h":
    object PyObject_CallNoArgs(object function)

cdef object clock = time.perf_counter
cdef object running = current.running
cdef object new_settlement = Settlement


@cython.final
cdef class Cycle:
    """Takes deliveries from a buffer and runs them, one at a time.

    Args:
        task: The slot.
        buffer: A deque of deliveries.
        refill: The length of the buffer at which more is to be fetched.
        turn: Seconds after which the loop is to get its turn, even if no handler suspends.
        execution: Has the settings, and the steps of jobs that are not as most are.
        exchange: Gets the deliveries that have ended.
        reporter: Told when a handler is about to run.
        thread: Where sync handlers run.

    Attributes:
        strayed: A handler left the context changed, so this slot is not to run another.
    """

    cdef object _task
    cdef object _buffer
    cdef Py_ssize_t _refill
    cdef double _turn
    cdef object _execution
    cdef HandlerTable _table
    cdef object _exchange
    cdef object _reporter
    cdef list _observers
    cdef object _thread
    cdef object _token
    cdef object _context
    cdef double _now
    cdef readonly bint strayed

    def __cinit__(self, task, buffer, Py_ssize_t refill, double turn, execution, exchange, reporter, thread):
        self._task = task
        self._buffer = buffer
        self._refill = refill
        self._turn = turn
        self._execution = execution
        self._table = execution.table
        self._exchange = exchange
        self._reporter = reporter
        self._observers = reporter.observers
        self._thread = thread

    async def run(self):
        """Run what is in the buffer, until that is empty, or it is time for the loop to have its turn."""
        cdef Delivery delivery
        cdef double turn_ends
        self._now = PyObject_CallNoArgs(clock)
        turn_ends = self._now + self._turn
        while self._buffer:
            delivery = self._buffer.popleft()
            try:
                self.decode(delivery)
                if delivery.error is None:
                    if self._observers:
                        self._reporter.started(delivery.job)
                    self.enter(delivery)
                    try:
                        if delivery.handler.is_plain:
                            await delivery.handler.function(delivery.payload)
                        else:
                            await self._execution.call(delivery, self._thread)
                    except GeneratorExit:
                        raise
                    except BaseException as error:
                        delivery.error = self._execution.reason(delivery, error)
                    finally:
                        self.leave(delivery)
                    if self._task.cancelling():
                        await self._execution.uncancel(self._task)
                self.decide(delivery)
            except BaseException:  # the slot itself is being closed, or fails: leave the job to its visibility timeout
                self._exchange.let_go([delivery])
                raise
            self._exchange.end(delivery)
            if self.strayed or self._now > turn_ends or len(self._buffer) == self._refill:
                return

    cdef int decode(self, Delivery delivery) except -1:
        """Find the handler and decode the payload, or note why there is nothing to run."""
        try:
            self._table.open(delivery)
        except (UnknownJob, PayloadDecodeError) as error:
            delivery.error = error
            return 0
        if delivery.job.attempts > 1:
            self._execution.check_attempts(delivery)
        return 0

    cdef int enter(self, Delivery delivery) except -1:
        """Make a delivery the current one, and start its clock."""
        delivery.task = self._task
        self._token = PyContextVar_Set(running, delivery)
        self._context = PyContext_CopyCurrent()
        delivery.started = PyObject_CallNoArgs(clock)
        return 0

    cdef int leave(self, Delivery delivery) except -1:
        """Stop the clock, and see whether the handler left the context as it was."""
        self._now = PyObject_CallNoArgs(clock)
        delivery.seconds = self._now - delivery.started
        delivery.task = None
        # Contexts are compared by what they hold, but when nothing was set since they are found equal at once.
        try:
            self.strayed = PyObject_RichCompareBool(self._context, PyContext_CopyCurrent(), Py_NE)
        except Exception:  # of a value that does not compare, as an array does not; it is another than before
            self.strayed = True
        self._context = None
        PyContextVar_Reset(running, self._token)
        self._token = None
        return 0

    cdef int decide(self, Delivery delivery) except -1:
        """Choose how the reservation ends, unless the handler has ended it."""
        if delivery.completed:
            return 0
        if delivery.error is None:
            delivery.settlement = new_settlement(delivery.job, "ack", 0.0, None, delivery.seconds)
        else:
            delivery.settlement = self._execution.after_error(delivery, delivery.error)
        return 0


def hold(jobs, set held not None):
    """Return the records of the deliveries of jobs that were claimed, and put them among those that are held."""
    cdef list deliveries = []
    cdef Delivery delivery
    for job in jobs:
        delivery = Delivery.__new__(Delivery)
        delivery.job = job
        held.add(delivery)
        deliveries.append(delivery)
    return deliveries


def settlements(list batch not None):
    """Return how each delivery of a batch is to be settled."""
    cdef list each = []
    cdef Delivery delivery
    for delivery in batch:
        each.append(delivery.settlement)
    return each
