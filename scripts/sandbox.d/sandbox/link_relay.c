/*
 * link-relay: the wire between two network namespaces, with delay, loss, a rate and silent cut.
 *
 *     link-relay NETNS_A INTERFACE_A NETNS_B INTERFACE_B CONTROL_SOCKET DELAY_MS
 *
 * It creates one TAP interface in each namespace and carries Ethernet frames between them. The kernel's own
 * tool for this (netem) is a module that many machines lack. Real TCP runs from end to end, unlike in a proxy.
 *
 * Control: connect to the unix socket, send one line, read one line:
 *     delay MS | loss PERCENT | rate MBIT | cut [a-to-b|b-to-a] | restore | stats
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { LARGEST_FRAME = 70000, FRAMES_PER_TURN = 64 };
/* A queue longer than this drops frames, as a router's would. */
static const size_t LONGEST_QUEUE = 64u << 20;

struct frame {
    struct frame *next;
    uint64_t due;
    size_t length;
    unsigned char bytes[];
};

struct direction {
    int from, to;
    int cut;
    struct frame *first, *last;
    size_t queued;
    /* When the last bit of the last frame has left. */
    uint64_t free_at;
    uint64_t frames, bytes, dropped;
};

static struct direction directions[2];
static uint64_t delay_ns;
static uint64_t loss_per_million;
/* 0: as fast as the machine can. */
static double nanoseconds_per_byte;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Opens a TAP interface that lives in the named namespace; the descriptor works from any other. */
static int open_tap(const char *namespace, const char *interface) {
    char path[256];
    snprintf(path, sizeof path, "/run/netns/%s", namespace);
    int namespace_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (namespace_fd < 0) fail(path);
    if (setns(namespace_fd, CLONE_NEWNET) < 0) fail("setns");
    close(namespace_fd);
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) fail("/dev/net/tun");
    struct ifreq request = {0};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", interface);
    /* With a virtio header whole TCP segments of up to 64 KiB pass as one frame: four times the throughput. */
    request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    if (ioctl(fd, TUNSETIFF, &request) < 0) fail("TUNSETIFF");
    if (ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0) fail("TUNSETOFFLOAD");
    return fd;
}

static int lost_by_chance(void) {
    static uint64_t state = 0x9E3779B97F4A7C15u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % 1000000u < loss_per_million;
}

static void receive(struct direction *d) {
    static unsigned char buffer[LARGEST_FRAME];
    for (int turn = 0; turn < FRAMES_PER_TURN; turn++) {
        ssize_t length = read(d->from, buffer, sizeof buffer);
        if (length <= 0) return;
        if (d->cut || lost_by_chance() || d->queued + (size_t)length > LONGEST_QUEUE) {
            d->dropped++;
            continue;
        }
        if (delay_ns == 0 && nanoseconds_per_byte == 0 && d->first == NULL) {
            if (write(d->to, buffer, (size_t)length) < 0) d->dropped++;
            else d->frames++, d->bytes += (size_t)length;
            continue;
        }
        struct frame *frame = malloc(sizeof *frame + (size_t)length);
        if (frame == NULL) fail("malloc");
        frame->next = NULL;
        uint64_t now = now_ns();
        d->free_at = (d->free_at > now ? d->free_at : now) + (uint64_t)((double)length * nanoseconds_per_byte);
        frame->due = d->free_at + delay_ns;
        frame->length = (size_t)length;
        memcpy(frame->bytes, buffer, (size_t)length);
        if (d->last) d->last->next = frame;
        else d->first = frame;
        d->last = frame;
        d->queued += (size_t)length;
    }
}

static void deliver_due(struct direction *d) {
    while (d->first && d->first->due <= now_ns()) {
        struct frame *frame = d->first;
        d->first = frame->next;
        if (d->first == NULL) d->last = NULL;
        d->queued -= frame->length;
        if (d->cut || write(d->to, frame->bytes, frame->length) < 0) d->dropped++;
        else d->frames++, d->bytes += frame->length;
        free(frame);
    }
}

static int listen_for_control(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        fprintf(stderr, "control socket path is too long\n");
        exit(1);
    }
    strcpy(address.sun_path, path);
    unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    umask(0077);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 8) < 0) fail(path);
    return fd;
}

static void obey(int listener) {
    int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (client < 0) return;
    struct timeval patience = {.tv_sec = 1};
    setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    char line[128] = "", verb[16] = "", argument[32] = "", answer[400];
    ssize_t length = read(client, line, sizeof line - 1);
    if (length > 0 && sscanf(line, "%15s %31s", verb, argument) >= 1) {
        if (!strcmp(verb, "delay")) delay_ns = (uint64_t)(atof(argument) * 1e6);
        else if (!strcmp(verb, "loss")) loss_per_million = (uint64_t)(atof(argument) * 1e4);
        else if (!strcmp(verb, "rate")) nanoseconds_per_byte = atof(argument) > 0 ? 8e3 / atof(argument) : 0;
        else if (!strcmp(verb, "cut")) {
            if (strcmp(argument, "b-to-a")) directions[0].cut = 1;
            if (strcmp(argument, "a-to-b")) directions[1].cut = 1;
        } else if (!strcmp(verb, "restore")) directions[0].cut = directions[1].cut = 0;
    }
    int size = snprintf(answer, sizeof answer, "delay_ms=%.1f loss_percent=%.4f", (double)delay_ns / 1e6,
                        (double)loss_per_million / 1e4);
    for (int i = 0; i < 2; i++)
        size += snprintf(answer + size, sizeof answer - (size_t)size,
                         " %s_cut=%d %s_frames=%llu %s_bytes=%llu %s_dropped=%llu", i ? "b_to_a" : "a_to_b",
                         directions[i].cut, i ? "b_to_a" : "a_to_b", (unsigned long long)directions[i].frames,
                         i ? "b_to_a" : "a_to_b", (unsigned long long)directions[i].bytes,
                         i ? "b_to_a" : "a_to_b", (unsigned long long)directions[i].dropped);
    answer[size++] = '\n';
    if (write(client, answer, (size_t)size) < 0) { /* the asker has gone */ }
    close(client);
}

int main(int argc, char **argv) {
    if (argc != 7) {
        fprintf(stderr, "usage: link-relay NETNS_A INTERFACE_A NETNS_B INTERFACE_B CONTROL_SOCKET DELAY_MS\n");
        return 2;
    }
    int a = open_tap(argv[1], argv[2]), b = open_tap(argv[3], argv[4]);
    directions[0] = (struct direction){.from = a, .to = b};
    directions[1] = (struct direction){.from = b, .to = a};
    delay_ns = (uint64_t)(atof(argv[6]) * 1e6);
    int listener = listen_for_control(argv[5]);
    for (;;) {
        struct pollfd waiting[3] = {{a, POLLIN, 0}, {b, POLLIN, 0}, {listener, POLLIN, 0}};
        uint64_t earliest = UINT64_MAX, now = now_ns();
        for (int i = 0; i < 2; i++)
            if (directions[i].first && directions[i].first->due < earliest) earliest = directions[i].first->due;
        struct timespec pause, *timeout = NULL;
        if (earliest != UINT64_MAX) {
            uint64_t left = earliest > now ? earliest - now : 0;
            pause = (struct timespec){(time_t)(left / 1000000000u), (long)(left % 1000000000u)};
            timeout = &pause;
        }
        if (ppoll(waiting, 3, timeout, NULL) < 0 && errno != EINTR) fail("ppoll");
        for (int i = 0; i < 2; i++) {
            deliver_due(&directions[i]);
            if (waiting[i].revents & POLLIN) receive(&directions[i]);
            else if (waiting[i].revents) return 0; /* the namespace and its interface have gone */
        }
        if (waiting[2].revents) obey(listener);
    }
}
