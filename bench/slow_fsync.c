/* A disk whose every flush takes SLOW_FSYNC_MS milliseconds: preload it before a server.
 * What is measured is how a store shares its flushes, so nothing is flushed for real on top. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <time.h>

static int wait_a_while(void) {
    const char *text = getenv("SLOW_FSYNC_MS");
    long ms = text ? atol(text) : 0;
    struct timespec left = {ms / 1000, ms % 1000 * 1000000L};
    while (nanosleep(&left, &left) != 0) {
    }
    return 0;
}

int fsync(int fd) { (void)fd; return wait_a_while(); }
int fdatasync(int fd) { (void)fd; return wait_a_while(); }
