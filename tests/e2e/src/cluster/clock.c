/* The time of day, wrong by the seconds in the file that TMS_TEST_CLOCK names. For tests: see clock.rs. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

typedef int (*clock_function)(clockid_t, struct timespec *);

static volatile const int64_t *shift;

/* Children that are forked see the same file. */
__attribute__((constructor)) static void open_file(void)
{
    const char *path = getenv("TMS_TEST_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *place;

    if (file < 0)
        return;
    place = mmap(NULL, sizeof(*shift), PROT_READ, MAP_SHARED, file, 0);
    if (place != MAP_FAILED)
        shift = place;
    close(file);
}

int clock_gettime(clockid_t which, struct timespec *now)
{
    static clock_function real;
    int result;

    if (!real)
        real = (clock_function) dlsym(RTLD_NEXT, "clock_gettime");
    result = real(which, now);
    if (result == 0 && which == CLOCK_REALTIME && shift)
        now->tv_sec += *shift;
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise;
    int result = clock_gettime(CLOCK_REALTIME, &precise);

    (void) zone;
    if (result == 0 && now)
    {
        now->tv_sec = precise.tv_sec;
        now->tv_usec = precise.tv_nsec / 1000;
    }
    return result;
}

time_t time(time_t *now)
{
    struct timespec precise;

    if (clock_gettime(CLOCK_REALTIME, &precise) != 0)
        return (time_t) -1;
    if (now)
        *now = precise.tv_sec;
    return precise.tv_sec;
}
