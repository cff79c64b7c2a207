#!/usr/bin/env python3
"""Writes events_golden.h: an event file as TensorBoard's own classes write it; needs tensorboard.

    python3 make_events_golden.py > events_golden.h
"""
import io

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter


class Kept(io.BytesIO):
    def close(self):
        pass


def record(event):
    out = Kept()
    RecordWriter(out).write(event.SerializeToString())
    return out.getvalue()


values = [Summary.Value(tag="validation_loss", simple_value=0.25),
          Summary.Value(tag="precision@1", simple_value=-1e-3)]
data = record(Event(wall_time=1.5e9, file_version="brain.Event:2"))
data += record(Event(wall_time=1.5e9 + 0.5, step=300, summary=Summary(value=values)))
print("/* Made by make_events_golden.py. clang-format off */")
print("static const unsigned char events_golden[] = {")
for k in range(0, len(data), 16):
    print("    " + " ".join("0x%02x," % byte for byte in data[k:k + 16]))
print("};")
