/* What `reference_block.c` keeps of a slice: its edges, its counts, how long its replies took, and CPU time.
 *
 * Nothing that loads a server may be added here.
 */
#ifndef REFERENCE_SLICE_H
#define REFERENCE_SLICE_H
#include "reference.h"
#include <dirent.h>

/* In the order of `_FAILURES` in reference_block.py. */
enum { RESET, CLOSED_EARLY, SHORT_REPLY, TIMEOUT, STALLED, MISMATCH, UNSENT, FAILURES };
enum { ROOM_MIN = 1 << 16, SCHEDULER_CLOCK = 2 /* of a process: CPUCLOCK_SCHED, all its threads */ };
static const int64_t UNKNOWN = -1;

/* What is written of a slice. `failed` counts requests, and `idle_closed` connections that the server closed when it
 * owed nothing. A CPU time that cannot be read is UNKNOWN; the idle one is what was used since the server's last slice.
 * `spun_ns` is the time in which an open loop polled and found nothing. */
struct slice {
    int64_t server, begin_ns, end_ns, replies, failed, idle_closed, server_cpu_ns, idle_cpu_ns, client_cpu_ns, spun_ns;
    int64_t failures[FAILURES];
};

/* The durations of all replies; `service` is NULL in a closed loop, where it would be the same. */
struct journal {
    int64_t *response, *service;
    size_t count, capacity;
};

/* A process, and its CPU time when it was first seen and when that was last read. */
struct process {
    pid_t pid;
    int64_t before_ns, cpu_ns;
};

/* The processes of a server that were ever seen; the first is the one that was launched. None, if it is not known. */
struct processes {
    int count;
    struct process *each;
};

static int64_t *resized(int64_t *durations, size_t count, size_t capacity) {
    durations = realloc(durations, capacity * sizeof *durations);
    if (!durations) die("realloc");
    memset(durations + count, 0, (capacity - count) * sizeof *durations); /* no slice is the first to touch a page */
    return durations;
}

/* Have room for so many more durations. */
static void make_room(struct journal *j, size_t room) {
    if (j->capacity - j->count >= room) return;
    j->capacity = j->count + 2 * room;
    j->response = resized(j->response, j->count, j->capacity);
    if (j->service) j->service = resized(j->service, j->count, j->capacity);
}

static void record(struct journal *j, const struct connection *c, int64_t now) {
    if (j->count == j->capacity) make_room(j, ROOM_MIN);
    j->response[j->count] = now - c->due_ns;
    if (j->service) j->service[j->count] = now - c->sent_ns;
    j->count++;
}

/* Return the CPU time of a process, or UNKNOWN if it has ended. */
static int64_t used_ns(pid_t pid) {
    struct timespec t;
    if (clock_gettime((clockid_t)(~(unsigned)pid << 3 | SCHEDULER_CLOCK), &t)) return UNKNOWN;
    return t.tv_sec * SECOND_NS + t.tv_nsec;
}

static void note_process(struct processes *p, pid_t pid) {
    for (int i = 0; i < p->count; i++)
        if (p->each[i].pid == pid) return;
    int64_t used = used_ns(pid);
    if (used == UNKNOWN) return;
    p->each = realloc(p->each, (size_t)(p->count + 1) * sizeof *p->each);
    if (!p->each) die("realloc");
    p->each[p->count++] = (struct process){.pid = pid, .before_ns = used, .cpu_ns = used};
}

/* Take note of what any thread of a process has started. */
static void note_children(struct processes *p, pid_t pid) {
    char path[sizeof "/proc//task//children" + 32 + NAME_MAX];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    if (!tasks) return; /* it has ended */
    for (struct dirent *task; (task = readdir(tasks));) {
        snprintf(path, sizeof path, "/proc/%d/task/%s/children", pid, task->d_name);
        FILE *children = fopen(path, "re");
        if (!children) continue; /* this thread has ended */
        for (pid_t child; fscanf(children, "%d", &child) == 1;) note_process(p, child);
        fclose(children);
    }
    closedir(tasks);
}

/* Take note of all processes that were not there before, down the tree: what is found is looked at in its turn. */
static void refresh(struct processes *p) {
    for (int i = 0; i < p->count; i++) note_children(p, p->each[i].pid);
}

/* Return the CPU time of a server's processes, of each since it was first seen. One that has ended counts with what was
 * last read of it; if the first has, the time is UNKNOWN. */
static int64_t read_cpu_ns(struct processes *p) {
    int64_t total_ns = 0;
    for (int i = 0; i < p->count; i++) {
        int64_t used = used_ns(p->each[i].pid);
        if (used != UNKNOWN) p->each[i].cpu_ns = used;
        else if (i == 0) return UNKNOWN;
        total_ns += p->each[i].cpu_ns - p->each[i].before_ns;
    }
    return p->count ? total_ns : UNKNOWN;
}

static int64_t between_ns(int64_t before_ns, int64_t after_ns) {
    return before_ns == UNKNOWN || after_ns == UNKNOWN ? UNKNOWN : after_ns - before_ns;
}

#endif
