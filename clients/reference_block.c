/* The reference generator of a block: connections to several servers stand, and one server at a time gets the load.
 *
 * It is the load of `reference.c`, cut into slices that each go to one server. Nothing is in flight when a slice begins
 * or ends: when its time is over no more is sent, and the slice lasts until the last reply is in. A connection that
 * fails is closed, and does not come back. `reference_block.py` is the only one to start it. What is kept of a slice
 * stands in reference_slice.h. Neither the order of slices nor what they say of a server may be added here.
 *
 * It reads from standard input
 *
 *     SERVERS CONNECTIONS BYTES RATE_PER_S TIMEOUT_NS SLICE_NS SLICES WARMUP_SLICES
 *     ADDRESS PORT PID           for each server: its first process, whose CPU time is read with its children's, or 0
 *     SERVER ...                 for each slice
 *     GO START_NS                in ns of CLOCK_MONOTONIC
 *
 * with a rate of 0 for a closed loop. Before the word to go it prints `CONNECTED` and for each server `STANDING:PORTLESS`:
 * how many connections to it stand, and how many were not made because this machine had no local port left. When all slices are over, or it is sent SIGINT, it writes int64: how many slices are whole and how many
 * replies came in them, then each `struct slice`, then the response times and, in an open loop, the service times of
 * all replies in their order. The connections stand until standard input ends.
 */
#include "reference_slice.h"

static const int64_t LOOK_MIN_NS = 10000000, LOOK_MAX_NS = 250000000;

/* `load_ns` is the planned length of its slices so far, which is how far the schedule of an open loop has come.
 * `after_ns` is its CPU time at the end of its last slice. */
struct server {
    char address[INET6_ADDRSTRLEN + 1];
    int port;
    struct connection *connections;
    struct schedule schedule;
    int epoll, standing, portless;
    int64_t load_ns, after_ns;
    struct processes processes;
};

struct block {
    int server_count, connections, slice_count, warmup_slices;
    size_t size;
    double rate_per_s;
    int64_t timeout_ns, slice_ns, *order;
    struct server *servers;
    struct journal journal;
};

/* ---- one slice */

static int under_way(const struct server *s) {
    return s->standing - s->schedule.free;
}

/* Close a connection. A request that is under way fails with it, and has held up the slice until now. */
static void lose(struct server *s, struct slice *slice, struct connection *c, int64_t now) {
    struct schedule *free = &s->schedule;
    int kept = 0;
    for (int i = 0; c->is_free && i < free->free; i++) {
        struct connection *other = free->ring[(free->first + i) % free->capacity];
        if (other != c) free->ring[(free->first + kept++) % free->capacity] = other;
    }
    if (c->is_free) free->free = kept;
    else slice->failed++, slice->end_ns = now;
    close(c->fd), c->fd = -1, s->standing--;
}

/* See what came on a connection that is owed nothing. Only its end, or a byte too many, can have come. */
static void check_silence(struct server *s, struct slice *slice, struct connection *c) {
    char unasked;
    ssize_t n = recv(c->fd, &unasked, 1, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n > 0) slice->failures[MISMATCH]++;
    else slice->idle_closed++;
    lose(s, slice, c, slice->end_ns);
}

/* Do what a connection is ready for, and return the time. */
static int64_t serve(struct block *b, struct server *s, struct slice *slice, struct connection *c, int64_t now) {
    if (c->is_free) {
        check_silence(s, slice, c);
        return now;
    }
    if (c->wants_write) send_rest(c, b->size, s->epoll);
    int came = receive(c, b->size);
    now = now_ns(CLOCK_MONOTONIC);
    if (came < 0) {
        slice->failures[c->is_cut ? RESET : c->received ? SHORT_REPLY : CLOSED_EARLY]++;
        lose(s, slice, c, now);
    }
    if (came <= 0) return now;
    slice->end_ns = now;
    if (is_wrong(c, b->size)) slice->failures[MISMATCH]++, slice->failed++;
    else record(&b->journal, c, now), slice->replies++;
    int is_open = s->schedule.interval_ns > 0;
    if (!is_open && now < s->schedule.end_ns) {
        begin(c, b->size, s->epoll);
        return c->sent_ns;
    }
    come_free(&s->schedule, c);
    return is_open ? dispatch(&s->schedule, now, b->size, s->epoll) : now;
}

/* Close the connections whose reply was overdue at a time until which everything that came has been read. */
static void end_overdue(struct block *b, struct server *s, struct slice *slice, int64_t read_ns) {
    for (int i = 0; i < b->connections; i++) {
        struct connection *c = &s->connections[i];
        if (c->fd < 0 || c->is_free || read_ns - c->sent_ns < b->timeout_ns) continue;
        slice->failures[c->received ? SHORT_REPLY : c->sent < b->size ? STALLED : TIMEOUT]++;
        lose(s, slice, c, now_ns(CLOCK_MONOTONIC));
    }
}

/* Count what is due in the slice and was not sent, so that nothing more will be. */
static void leave_unsent(struct schedule *due, struct slice *slice) {
    while (due->interval_ns > 0 && due->due_ns < due->end_ns) {
        slice->failures[UNSENT]++;
        due->dispatched++, due->due_ns = next_due_ns(due);
    }
}

/* Send the first requests of a slice; return the time at which the slice began. */
static int64_t open_slice(struct block *b, struct server *s) {
    struct schedule *due = &s->schedule;
    int64_t begin_ns = now_ns(CLOCK_MONOTONIC);
    due->end_ns = begin_ns + b->slice_ns;
    if (due->interval_ns > 0) {
        due->start_ns = begin_ns - s->load_ns, due->due_ns = next_due_ns(due);
        dispatch(due, begin_ns, b->size, s->epoll);
    } else if (due->free) {
        const struct connection *first = due->ring[due->first];
        while (due->free) begin(take_free(due), b->size, s->epoll);
        begin_ns = first->sent_ns, due->end_ns = begin_ns + b->slice_ns;
    }
    s->load_ns += b->slice_ns;
    return begin_ns;
}

/* Exchange messages with a server until the slice is over and nothing is under way, or until an interrupt. */
static void load(struct block *b, struct server *s, struct slice *slice) {
    struct schedule *due = &s->schedule;
    int is_open = due->interval_ns > 0, batch = is_open ? OPEN_LOOP_EVENTS : EVENTS;
    int64_t look_ns = b->timeout_ns / 20;
    look_ns = look_ns < LOOK_MIN_NS ? LOOK_MIN_NS : look_ns > LOOK_MAX_NS ? LOOK_MAX_NS : look_ns;
    slice->begin_ns = slice->end_ns = open_slice(b, s);
    int64_t now = slice->begin_ns, next_look_ns = now + look_ns;
    while (!interrupted && s->standing && (under_way(s) || (is_open && now < due->end_ns))) {
        struct epoll_event events[EVENTS];
        int64_t read_ns = now;
        int ready = epoll_wait(s->epoll, events, batch, is_open ? 0 : (int)(look_ns / 1000000));
        if (ready <= 0 || is_open) now = now_ns(CLOCK_MONOTONIC);
        if (ready == 0 && is_open) slice->spun_ns += now - read_ns;
        for (int i = 0; i < ready; i++) now = serve(b, s, slice, events[i].data.ptr, now);
        if (is_open) now = dispatch(due, now, b->size, s->epoll);
        if (now >= due->end_ns) leave_unsent(due, slice);
        if (now < next_look_ns || ready == batch) continue;
        end_overdue(b, s, slice, read_ns);
        next_look_ns = now + look_ns;
    }
    leave_unsent(due, slice);
    if (is_open && s->standing && slice->end_ns < due->end_ns) slice->end_ns = due->end_ns;
}

/* Find the processes that the servers have started, when the warm-up is over: only then, because it takes time with many
 * threads. If one comes later, the bench sees it, and the CPU time of these slices is not used. */
static void find_processes(struct block *b, int64_t slices_done) {
    if (slices_done != b->warmup_slices) return;
    for (int i = 0; i < b->server_count; i++) refresh(&b->servers[i].processes);
}

/* Give a server its slice, with the CPU time of both sides read at its edges; return 0 if that was interrupted. */
static int run_slice(struct block *b, struct slice *slice, int64_t number) {
    struct server *s = &b->servers[number];
    slice->server = number;
    int64_t before_ns = read_cpu_ns(&s->processes), client_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    slice->idle_cpu_ns = between_ns(s->after_ns, before_ns);
    load(b, s, slice);
    s->after_ns = read_cpu_ns(&s->processes);
    slice->client_cpu_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID) - client_ns;
    slice->server_cpu_ns = between_ns(before_ns, s->after_ns);
    return !interrupted;
}

/* ---- the course of a block */

static void read_block(struct block *b) {
    if (scanf("%d %d %zu %lf %" SCNd64 " %" SCNd64 " %d %d", &b->server_count, &b->connections, &b->size, &b->rate_per_s,
              &b->timeout_ns, &b->slice_ns, &b->slice_count, &b->warmup_slices) != 8) exit(2);
    b->servers = allocate((size_t)b->server_count, sizeof *b->servers);
    for (struct server *s = b->servers; s < b->servers + b->server_count; s++) {
        pid_t pid;
        if (scanf(" %46s %d %d", s->address, &s->port, &pid) != 3) exit(2);
        if (pid) note_process(&s->processes, pid);
        s->after_ns = UNKNOWN;
    }
    b->order = allocate((size_t)b->slice_count, sizeof *b->order);
    for (int i = 0; i < b->slice_count; i++)
        if (scanf("%" SCNd64, &b->order[i]) != 1) exit(2);
}

/* Connect to the servers in turn. Connections of one number share a message, since one server is loaded at a time. */
static void connect_all(struct block *b) {
    struct timeval patience = {.tv_sec = b->timeout_ns / SECOND_NS, .tv_usec = b->timeout_ns % SECOND_NS / 1000};
    for (int number = 0; number < b->connections; number++) {
        struct connection *first = &b->servers[0].connections[number];
        make_message(first, b->size, number);
        for (struct server *s = b->servers; s < b->servers + b->server_count; s++) {
            struct connection *c = &s->connections[number];
            c->message = first->message, c->reply = first->reply;
            c->fd = connect_to(s->address, s->port, patience);
            if (c->fd < 0) {
                s->portless += errno == EADDRNOTAVAIL;
                continue;
            }
            watch(c, c->fd, s->epoll);
            come_free(&s->schedule, c), s->standing++;
        }
    }
}

/* Make all connections, and say how many of each server stand. */
static void stand(struct block *b) {
    for (struct server *s = b->servers; s < b->servers + b->server_count; s++) {
        s->connections = allocate((size_t)b->connections, sizeof *s->connections);
        s->schedule.ring = allocate((size_t)b->connections, sizeof *s->schedule.ring);
        s->schedule.capacity = b->connections;
        s->schedule.interval_ns = b->rate_per_s > 0 ? 1e9 / b->rate_per_s : 0;
        s->epoll = epoll_create1(EPOLL_CLOEXEC);
    }
    connect_all(b);
    printf("CONNECTED");
    for (int i = 0; i < b->server_count; i++) printf(" %d:%d", b->servers[i].standing, b->servers[i].portless);
    printf("\n");
}

static void hang_up(struct block *b) {
    int64_t until = hang_up_until_ns(b->server_count * b->connections);
    for (int i = 0; i < b->server_count; i++) tell_end(b->servers[i].connections, b->connections);
    for (int i = 0; i < b->server_count; i++)
        await_end(b->servers[i].connections, b->connections, b->size, b->servers[i].epoll, until);
}

static void write_ns(const int64_t *values, size_t count) {
    if (fwrite(values, sizeof *values, count, stdout) != count) die("fwrite");
}

int main(void) {
    struct block b = {0};
    prepare();
    read_block(&b);
    stand(&b);
    struct slice *slices = allocate((size_t)b.slice_count, sizeof *slices);
    if (b.rate_per_s > 0) b.journal.service = allocate(1, sizeof *b.journal.service);
    size_t largest = ROOM_MIN;
    make_room(&b.journal, largest);
    if (await_start() < 0) return 0;
    int64_t head[2] = {0};
    find_processes(&b, 0);
    while (head[0] < b.slice_count && !interrupted && run_slice(&b, &slices[head[0]], b.order[head[0]])) {
        size_t came = b.journal.count - (size_t)head[1];
        head[0]++, head[1] += (int64_t)came;
        if (came > largest) largest = came;
        make_room(&b.journal, 2 * largest);
        find_processes(&b, head[0]);
    }
    write_ns(head, 2);
    write_ns((int64_t *)slices, (size_t)head[0] * sizeof *slices / sizeof(int64_t));
    write_ns(b.journal.response, (size_t)head[1]);
    if (b.journal.service) write_ns(b.journal.service, (size_t)head[1]);
    if (fclose(stdout)) die("fclose");
    while (getchar() != EOF) {
    }
    hang_up(&b);
    return 0;
}
