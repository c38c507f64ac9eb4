/* The reference generator: what the loopback of this machine allows when the generator itself costs next to nothing.
 *
 * Over epoll, one thread, one request in flight per connection, every reply compared byte for byte. A closed loop, or
 * an open one at a constant rate: a due request takes the connection that has been free for longest, or waits for one.
 * `reference.py` is the only one to start it. No feature may be added here that a comparison with it does not need.
 *
 *     reference ADDRESS PORT CONNECTIONS BYTES WARMUP_S DURATION_S RATE_PER_S
 *
 * with a rate of 0 for a closed loop. It prints `CONNECTED` when its connections stand, waits for a line `GO <ns of
 * CLOCK_MONOTONIC>`, and prints one line of JSON in the end, or when it is sent SIGINT: window_start_ns, window_end_ns,
 * cpu_s, spin_s, in_flight, the distributions of an open loop's service and lateness, and the slices of the window:
 * [begin_ns, end_ns, mismatches, response]. A distribution is [total_ns, min_ns, max_ns, [bucket, ...], [count, ...]],
 * in HDR buckets of 3 digits.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 1024, OPEN_LOOP_EVENTS = 16, SLICES_MAX = 100, BUCKETS = 33 << 10 };
static const int64_t SLICE_NS = 100000000, HANG_UP_NS = 1000000000, HANG_UP_EACH_NS = 200000,
                     HIGHEST_NS = INT64_C(3600000000000);
static const double NEVER_NS = 4e18;

/* A connection that `is_free` has no request under way; a closed loop has none of these. */
struct connection {
    int fd, is_free, wants_write;
    uint64_t sequence;
    int64_t due_ns, sent_ns;
    size_t sent, received;
    char *message, *reply;
};

struct distribution {
    int64_t total_ns, min_ns, max_ns;
    uint32_t *counts;
};

struct slice {
    int64_t begin_ns, end_ns;
    uint64_t mismatches;
    struct distribution response;
};

/* What the window gave so far; `last` is the slice being filled, NULL before the window. */
struct outcome {
    int64_t window_ns, end_ns, slice_ns, spun_ns, cpu_ns;
    struct distribution service, lateness;
    struct slice slices[SLICES_MAX + 1], *last;
};

/* An open loop's due times, and its free connections in the order in which they came free. `interval_ns` is 0 in a
 * closed loop, where nothing of this is used. */
struct schedule {
    double interval_ns;
    int64_t start_ns, due_ns;
    uint64_t dispatched;
    struct connection **ring;
    int capacity, first, free;
};

static volatile sig_atomic_t interrupted;

static void interrupt(int signal) {
    (void)signal;
    interrupted = 1;
}

static int64_t now_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

/* Send what is left of a message as far as that goes without waiting; return 0 if the server is gone. */
static int send_rest(struct connection *c, size_t size, int epoll) {
    while (c->sent < size) {
        ssize_t n = send(c->fd, c->message + c->sent, size - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) return 0;
        if (n < 0) break;
        c->sent += (size_t)n;
    }
    /* Ask for writability only while something is left to write: the common case makes no system call for it. */
    int wants_write = c->sent < size;
    if (wants_write != c->wants_write) {
        struct epoll_event e = {.events = EPOLLIN | (wants_write ? EPOLLOUT : 0), .data.ptr = c};
        if (epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &e)) die("epoll_ctl");
        c->wants_write = wants_write;
    }
    return 1;
}

/* Send the next request of a connection. One that is not due by a schedule is due when it is sent. */
static void begin(struct connection *c, size_t size, int epoll) {
    c->sequence++;
    memcpy(c->message, &c->sequence, size < 8 ? size : 8);
    c->sent = c->received = 0;
    c->due_ns = c->sent_ns = now_ns(CLOCK_MONOTONIC);
    if (!send_rest(c, size, epoll)) die("send");
}

/* Send what is due by then as long as connections are free; return the time. */
static int64_t dispatch(struct schedule *s, int64_t now, size_t size, int epoll) {
    while (s->free && s->due_ns <= now) {
        struct connection *c = s->ring[s->first];
        s->first = (s->first + 1) % s->capacity, s->free--, c->is_free = 0;
        int64_t due = s->due_ns;
        double after_ns = (double)++s->dispatched * s->interval_ns;
        s->due_ns = s->start_ns + (int64_t)(after_ns < NEVER_NS ? after_ns : NEVER_NS);
        begin(c, size, epoll);
        c->due_ns = due, now = c->sent_ns;
    }
    return now;
}

static void come_free(struct schedule *s, struct connection *c) {
    s->ring[(s->first + s->free++) % s->capacity] = c, c->is_free = 1;
}

static int connect_to(const char *address, int port) {
    int v6 = strchr(address, ':') != NULL, one = 1;
    struct sockaddr_storage storage = {0};
    socklen_t length;
    if (v6) {
        struct sockaddr_in6 *a = (struct sockaddr_in6 *)&storage;
        a->sin6_family = AF_INET6, a->sin6_port = htons((uint16_t)port), length = sizeof *a;
        if (inet_pton(AF_INET6, address, &a->sin6_addr) != 1) exit(2);
    } else {
        struct sockaddr_in *a = (struct sockaddr_in *)&storage;
        a->sin_family = AF_INET, a->sin_port = htons((uint16_t)port), length = sizeof *a;
        if (inet_pton(AF_INET, address, &a->sin_addr) != 1) exit(2);
    }
    int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) die("socket");
    if (connect(fd, (struct sockaddr *)&storage, length) && !interrupted) die("connect");
    if (interrupted) exit(0); /* whoever started it knows why there is no result */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static int bucket_of(int64_t ns) {
    if (ns > HIGHEST_NS) ns = HIGHEST_NS;
    if (ns < 1024) return (int)ns;
    int octave = 63 - __builtin_clzll((unsigned long long)ns);
    return (octave - 9) * 1024 + (int)((ns >> (octave - 10)) & 1023);
}

static struct distribution empty(void) {
    return (struct distribution){.min_ns = INT64_MAX, .counts = calloc(BUCKETS, sizeof(uint32_t))};
}

static void record(struct distribution *d, int64_t ns) {
    d->counts[bucket_of(ns)]++;
    d->total_ns += ns;
    if (ns < d->min_ns) d->min_ns = ns;
    if (ns > d->max_ns) d->max_ns = ns;
}

static void print_distribution(const struct distribution *d) {
    printf("[%" PRId64 ", %" PRId64 ", %" PRId64, d->total_ns, d->min_ns, d->max_ns);
    for (int of_counts = 0; of_counts < 2; of_counts++) {
        const char *separator = ", [";
        int any = 0;
        for (int i = 0; i < BUCKETS; i++) {
            if (!d->counts[i]) continue;
            printf("%s%u", separator, of_counts ? d->counts[i] : (unsigned)i);
            separator = ", ", any = 1;
        }
        printf(any ? "]" : ", []");
    }
    printf("]");
}

static void begin_window(struct outcome *o, int64_t now) {
    o->last = o->slices, o->last->begin_ns = o->window_ns = now;
    o->cpu_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID), o->spun_ns = 0;
}

/* Take account of a reply. The window of a closed loop begins with the first after its planned time. */
static void note(struct outcome *o, const struct connection *c, int64_t now, int is_wrong, int is_open) {
    if (!o->last && now >= o->window_ns) begin_window(o, now);
    if (!o->last) return;
    while (now >= o->last->begin_ns + o->slice_ns && o->last < o->slices + SLICES_MAX) {
        o->last->end_ns = o->last->begin_ns + o->slice_ns;
        o->last[1].begin_ns = o->last->end_ns;
        o->last++;
    }
    if (is_wrong) {
        o->last->mismatches++;
        return;
    }
    record(&o->last->response, now - c->due_ns);
    if (is_open) {
        record(&o->service, now - c->sent_ns);
        record(&o->lateness, c->sent_ns - c->due_ns);
    }
}

static void print_outcome(struct outcome *o, int in_flight) {
    printf("{\"window_start_ns\": %" PRId64 ", \"window_end_ns\": %" PRId64, o->window_ns, o->end_ns);
    printf(", \"cpu_s\": %.6f, \"spin_s\": %.6f", (double)o->cpu_ns / 1e9, (double)o->spun_ns / 1e9);
    printf(", \"in_flight\": %d, \"service\": ", in_flight);
    print_distribution(&o->service);
    printf(", \"lateness\": ");
    print_distribution(&o->lateness);
    printf(", \"slices\": [");
    for (const struct slice *s = o->slices; o->last && s <= o->last; s++) {
        int64_t end_ns = s == o->last ? o->end_ns : s->end_ns;
        printf("%s[%" PRId64 ", %" PRId64 ", %" PRIu64 ", ", s == o->slices ? "" : ", ", s->begin_ns, end_ns,
               s->mismatches);
        print_distribution(&s->response);
        printf("]");
    }
    printf("]}\n");
}

static struct connection *connect_all(int count, size_t size, char **argv, int epoll) {
    struct connection *connections = calloc((size_t)count, sizeof *connections);
    for (int i = 0; i < count; i++) {
        struct connection *c = &connections[i];
        c->fd = connect_to(argv[1], atoi(argv[2]));
        c->message = malloc(size), c->reply = malloc(size);
        for (size_t k = 0; k < size; k++) c->message[k] = (char)(k * 31 + (size_t)i);
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &e)) die("epoll_ctl");
    }
    return connections;
}

/* Exchange messages until `end_ns` or an interrupt; return when that was. */
static int64_t run(struct outcome *o, struct schedule *s, size_t size, int epoll, int64_t end_ns) {
    int is_open = s->interval_ns > 0, batch = is_open ? OPEN_LOOP_EVENTS : EVENTS;
    int64_t now = 0;
    while (now < end_ns && !interrupted) {
        struct epoll_event events[EVENTS];
        int64_t looked = is_open ? now_ns(CLOCK_MONOTONIC) : now;
        int ready = epoll_wait(epoll, events, batch, is_open ? 0 : 100); /* an open loop never sleeps */
        if (ready <= 0 || is_open) now = now_ns(CLOCK_MONOTONIC);
        if (ready == 0 && is_open) o->spun_ns += now - looked;
        if (is_open && !o->last && now >= o->window_ns) begin_window(o, now); /* it looks all the time */
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT && !send_rest(c, size, epoll)) die("send");
            if (!(events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))) continue;
            if (c->is_free) { /* nothing is owed, so what came is no echo */
                fprintf(stderr, "the server sent, or closed a connection, without a request\n");
                exit(1);
            }
            ssize_t n = recv(c->fd, c->reply + c->received, size - c->received, 0);
            if (n < 0 && errno == EAGAIN) continue;
            if (n <= 0) die("the server closed a connection");
            now = now_ns(CLOCK_MONOTONIC);
            if ((c->received += (size_t)n) < size) continue;
            note(o, c, now, memcmp(c->reply, c->message, size) != 0, is_open);
            if (is_open) come_free(s, c), now = dispatch(s, now, size, epoll);
            else begin(c, size, epoll);
        }
        if (is_open) now = dispatch(s, now, size, epoll);
    }
    return now;
}

/* End the connections in order, within a limited time. A socket that is closed while a reply is unread, or still comes,
 * resets its connection, and a simple server may not survive that. So the replies under way are awaited, then the server
 * is told that nothing more will come, and the end of what it sends is awaited. */
static void hang_up(struct connection *connections, int count, size_t size, int epoll) {
    int64_t until = now_ns(CLOCK_MONOTONIC) + HANG_UP_NS + count * HANG_UP_EACH_NS, left_ns;
    for (int i = 0; i < count; i++)
        if (connections[i].is_free) shutdown(connections[i].fd, SHUT_WR);
    for (int standing = count; standing && (left_ns = until - now_ns(CLOCK_MONOTONIC)) > 0;) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(epoll, events, EVENTS, (int)(left_ns / 1000000) + 1);
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            char unread[1 << 16];
            int is_owed = !c->is_free && c->received < size;
            if (events[i].events & EPOLLOUT) send_rest(c, size, epoll); /* if the server is gone, recv says so too */
            ssize_t n = recv(c->fd, unread, sizeof unread, 0);
            if (n < 0 && errno == EAGAIN) continue;
            if (n <= 0) {
                close(c->fd), standing--;
                continue;
            }
            c->received += (size_t)n;
            if (is_owed && c->received >= size) shutdown(c->fd, SHUT_WR);
        }
    }
}

int main(int argc, char **argv) {
    if (argc != 8) {
        fprintf(stderr, "usage: %s ADDRESS PORT CONNECTIONS BYTES WARMUP_S DURATION_S RATE_PER_S\n", argv[0]);
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct sigaction action = {.sa_handler = interrupt}; /* without SA_RESTART: it ends a connect */
    sigaction(SIGINT, &action, NULL);
    int count = atoi(argv[3]), epoll = epoll_create1(EPOLL_CLOEXEC);
    size_t size = (size_t)atoll(argv[4]);
    int64_t warmup = (int64_t)(atof(argv[5]) * 1e9), duration = (int64_t)(atof(argv[6]) * 1e9);
    double rate = atof(argv[7]);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    struct connection *connections = connect_all(count, size, argv, epoll);
    struct outcome outcome = {.slice_ns = duration / SLICES_MAX > SLICE_NS ? duration / SLICES_MAX : SLICE_NS};
    outcome.service = empty(), outcome.lateness = empty();
    for (int i = 0; i <= SLICES_MAX; i++) outcome.slices[i].response = empty();
    action.sa_flags = SA_RESTART; /* the word to go is read all the same; epoll_wait is never restarted */
    sigaction(SIGINT, &action, NULL);
    printf("CONNECTED\n");
    fflush(stdout);
    int64_t start;
    if (scanf("GO %" SCNd64, &start) != 1) return 0;
    struct timespec until = {.tv_sec = start / 1000000000, .tv_nsec = start % 1000000000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    outcome.window_ns = start + warmup;
    struct schedule schedule = {.interval_ns = rate > 0 ? 1e9 / rate : 0, .start_ns = start, .due_ns = start,
                                .ring = calloc((size_t)count, sizeof *schedule.ring), .capacity = count};
    for (int i = 0; i < count; i++) {
        if (rate > 0) come_free(&schedule, &connections[i]);
        else begin(&connections[i], size, epoll);
    }
    int64_t ended = run(&outcome, &schedule, size, epoll, outcome.window_ns + duration);
    outcome.end_ns = outcome.last ? ended : outcome.window_ns;
    outcome.cpu_ns = outcome.last ? now_ns(CLOCK_PROCESS_CPUTIME_ID) - outcome.cpu_ns : 0;
    hang_up(connections, count, size, epoll);
    print_outcome(&outcome, count - schedule.free);
    return 0;
}
