/* The yardstick: what RabbitMQ gives to a C program on this machine, with the very messages and queues of Postroom.
 *
 *     amqp_speed PORT QUEUE MESSAGE consume EVENTS PREFETCH   takes a backlog, acknowledging every 100 at once
 *     amqp_speed PORT QUEUE MESSAGE publish EVENTS WINDOW     confirmed; WINDOW 1: one by one
 *     amqp_speed PORT QUEUE MESSAGE latency EVENTS RATE       publishes RATE a second, consumes beside it
 *
 * MESSAGE is a folder with two files: `properties`, as AMQP encodes them, and `body`. Events go through the exchange
 * `postroom`, mandatory, as Postroom's do. Prints one JSON object; on an error one line on stderr, and status 1.
 */
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

enum { CHANNEL = 1, FRAME_MAX = 131072, ACK_EVERY = 100, WRITE_AT_ONCE = 50 };

static int port;
static amqp_bytes_t exchange, queue, properties, body;

static void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("amqp_speed: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static double processor_seconds(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static amqp_bytes_t contents(const char *folder, const char *name) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file) die("cannot read %s", path);
    amqp_bytes_t found = amqp_bytes_malloc(1 << 20);
    found.len = fread(found.bytes, 1, found.len, file);
    fclose(file);
    return found;
}

/* Connections */

static void expect(amqp_connection_state_t connection, const char *what) {
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(connection);
    if (reply.reply_type != AMQP_RESPONSE_NORMAL) die("%s failed", what);
}

static amqp_connection_state_t connect_to_broker(void) {
    amqp_connection_state_t connection = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(connection);
    if (!socket || amqp_socket_open(socket, "127.0.0.1", port)) die("cannot connect to port %d", port);
    amqp_rpc_reply_t reply =
        amqp_login(connection, "/", 0, FRAME_MAX, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest");
    if (reply.reply_type != AMQP_RESPONSE_NORMAL) die("login refused");
    amqp_channel_open(connection, CHANNEL);
    expect(connection, "opening a channel");
    return connection;
}

static amqp_connection_state_t connect_to_publish(void) {
    amqp_connection_state_t connection = connect_to_broker();
    amqp_confirm_select(connection, CHANNEL);
    expect(connection, "confirm.select");
    return connection;
}

static amqp_connection_state_t connect_to_consume(int prefetch) {
    amqp_connection_state_t connection = connect_to_broker();
    amqp_basic_qos(connection, CHANNEL, 0, prefetch, 0);
    expect(connection, "basic.qos");
    amqp_basic_consume(connection, CHANNEL, queue, amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
    expect(connection, "basic.consume");
    return connection;
}

static void next_frame(amqp_connection_state_t connection, amqp_frame_t *frame) {
    int status = amqp_simple_wait_frame(connection, frame);
    if (status != AMQP_STATUS_OK) die("%s", amqp_error_string2(status));
}

/* Consuming */

/* Reads one delivery to the end of its body; returns its tag. */
static uint64_t next_delivery(amqp_connection_state_t connection) {
    amqp_frame_t frame;
    next_frame(connection, &frame);
    if (frame.frame_type != AMQP_FRAME_METHOD || frame.payload.method.id != AMQP_BASIC_DELIVER_METHOD)
        die("the broker sent something else than a delivery");
    uint64_t tag = ((amqp_basic_deliver_t *)frame.payload.method.decoded)->delivery_tag;
    next_frame(connection, &frame);
    if (frame.frame_type != AMQP_FRAME_HEADER) die("a delivery without a header");
    uint64_t missing = frame.payload.properties.body_size;
    while (missing > 0) {
        next_frame(connection, &frame);
        missing -= frame.payload.body_fragment.len;
    }
    amqp_maybe_release_buffers(connection);
    return tag;
}

static void consume(int events, int prefetch) {
    amqp_connection_state_t connection = connect_to_consume(prefetch);
    double start = 0, used = 0;
    for (int seen = 1; seen <= events; seen++) {
        uint64_t tag = next_delivery(connection);
        if (seen == 1) start = now(), used = processor_seconds();
        if (seen % ACK_EVERY == 0 || seen == events) amqp_basic_ack(connection, CHANNEL, tag, 1);
    }
    double seconds = now() - start;
    printf("{\"rate\": %.0f, \"cpu\": %.4f}\n", events / seconds, (processor_seconds() - used) * 10000 / events);
    amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
}

/* Publishing */

static char *put(char *at, uint64_t number, int bytes) {
    while (bytes--) *at++ = (char)(number >> (8 * bytes));
    return at;
}

static char *put_bytes(char *at, amqp_bytes_t bytes) {
    memcpy(at, bytes.bytes, bytes.len);
    return at + bytes.len;
}

static char *put_frame_start(char *at, int type, size_t size) {
    return put(put(put(at, type, 1), CHANNEL, 2), size, 4);
}

/* The three frames of one basic.publish. */
static char *put_publish(char *at) {
    at = put_frame_start(at, AMQP_FRAME_METHOD, 4 + 2 + 1 + exchange.len + 1 + queue.len + 1);
    at = put(put(at, AMQP_BASIC_PUBLISH_METHOD, 4), 0, 2);
    at = put_bytes(put(at, exchange.len, 1), exchange);
    at = put_bytes(put(at, queue.len, 1), queue);
    at = put(put(at, 1 /* mandatory */, 1), AMQP_FRAME_END, 1);
    at = put_frame_start(at, AMQP_FRAME_HEADER, 12 + properties.len);
    at = put(put(put(at, AMQP_BASIC_CLASS, 2), 0, 2), body.len, 8);
    at = put(put_bytes(at, properties), AMQP_FRAME_END, 1);
    at = put_frame_start(at, AMQP_FRAME_BODY, body.len);
    return put(put_bytes(at, body), AMQP_FRAME_END, 1);
}

static void write_all(amqp_connection_state_t connection, const char *bytes, size_t size) {
    while (size > 0) {
        ssize_t sent = send(amqp_get_sockfd(connection), bytes, size, MSG_NOSIGNAL);
        if (sent < 0) die("the connection is lost");
        bytes += sent;
        size -= sent;
    }
}

/* Waits until the tags first to last are confirmed, in whatever order. */
static void await_confirms(amqp_connection_state_t connection, uint64_t first, uint64_t last, char *confirmed) {
    uint64_t missing = last - first + 1, lowest = first;
    memset(confirmed, 0, missing);
    while (missing > 0) {
        amqp_frame_t frame;
        next_frame(connection, &frame);
        if (frame.frame_type != AMQP_FRAME_METHOD || frame.payload.method.id != AMQP_BASIC_ACK_METHOD)
            die("a publish was not confirmed");
        amqp_basic_ack_t *ack = frame.payload.method.decoded;
        for (uint64_t tag = ack->multiple ? lowest : ack->delivery_tag; tag <= ack->delivery_tag; tag++)
            if (!confirmed[tag - first]) confirmed[tag - first] = 1, missing--;
        if (ack->multiple) lowest = ack->delivery_tag + 1;
        amqp_maybe_release_buffers(connection);
    }
}

/* One publish through the library, and its confirm. */
static void publish_one(amqp_connection_state_t connection, uint64_t tag, amqp_basic_properties_t *decoded) {
    char confirmed[1];
    if (amqp_basic_publish(connection, CHANNEL, exchange, queue, 1, 0, decoded, body)) die("publish failed");
    await_confirms(connection, tag, tag, confirmed);
}

static amqp_basic_properties_t *decode_properties(void) {
    static amqp_pool_t pool;
    void *decoded;
    init_amqp_pool(&pool, 4096);
    if (amqp_decode_properties(AMQP_BASIC_CLASS, &pool, properties, &decoded)) die("the properties make no sense");
    return decoded;
}

static void publish(int events, int window) {
    amqp_connection_state_t connection = connect_to_publish();
    amqp_basic_properties_t *decoded = decode_properties();
    char *confirmed = malloc(window);
    char *buffer = malloc(WRITE_AT_ONCE * (properties.len + body.len + 700));
    double start = now(), used = processor_seconds();
    for (int done = 0; done < events; done += window) {
        if (window == 1) {
            publish_one(connection, done + 1, decoded);
            continue;
        }
        for (int written = 0; written < window; written += WRITE_AT_ONCE) {
            char *end = buffer;
            for (int n = written; n < window && n < written + WRITE_AT_ONCE; n++) end = put_publish(end);
            write_all(connection, buffer, end - buffer);
        }
        await_confirms(connection, done + 1, done + window, confirmed);
    }
    double seconds = now() - start;
    printf("{\"rate\": %.0f, \"cpu\": %.4f}\n", events / seconds, (processor_seconds() - used) * 10000 / events);
    amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
}

/* Latency */

struct run {
    int events, rate;
    double *sent;
};

static void *publish_steadily(void *argument) {
    struct run *run = argument;
    amqp_connection_state_t connection = connect_to_publish();
    amqp_basic_properties_t *decoded = decode_properties();
    double due = now();
    for (int n = 0; n < run->events; n++, due += 1.0 / run->rate) {
        double rest = due - now();
        if (rest > 0) nanosleep(&(struct timespec){(time_t)rest, (long)((rest - (time_t)rest) * 1e9)}, NULL);
        run->sent[n] = now();
        publish_one(connection, n + 1, decoded);
    }
    amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
    return NULL;
}

static int ascending(const void *a, const void *b) {
    double difference = *(const double *)a - *(const double *)b;
    return (difference > 0) - (difference < 0);
}

static void latency(int events, int rate) {
    struct run run = {events, rate, calloc(events, sizeof(double))};
    double *waits = calloc(events, sizeof(double));
    pthread_t publisher;
    amqp_connection_state_t connection = connect_to_consume(500);
    if (pthread_create(&publisher, NULL, publish_steadily, &run)) die("no thread");
    for (int n = 0; n < events; n++) { /* first in, first out: the n-th received is the n-th sent */
        uint64_t tag = next_delivery(connection);
        waits[n] = now() - run.sent[n];
        amqp_basic_ack(connection, CHANNEL, tag, 0);
    }
    pthread_join(publisher, NULL);
    amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
    qsort(waits, events, sizeof(double), ascending);
    printf("{\"p50\": %.3f, \"p99\": %.3f}\n", waits[events / 2] * 1000, waits[events * 99 / 100] * 1000);
}

int main(int count, char **arguments) {
    if (count != 7) die("usage: amqp_speed PORT QUEUE MESSAGE consume|publish|latency EVENTS PREFETCH|WINDOW|RATE");
    port = atoi(arguments[1]);
    exchange = amqp_cstring_bytes("postroom");
    queue = amqp_cstring_bytes(arguments[2]);
    properties = contents(arguments[3], "properties");
    body = contents(arguments[3], "body");
    int events = atoi(arguments[5]), option = atoi(arguments[6]);
    if (events < 1 || option < 1) die("the two numbers must be at least 1");
    if (!strcmp(arguments[4], "consume")) consume(events, option);
    else if (!strcmp(arguments[4], "publish")) publish(events - events % option, option);
    else if (!strcmp(arguments[4], "latency")) latency(events, option);
    else die("no mode %s", arguments[4]);
    return 0;
}
