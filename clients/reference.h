/* One connection of the reference generator, from connecting to its end in order, and the due times of an open loop.
 *
 * `reference.c` and `reference_block.c` are two programs over these pieces. What is counted, and when a load begins and
 * ends, differs between them and may not be added here.
 */
#ifndef REFERENCE_H
#define REFERENCE_H
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

enum { EVENTS = 1024, OPEN_LOOP_EVENTS = 16 };
static const int64_t SECOND_NS = 1000000000, HANG_UP_NS = 1000000000, HANG_UP_EACH_NS = 200000;
static const double NEVER_NS = 4e18;

/* A connection that `is_free` has no request under way, and one without a descriptor (-1) does not stand. One that
 * `is_cut` was reset. */
struct connection {
    int fd, is_free, is_cut, wants_write;
    uint64_t sequence;
    int64_t due_ns, sent_ns;
    size_t sent, received;
    char *message, *reply;
};

/* The free connections in the order in which they came free, and an open loop's due times: the next request, which is
 * number `dispatched`, is due at `due_ns`. In a closed loop `interval_ns` is 0, and nothing is due. */
struct schedule {
    double interval_ns;
    int64_t start_ns, due_ns, end_ns;
    uint64_t dispatched;
    struct connection **ring;
    int capacity, first, free;
};

static volatile sig_atomic_t interrupted;

static void interrupt(int signal) {
    (void)signal;
    interrupted = 1;
}

/* Have SIGINT set `interrupted`. With SA_RESTART among the flags it ends no call but epoll_wait. */
static void catch_interrupts(int flags) {
    struct sigaction action = {.sa_handler = interrupt, .sa_flags = flags};
    sigaction(SIGINT, &action, NULL);
}

static int64_t now_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * SECOND_NS + t.tv_nsec;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

/* Return memory that is filled with zeros. */
static void *allocate(size_t count, size_t size) {
    void *memory = calloc(count, size);
    if (!memory) die("calloc");
    return memory;
}

/* ---- before the load */

/* Let the process end with its parent, take SIGINT as the wish to end, and have as many files as the system allows. */
static void prepare(void) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    catch_interrupts(0); /* so that SIGINT ends a connect */
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* Return a connected socket, or -1 and the reason in errno. A `patience` of 0 is without end. */
static int connect_to(const char *address, int port, struct timeval patience) {
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
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    int failed = connect(fd, (struct sockaddr *)&storage, length);
    if (interrupted) exit(0); /* whoever started it knows why there is no result */
    if (failed) {
        int reason = errno;
        close(fd), errno = reason;
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

/* Make the message of a connection, which differs from those of others, and the place of its echo. */
static void make_message(struct connection *c, size_t size, int number) {
    c->message = allocate(size, 1), c->reply = allocate(size, 1);
    for (size_t k = 0; k < size; k++) c->message[k] = (char)(k * 31 + (size_t)number);
}

static void watch(struct connection *c, int fd, int epoll) {
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e)) die("epoll_ctl");
    c->fd = fd;
}

/* Wait for the word to go and then for the time that it names; return that, or -1 if the word never comes. */
static int64_t await_start(void) {
    int64_t start;
    catch_interrupts(SA_RESTART); /* the word is read all the same; epoll_wait is never restarted */
    fflush(stdout);
    if (scanf(" GO %" SCNd64, &start) != 1) return -1;
    struct timespec until = {.tv_sec = start / SECOND_NS, .tv_nsec = start % SECOND_NS};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    return start;
}

/* ---- requests and replies */

/* Send what is left of a message as far as that goes without waiting. If the server is gone, recv will say so too. */
static void send_rest(struct connection *c, size_t size, int epoll) {
    while (c->sent < size) {
        ssize_t n = send(c->fd, c->message + c->sent, size - c->sent, MSG_NOSIGNAL);
        if (n < 0) {
            c->is_cut = errno != EAGAIN;
            break;
        }
        c->sent += (size_t)n;
    }
    /* Ask for writability only while something is left to write: the common case makes no system call for it. */
    int wants_write = c->sent < size && !c->is_cut;
    if (wants_write != c->wants_write) {
        struct epoll_event e = {.events = EPOLLIN | (wants_write ? EPOLLOUT : 0), .data.ptr = c};
        if (epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &e)) die("epoll_ctl");
        c->wants_write = wants_write;
    }
}

/* Send the next request of a connection. One that is not due by a schedule is due when it is sent. */
static void begin(struct connection *c, size_t size, int epoll) {
    c->sequence++;
    memcpy(c->message, &c->sequence, size < 8 ? size : 8);
    c->sent = c->received = 0;
    c->due_ns = c->sent_ns = now_ns(CLOCK_MONOTONIC);
    send_rest(c, size, epoll);
}

/* Take what has come of a reply. Return 1 if it is whole now, 0 if not, -1 if the server has ended the connection. */
static int receive(struct connection *c, size_t size) {
    ssize_t n = recv(c->fd, c->reply + c->received, size - c->received, 0);
    if (n < 0 && errno == EAGAIN) return 0;
    if (n < 0) c->is_cut = 1;
    if (n <= 0) return -1;
    return (c->received += (size_t)n) == size;
}

static int is_wrong(const struct connection *c, size_t size) {
    return memcmp(c->reply, c->message, size) != 0;
}

static void come_free(struct schedule *s, struct connection *c) {
    s->ring[(s->first + s->free++) % s->capacity] = c, c->is_free = 1;
}

/* Return the connection that has been free for longest, and is no longer. */
static struct connection *take_free(struct schedule *s) {
    struct connection *c = s->ring[s->first];
    s->first = (s->first + 1) % s->capacity, s->free--, c->is_free = 0;
    return c;
}

/* Return when the next request is due, by the schedule's start and how many were before it. */
static int64_t next_due_ns(const struct schedule *s) {
    double after_ns = (double)s->dispatched * s->interval_ns;
    return s->start_ns + (int64_t)(after_ns < NEVER_NS ? after_ns : NEVER_NS);
}

/* Send what is due by then, and before the schedule ends, as long as connections are free; return the time. */
static int64_t dispatch(struct schedule *s, int64_t now, size_t size, int epoll) {
    while (s->free && s->due_ns <= now && s->due_ns < s->end_ns) {
        struct connection *c = take_free(s);
        int64_t due = s->due_ns;
        s->dispatched++, s->due_ns = next_due_ns(s);
        begin(c, size, epoll);
        c->due_ns = due, now = c->sent_ns;
    }
    return now;
}

/* ---- the end in order
 *
 * A socket that is closed while a reply is unread, or still comes, resets its connection, and a simple server may not
 * survive that. So the replies under way are awaited, then the server is told that nothing more will come, and the end
 * of what it sends is awaited. */

/* Return the time until which ends are awaited from now on. */
static int64_t hang_up_until_ns(int count) {
    return now_ns(CLOCK_MONOTONIC) + HANG_UP_NS + count * HANG_UP_EACH_NS;
}

/* Tell the server on all connections that are owed nothing. */
static void tell_end(const struct connection *connections, int count) {
    for (int i = 0; i < count; i++)
        if (connections[i].fd >= 0 && connections[i].is_free) shutdown(connections[i].fd, SHUT_WR);
}

/* Await what is owed, tell the server then too, and close each connection when the server has. */
static void await_end(struct connection *connections, int count, size_t size, int epoll, int64_t until) {
    int standing = 0;
    for (int i = 0; i < count; i++) standing += connections[i].fd >= 0;
    while (standing) {
        struct epoll_event events[EVENTS];
        int64_t left_ns = until - now_ns(CLOCK_MONOTONIC);
        int ready = epoll_wait(epoll, events, EVENTS, left_ns > 0 ? (int)(left_ns / 1000000) + 1 : 0);
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            char unread[1 << 16];
            int is_owed = !c->is_free && c->received < size;
            if (events[i].events & EPOLLOUT) send_rest(c, size, epoll);
            ssize_t n = recv(c->fd, unread, sizeof unread, 0);
            if (n < 0 && errno == EAGAIN) continue;
            if (n <= 0) {
                close(c->fd), c->fd = -1, standing--;
                continue;
            }
            c->received += (size_t)n;
            if (is_owed && c->received >= size) shutdown(c->fd, SHUT_WR);
        }
        if (left_ns <= 0) return;
    }
}

#endif
