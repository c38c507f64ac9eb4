/* The reference generator: what the loopback of this machine allows when the generator itself costs next to nothing.
 *
 * Over epoll, one thread, one request in flight per connection, every reply compared byte for byte. A closed loop, or
 * an open one at a constant rate: a due request takes the connection that has been free for longest, or waits for one.
 * `reference.py` is the only one to start it. No feature may be added here that a comparison with it does not need.
 *
 *     reference ADDRESS PORT CONNECTIONS BYTES WARMUP_S DURATION_S RATE_PER_S
 *
 * with a rate of 0 for a closed loop. It prints `CONNECTED` and how many when its connections stand, and waits for a
 * line `GO <ns of CLOCK_MONOTONIC>`. In the end, or when it is sent SIGINT, it prints a line of JSON: window_start_ns,
 * window_end_ns, cpu_s, spin_s, in_flight, the distributions of an open loop's service and lateness, and the intervals
 * of the window: [begin_ns, end_ns, mismatches, response]. A distribution is [total_ns, min_ns, max_ns, [bucket, ...],
 * [count, ...]], in HDR buckets of 3 digits.
 */
#include "reference.h"

enum { INTERVALS_MAX = 100, BUCKETS = 33 << 10 };
static const int64_t INTERVAL_NS = 100000000, HIGHEST_NS = INT64_C(3600000000000);

struct distribution {
    int64_t total_ns, min_ns, max_ns;
    uint32_t *counts;
};

struct interval {
    int64_t begin_ns, end_ns;
    uint64_t mismatches;
    struct distribution response;
};

/* What the window gave so far; `last` is the interval being filled, NULL before the window. */
struct outcome {
    int64_t window_ns, end_ns, interval_ns, spun_ns, cpu_ns;
    struct distribution service, lateness;
    struct interval intervals[INTERVALS_MAX + 1], *last;
};

static int bucket_of(int64_t ns) {
    if (ns > HIGHEST_NS) ns = HIGHEST_NS;
    if (ns < 1024) return (int)ns;
    int octave = 63 - __builtin_clzll((unsigned long long)ns);
    return (octave - 9) * 1024 + (int)((ns >> (octave - 10)) & 1023);
}

static struct distribution empty(void) {
    return (struct distribution){.min_ns = INT64_MAX, .counts = allocate(BUCKETS, sizeof(uint32_t))};
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
    o->last = o->intervals, o->last->begin_ns = o->window_ns = now;
    o->cpu_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID), o->spun_ns = 0;
}

/* Take account of a reply. The window of a closed loop begins with the first after its planned time. */
static void note(struct outcome *o, const struct connection *c, int64_t now, int is_wrong, int is_open) {
    if (!o->last && now >= o->window_ns) begin_window(o, now);
    if (!o->last) return;
    while (now >= o->last->begin_ns + o->interval_ns && o->last < o->intervals + INTERVALS_MAX) {
        o->last->end_ns = o->last->begin_ns + o->interval_ns;
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
    printf(", \"intervals\": [");
    for (const struct interval *s = o->intervals; o->last && s <= o->last; s++) {
        int64_t end_ns = s == o->last ? o->end_ns : s->end_ns;
        printf("%s[%" PRId64 ", %" PRId64 ", %" PRIu64 ", ", s == o->intervals ? "" : ", ", s->begin_ns, end_ns,
               s->mismatches);
        print_distribution(&s->response);
        printf("]");
    }
    printf("]}\n");
}

static struct connection *connect_all(int count, size_t size, char **argv, int epoll) {
    struct connection *connections = allocate((size_t)count, sizeof *connections);
    for (int i = 0; i < count; i++) {
        int fd = connect_to(argv[1], atoi(argv[2]), (struct timeval){0});
        if (fd < 0) die("connect");
        make_message(&connections[i], size, i);
        watch(&connections[i], fd, epoll);
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
            if (events[i].events & EPOLLOUT) send_rest(c, size, epoll);
            if (!(events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))) continue;
            if (c->is_free) { /* nothing is owed, so what came is no echo */
                fprintf(stderr, "the server sent, or closed a connection, without a request\n");
                exit(1);
            }
            int came = receive(c, size);
            if (came < 0) die("the server closed a connection");
            now = now_ns(CLOCK_MONOTONIC);
            if (!came) continue;
            note(o, c, now, is_wrong(c, size), is_open);
            if (is_open) come_free(s, c), now = dispatch(s, now, size, epoll);
            else begin(c, size, epoll);
        }
        if (is_open) now = dispatch(s, now, size, epoll);
    }
    return now;
}

int main(int argc, char **argv) {
    if (argc != 8) {
        fprintf(stderr, "usage: %s ADDRESS PORT CONNECTIONS BYTES WARMUP_S DURATION_S RATE_PER_S\n", argv[0]);
        return 2;
    }
    prepare();
    int count = atoi(argv[3]), epoll = epoll_create1(EPOLL_CLOEXEC);
    size_t size = (size_t)atoll(argv[4]);
    int64_t warmup = (int64_t)(atof(argv[5]) * 1e9), duration = (int64_t)(atof(argv[6]) * 1e9);
    double rate = atof(argv[7]);
    struct connection *connections = connect_all(count, size, argv, epoll);
    int64_t interval_ns = duration / INTERVALS_MAX;
    struct outcome outcome = {.interval_ns = interval_ns > INTERVAL_NS ? interval_ns : INTERVAL_NS};
    outcome.service = empty(), outcome.lateness = empty();
    for (int i = 0; i <= INTERVALS_MAX; i++) outcome.intervals[i].response = empty();
    printf("CONNECTED %d\n", count);
    int64_t start = await_start();
    if (start < 0) return 0;
    outcome.window_ns = start + warmup;
    struct schedule schedule = {.interval_ns = rate > 0 ? 1e9 / rate : 0, .start_ns = start, .due_ns = start,
                                .end_ns = INT64_MAX, .ring = allocate((size_t)count, sizeof *schedule.ring),
                                .capacity = count};
    for (int i = 0; i < count; i++) {
        if (rate > 0) come_free(&schedule, &connections[i]);
        else begin(&connections[i], size, epoll);
    }
    int64_t ended = run(&outcome, &schedule, size, epoll, outcome.window_ns + duration);
    outcome.end_ns = outcome.last ? ended : outcome.window_ns;
    outcome.cpu_ns = outcome.last ? now_ns(CLOCK_PROCESS_CPUTIME_ID) - outcome.cpu_ns : 0;
    int64_t until = hang_up_until_ns(count);
    tell_end(connections, count);
    await_end(connections, count, size, epoll, until);
    print_outcome(&outcome, count - schedule.free);
    return 0;
}
