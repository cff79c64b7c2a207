/* TensorBoard's event files. A file is records of TFRecord: length (u64), masked CRC-32C of it
   (u32), data, masked CRC-32C of the data, all little-endian; the mask is rotate(crc, right 15) +
   0xa282ead8. Data is the protocol buffer message Event (tensorflow/core/util/event.proto):
     1 wall_time double   2 step int64   3 file_version string   5 summary Summary
   Summary is repeated Value in field 1: 1 tag string, 2 simple_value float. The first record of a
   file says file_version "brain.Event:2". */
#include "train/train.h"

#include <string.h>

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 }; /* wire types */

/* Castagnoli's polynomial, reflected, bit by bit: events are a few hundred bytes. */
static uint32_t crc32c(const char *data, size_t size)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < size; i++) {
        crc ^= (unsigned char)data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

static void add_little_endian(ak_text *out, uint64_t number, int bytes)
{
    char text[8];
    for (int i = 0; i < bytes; i++)
        text[i] = (char)(number >> 8 * i & 0xff);
    ak_text_add(out, text, (size_t)bytes);
}

static void add_masked_crc(ak_text *out, const char *data, size_t size)
{
    uint32_t crc = crc32c(data, size);
    add_little_endian(out, (crc >> 15 | crc << 17) + 0xa282ead8u, 4);
}

static void add_record(ak_text *out, const ak_text *data)
{
    ak_text length = {0};
    add_little_endian(&length, data->size, 8);
    out->failed |= length.failed || data->failed;
    if (out->failed) {
        ak_free(length.data);
        return;
    }
    ak_text_add(out, length.data, length.size);
    add_masked_crc(out, length.data, length.size);
    ak_text_add(out, data->data, data->size);
    add_masked_crc(out, data->data, data->size);
    ak_free(length.data);
}

/* ---- protocol buffers ---- */

static void add_varint(ak_text *out, uint64_t number)
{
    char text[10];
    size_t size = 0;
    for (; number >= 0x80; number >>= 7)
        text[size++] = (char)(number | 0x80);
    text[size++] = (char)number;
    ak_text_add(out, text, size);
}

static void add_key(ak_text *out, int field, int wire_type)
{
    add_varint(out, (uint64_t)(field << 3 | wire_type));
}

static void add_double(ak_text *out, int field, double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    add_key(out, field, FIXED64);
    add_little_endian(out, bits, 8);
}

static void add_float(ak_text *out, int field, float number)
{
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    add_key(out, field, FIXED32);
    add_little_endian(out, bits, 4);
}

static void add_bytes(ak_text *out, int field, const char *data, size_t size)
{
    add_key(out, field, BYTES);
    add_varint(out, size);
    ak_text_add(out, data, size);
}

static void add_message(ak_text *out, int field, ak_text *message)
{
    out->failed |= message->failed;
    if (!out->failed)
        add_bytes(out, field, message->data, message->size);
    ak_free(message->data);
}

static void add_summary(ak_text *out, const ak_event *event)
{
    ak_text summary = {0};
    for (int i = 0; i < event->count; i++) {
        ak_text value = {0};
        add_bytes(&value, 1, event->tags[i], strlen(event->tags[i]));
        add_float(&value, 2, event->values[i]);
        add_message(&summary, 1, &value);
    }
    add_message(out, 5, &summary);
}

void ak_event_write(ak_text *out, const ak_event *event, double wall_time)
{
    static const char version[] = "brain.Event:2";
    ak_text data = {0};
    add_double(&data, 1, wall_time);
    if (event) {
        add_key(&data, 2, VARINT);
        add_varint(&data, (uint64_t)event->step);
        add_summary(&data, event);
    } else {
        add_bytes(&data, 3, version, sizeof version - 1);
    }
    add_record(out, &data);
    ak_free(data.data);
}
