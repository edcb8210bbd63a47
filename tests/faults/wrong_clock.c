/* Preloaded into a process, this makes its wall clock wrong: off by as many nanoseconds as the file named in WRONG_CLOCK
 * holds, a number of 64 bits that may change while the process runs. The monotonic clock stays right. Who waits until an
 * instant, as its wall clock shows it, waits as long as it takes to get there. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL

static volatile const int64_t *off_by;

__attribute__((constructor)) static void find_file(void) {
    const char *name = getenv("WRONG_CLOCK");
    int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) abort();
    void *page = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (page == MAP_FAILED) abort();
    off_by = page;
}

static struct timespec shifted(struct timespec at, int64_t by) {
    int64_t nanoseconds = at.tv_nsec + by % SECOND;
    at.tv_sec += by / SECOND + (nanoseconds >= SECOND) - (nanoseconds < 0);
    at.tv_nsec = (nanoseconds + SECOND) % SECOND;
    return at;
}

/* --- Reading it ------------------------------------------------------------------------------- */

int clock_gettime(clockid_t clock, struct timespec *at) {
    int failed = (int)syscall(SYS_clock_gettime, clock, at);
    if (!failed && off_by && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) *at = shifted(*at, *off_by);
    return failed;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    (void)zone; /* nobody has used it for decades */
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}

/* --- Waiting for it ---------------------------------------------------------------------------- */

/* An instant on the real clock. The monotonic one, by which some of them wait, counts from the machine's start: it will
 * not reach a billion seconds. */
static struct timespec real(const struct timespec *until) {
    return until->tv_sec > 1000000000 && off_by ? shifted(*until, -*off_by) : *until;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int pthread_cond_timedwait(pthread_cond_t *restrict change, pthread_mutex_t *restrict mutex, const struct timespec *restrict until) {
    struct timespec at = real(until);
    return NEXT(pthread_cond_timedwait)(change, mutex, &at);
}

int pthread_mutex_timedlock(pthread_mutex_t *restrict mutex, const struct timespec *restrict until) {
    struct timespec at = real(until);
    return NEXT(pthread_mutex_timedlock)(mutex, &at);
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until) {
    struct timespec at = real(until);
    return NEXT(sem_timedwait)(semaphore, &at);
}
