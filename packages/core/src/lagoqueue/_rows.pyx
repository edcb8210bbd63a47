# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
# cython: auto_pickle=False, autotestdict=False
"""From the rows of a table to jobs, for drivers that keep jobs in one: a claim's whole batch in one call."""

from datetime import UTC as _UTC

import msgspec

from cpython.datetime cimport datetime_new, import_datetime
from libc.stdint cimport int64_t

from lagoqueue._fields cimport blank, fill, offset_of
from lagoqueue.job import Job

import_datetime()

cdef object job_type = Job
cdef object utc = _UTC
cdef object decode_headers = msgspec.json.Decoder(dict[str, str]).decode

cdef Py_ssize_t id_at = offset_of(Job, "id")
cdef Py_ssize_t name_at = offset_of(Job, "name")
cdef Py_ssize_t payload_at = offset_of(Job, "payload")
cdef Py_ssize_t attempts_at = offset_of(Job, "attempts")
cdef Py_ssize_t available_at_at = offset_of(Job, "available_at")
cdef Py_ssize_t queue_at = offset_of(Job, "queue")
cdef Py_ssize_t priority_at = offset_of(Job, "priority")
cdef Py_ssize_t headers_at = offset_of(Job, "headers")
cdef Py_ssize_t receipt_at = offset_of(Job, "receipt")

# From year 1 to the end of year 9999, which is what a datetime can name, in microseconds since the epoch.
cdef int64_t EARLIEST = -62_135_596_800_000_000
cdef int64_t LATEST = 253_402_300_799_999_999


cpdef object from_micros(int64_t micros):
    """Return the instant so many microseconds after the epoch as an aware datetime in UTC.

    Raises:
        OverflowError: No datetime can name it.
    """
    cdef int64_t seconds, days, rest, era, day_of_era, year_of_era, day_of_year, month, year
    if not EARLIEST <= micros <= LATEST:
        raise OverflowError("date value out of range")
    # Counted from March of year 0, where a leap day is the last of its year and no count is negative.
    micros += 62_162_035_200 * 1_000_000
    seconds = micros // 1_000_000
    days = seconds // 86_400
    rest = seconds % 86_400
    era = days // 146_097
    day_of_era = days % 146_097
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month = (5 * day_of_year + 2) // 153
    year = 400 * era + year_of_era + (month >= 10)
    return datetime_new(
        year,
        month + 3 if month < 10 else month - 9,
        day_of_year - (153 * month + 2) // 5 + 1,
        rest // 3_600,
        rest // 60 % 60,
        rest % 60,
        micros % 1_000_000,
        utc,
    )


def reserved_jobs(rows not None, str token not None):
    """Return the jobs in rows that were claimed, with their receipts.

    Args:
        rows: Tuples of the fields of a `Job` in their order, its instant in microseconds and its headers as
            JSON, and of the row's number.
        token: The random part of the receipts.
    """
    cdef list jobs = []
    cdef tuple row
    cdef str headers
    for row in rows:
        if len(row) < 9:
            raise ValueError(f"a claimed row has at least 9 columns, not {len(row)}")
        headers = row[7]
        available_at = from_micros(row[4])
        decoded = {} if headers == "{}" else decode_headers(headers)
        receipt = f"{<int64_t>row[8]}-{token}"
        job = blank(job_type)
        fill(job, id_at, row[0])
        fill(job, name_at, row[1])
        fill(job, payload_at, row[2])
        fill(job, attempts_at, row[3])
        fill(job, available_at_at, available_at)
        fill(job, queue_at, row[5])
        fill(job, priority_at, row[6])
        fill(job, headers_at, decoded)
        fill(job, receipt_at, receipt)
        jobs.append(job)
    return jobs
