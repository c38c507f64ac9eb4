/* The reference generator: what the loopback of this machine allows when the generator itself costs next to nothing.
 *
 * A closed loop over epoll, one thread, one request in flight per connection, every reply compared byte for byte.
 * `bench calibrate` runs it in turn with the Python generator; nothing else uses it. No feature may be added here that
 * the comparison does not need.
 *
 *     reference ADDRESS PORT CONNECTIONS BYTES WARMUP_S DURATION_S
 *
 * prints one line of JSON: replies, window_s, replies_per_s, cpu_s, mismatches, response_p50_ns.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 1024, BINS = 1 << 20, BIN_NS = 100 };

struct connection {
    int fd;
    uint64_t sequence;
    int64_t sent_ns;
    size_t sent, received;
    char *message, *reply;
};

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

int main(int argc, char **argv) {
    if (argc != 7) {
        fprintf(stderr, "usage: %s ADDRESS PORT CONNECTIONS BYTES WARMUP_S DURATION_S\n", argv[0]);
        return 2;
    }
    int count = atoi(argv[3]), epoll = epoll_create1(EPOLL_CLOEXEC);
    size_t size = (size_t)atoll(argv[4]);
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
    static uint32_t bins[BINS];
    uint64_t replies = 0, mismatches = 0;
    int64_t window = now_ns(CLOCK_MONOTONIC) + (int64_t)(atof(argv[5]) * 1e9);
    int64_t end = window + (int64_t)(atof(argv[6]) * 1e9), window_cpu = 0, now = 0;
    int measuring = 0;
    for (int i = 0; i < count; i++) begin(&connections[i], size, epoll);
    while (now < end) {
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
            mismatches += memcmp(c->reply, c->message, size) != 0;
            if (!measuring && now >= window) measuring = 1, window = now, window_cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID);
            if (measuring) {
                int64_t bin = (now - c->sent_ns) / BIN_NS;
                bins[bin < BINS ? bin : BINS - 1]++;
                replies++;
            }
            begin(c, size, epoll);
        }
    }
    double window_s = (double)(now - window) / 1e9;
    double cpu_s = (double)(now_ns(CLOCK_PROCESS_CPUTIME_ID) - window_cpu) / 1e9;
    uint64_t seen = 0;
    int bin = 0;
    while (bin < BINS - 1 && (seen += bins[bin]) * 2 < replies) bin++;
    printf("{\"replies\": %llu, \"window_s\": %.9f, \"replies_per_s\": %.3f, \"cpu_s\": %.6f, \"mismatches\": %llu, "
           "\"response_p50_ns\": %d}\n",
           (unsigned long long)replies, window_s, (double)replies / window_s, cpu_s, (unsigned long long)mismatches,
           bin * BIN_NS + BIN_NS / 2);
    return mismatches ? 4 : 0;
}
