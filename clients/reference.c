/* The reference generator: what the loopback of this machine allows when the generator itself costs next to nothing.
 *
 * A closed loop over epoll, one thread, one request in flight per connection, every reply compared byte for byte.
 * `reference.py` is the only one to start it. No feature may be added here that a comparison with it does not need.
 *
 *     reference ADDRESS PORT CONNECTIONS BYTES WARMUP_S DURATION_S
 *
 * prints `CONNECTED` when its connections stand, waits for a line `GO <ns of CLOCK_MONOTONIC>`, and prints one line of
 * JSON in the end, or when it is sent SIGINT: window_start_ns, window_end_ns, cpu_s, and the slices of the window:
 * [begin_ns, end_ns, mismatches, total_ns, min_ns, max_ns, [bucket, ...], [count, ...]], in HDR buckets of 3 digits.
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

enum { EVENTS = 1024, SLICES_MAX = 100, BUCKETS = 33 << 10 };
static const int64_t SLICE_NS = 100000000, HIGHEST_NS = INT64_C(3600000000000);

struct connection {
    int fd;
    uint64_t sequence;
    int64_t sent_ns;
    size_t sent, received;
    char *message, *reply;
};

struct slice {
    int64_t begin_ns, end_ns, total_ns, min_ns, max_ns;
    uint64_t mismatches;
    uint32_t *counts;
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

static void send_rest(struct connection *c, size_t size, int epoll) {
    while (c->sent < size) {
        ssize_t n = send(c->fd, c->message + c->sent, size - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) die("send");
        if (n < 0) break;
        c->sent += (size_t)n;
    }
    /* Ask for writability only while something is left to write: the common case makes no system call for it. */
    static char *wants_write;
    static int capacity;
    if (c->fd >= capacity) {
        int grown = c->fd + 4096;
        wants_write = realloc(wants_write, (size_t)grown);
        memset(wants_write + capacity, 0, (size_t)(grown - capacity));
        capacity = grown;
    }
    char wants = c->sent < size;
    if (wants != wants_write[c->fd]) {
        struct epoll_event e = {.events = EPOLLIN | (wants ? EPOLLOUT : 0), .data.ptr = c};
        if (epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &e)) die("epoll_ctl");
        wants_write[c->fd] = wants;
    }
}

static void begin(struct connection *c, size_t size, int epoll) {
    c->sequence++;
    memcpy(c->message, &c->sequence, size < 8 ? size : 8);
    c->sent = c->received = 0;
    c->sent_ns = now_ns(CLOCK_MONOTONIC);
    send_rest(c, size, epoll);
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
    if (connect(fd, (struct sockaddr *)&storage, length)) die("connect");
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

static void record(struct slice *s, int64_t ns) {
    s->counts[bucket_of(ns)]++;
    s->total_ns += ns;
    if (ns < s->min_ns) s->min_ns = ns;
    if (ns > s->max_ns) s->max_ns = ns;
}

static void print_slice(const struct slice *s) {
    printf("[%" PRId64 ", %" PRId64 ", %" PRIu64 ", %" PRId64 ", %" PRId64 ", %" PRId64, s->begin_ns, s->end_ns,
           s->mismatches, s->total_ns, s->min_ns, s->max_ns);
    for (int of_counts = 0; of_counts < 2; of_counts++) {
        const char *separator = ", [";
        int any = 0;
        for (int i = 0; i < BUCKETS; i++) {
            if (!s->counts[i]) continue;
            printf("%s%u", separator, of_counts ? s->counts[i] : (unsigned)i);
            separator = ", ", any = 1;
        }
        printf(any ? "]" : ", []");
    }
    printf("]");
}

int main(int argc, char **argv) {
    if (argc != 7) {
        fprintf(stderr, "usage: %s ADDRESS PORT CONNECTIONS BYTES WARMUP_S DURATION_S\n", argv[0]);
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct sigaction action = {.sa_handler = interrupt}; /* without SA_RESTART: it ends a wait */
    sigaction(SIGINT, &action, NULL);
    int count = atoi(argv[3]), epoll = epoll_create1(EPOLL_CLOEXEC);
    size_t size = (size_t)atoll(argv[4]);
    int64_t warmup = (int64_t)(atof(argv[5]) * 1e9), duration = (int64_t)(atof(argv[6]) * 1e9);
    int64_t slice_ns = duration / SLICES_MAX > SLICE_NS ? duration / SLICES_MAX : SLICE_NS;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    struct connection *connections = calloc((size_t)count, sizeof *connections);
    for (int i = 0; i < count; i++) {
        struct connection *c = &connections[i];
        c->fd = connect_to(argv[1], atoi(argv[2]));
        c->message = malloc(size), c->reply = malloc(size);
        for (size_t k = 0; k < size; k++) c->message[k] = (char)(k * 31 + (size_t)i);
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &e)) die("epoll_ctl");
    }
    struct slice slices[SLICES_MAX + 1];
    for (int i = 0; i <= SLICES_MAX; i++)
        slices[i] = (struct slice){.min_ns = INT64_MAX, .counts = calloc(BUCKETS, sizeof(uint32_t))};
    printf("CONNECTED\n");
    fflush(stdout);
    int64_t start;
    if (scanf("GO %" SCNd64, &start) != 1) return 0;
    struct timespec until = {.tv_sec = start / 1000000000, .tv_nsec = start % 1000000000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    int64_t window = start + warmup, end = window + duration, window_cpu = 0, now = 0;
    struct slice *slice = NULL;
    for (int i = 0; i < count; i++) begin(&connections[i], size, epoll);
    while (now < end && !interrupted) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(epoll, events, EVENTS, 100);
        if (ready == 0) now = now_ns(CLOCK_MONOTONIC);
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) send_rest(c, size, epoll);
            if (!(events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))) continue;
            ssize_t n = recv(c->fd, c->reply + c->received, size - c->received, 0);
            if (n < 0 && errno == EAGAIN) continue;
            if (n <= 0) die("the server closed a connection");
            now = now_ns(CLOCK_MONOTONIC);
            if ((c->received += (size_t)n) < size) continue;
            if (!slice && now >= window) {
                slice = slices, slice->begin_ns = window = now, window_cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID);
            }
            int is_wrong = memcmp(c->reply, c->message, size) != 0;
            if (slice) {
                while (now >= slice->begin_ns + slice_ns && slice < slices + SLICES_MAX) {
                    slice->end_ns = slice->begin_ns + slice_ns;
                    slice[1].begin_ns = slice->end_ns;
                    slice++;
                }
                slice->mismatches += (uint64_t)is_wrong;
                if (!is_wrong) record(slice, now - c->sent_ns);
            }
            begin(c, size, epoll);
        }
    }
    double cpu_s = slice ? (double)(now_ns(CLOCK_PROCESS_CPUTIME_ID) - window_cpu) / 1e9 : 0;
    int64_t window_end = slice ? now : window;
    printf("{\"window_start_ns\": %" PRId64 ", \"window_end_ns\": %" PRId64 ", \"cpu_s\": %.6f, \"slices\": [", window,
           window_end, cpu_s);
    for (struct slice *s = slices; slice && s <= slice; s++) {
        if (s == slice) s->end_ns = window_end;
        if (s != slices) printf(", ");
        print_slice(s);
    }
    printf("]}\n");
    return 0;
}
