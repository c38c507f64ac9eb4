/* The floor: an echo server over epoll in C, which costs little more than the kernel's own work.
 *
 *     reference DESCRIPTOR RECV_SIZE
 *
 * DESCRIPTOR is a socket that listens. While a client does not take what it was sent, it is not read. Nothing may be
 * added here that the Python servers do not do.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 1024 };

struct connection {
    int fd;
    size_t size, sent; /* of what is left to send */
    char unsent[];     /* there only while something is left */
};

static int epoll;

static void die(const char *what) {
    perror(what);
    exit(1);
}

/* A connection that owes nothing is its descriptor; one that owes something points to it. The two are told apart by
 * the lowest bit, which a pointer never has. */
static epoll_data_t idle(int fd) { return (epoll_data_t){.u64 = (uint64_t)fd << 1 | 1}; }

static void watch(int operation, int fd, uint32_t events, epoll_data_t data) {
    struct epoll_event event = {.events = events, .data = data};
    if (epoll_ctl(epoll, operation, fd, &event)) die("epoll_ctl");
}

/* Without a descriptor left the client at the head of the queue is taken with the spare one and hung up on; else a
 * level-triggered loop would spin on it. */
static void accept_one(int listener, int *spare) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        watch(EPOLL_CTL_ADD, fd, EPOLLIN, idle(fd));
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        close(*spare);
        fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) close(fd);
        else if (errno != EAGAIN) nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
        *spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
}

static void echo(int fd, char *buffer, size_t room) {
    ssize_t size = recv(fd, buffer, room, 0);
    if (size < 0 && errno == EAGAIN) return;
    ssize_t sent = size > 0 ? send(fd, buffer, (size_t)size, MSG_NOSIGNAL) : -1;
    if (sent == size) return;
    if (size <= 0 || (sent < 0 && errno != EAGAIN)) {
        close(fd);
        return;
    }
    size_t done = sent < 0 ? 0 : (size_t)sent;
    struct connection *connection = malloc(sizeof *connection + (size_t)size - done);
    if (!connection) die("malloc");
    connection->fd = fd, connection->size = (size_t)size - done, connection->sent = 0;
    memcpy(connection->unsent, buffer + done, connection->size);
    watch(EPOLL_CTL_MOD, fd, EPOLLOUT, (epoll_data_t){.ptr = connection});
}

static void send_rest(struct connection *connection) {
    int fd = connection->fd;
    size_t left = connection->size - connection->sent;
    ssize_t sent = send(fd, connection->unsent + connection->sent, left, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) return;
    if (sent >= 0 && (size_t)sent < left) {
        connection->sent += (size_t)sent;
        return;
    }
    free(connection);
    if (sent < 0) close(fd);
    else watch(EPOLL_CTL_MOD, fd, EPOLLIN, idle(fd));
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: %s DESCRIPTOR RECV_SIZE\n", argv[0]);
        return 2;
    }
    int listener = atoi(argv[1]), spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    size_t room = (size_t)atol(argv[2]);
    char *buffer = malloc(room);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!buffer || epoll < 0 || fcntl(listener, F_SETFL, O_NONBLOCK)) die("reference");
    watch(EPOLL_CTL_ADD, listener, EPOLLIN, idle(listener));
    for (;;) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            uint64_t data = events[i].data.u64;
            if (!(data & 1)) send_rest(events[i].data.ptr);
            else if ((int)(data >> 1) == listener) accept_one(listener, &spare);
            else echo((int)(data >> 1), buffer, room);
        }
    }
}
