"""Sample content: real files of common kinds, made by rules alone, so that they are the same everywhere.

Three small collections as a data collective might keep: pictures (PNG), tunes (WAV), an almanac (text, JSON,
CSV). Some megabytes together.
"""

import csv
import io
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

WIDTH = HEIGHT = 512
STORED_MAX = 0xFFFF
RATE = 22_050
NOTE_SAMPLES = RATE // 4
PICTURES = 4
TUNES = 3
YEARS = 12
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
          "November", "December")  # fmt: skip


class Collection(NamedTuple):
    """A folder of the sample and what the catalogue says about it."""

    name: str
    title: str
    category: str
    tags: tuple[str, ...]
    write: Callable[[Path], None]


def write_sample(folder: Path) -> list[tuple[Path, Collection]]:
    """The folders of the sample; those that are there already stay."""
    made = []
    for collection in COLLECTIONS:
        path = folder / collection.name
        if not path.is_dir():
            draft = folder / f".{collection.name}"
            draft.mkdir(parents=True, exist_ok=True)
            collection.write(draft)
            draft.rename(path)
        made.append((path, collection))
    return made


def write_pictures(folder: Path) -> None:
    """Patterns of number theory, one colour scheme each."""
    for number in range(PICTURES):
        (folder / f"moire-{number + 1}.png").write_bytes(build_png(number))


def build_png(number: int) -> bytes:
    """A picture in 8-bit RGB (PNG, W3C recommendation)."""
    rows = bytearray()
    for y in range(HEIGHT):
        rows.append(0)
        for x in range(WIDTH):
            wave = (x * x + y * y * (number + 1)) >> (4 + number % 3)
            rows += bytes((wave & 255, (wave >> 2 ^ x) & 255, (wave >> 3 ^ y) & 255))
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", wrap_stored(bytes(rows))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(build_png_chunk(kind, data) for kind, data in parts)


def wrap_stored(data: bytes) -> bytes:
    """A zlib stream without compression (RFC 1950, RFC 1951): what compressors write differs by version."""
    blocks = [data[start : start + STORED_MAX] for start in range(0, len(data), STORED_MAX)]
    stream = bytearray(b"\x78\x01")
    for number, block in enumerate(blocks, start=1):
        size = len(block)
        stream += struct.pack("<BHH", number == len(blocks), size, size ^ STORED_MAX) + block
    return bytes(stream) + struct.pack(">I", zlib.adler32(data))


def build_png_chunk(kind: bytes, data: bytes) -> bytes:
    """Length, kind, data, checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_tunes(folder: Path) -> None:
    """Triangle waves over pentatonic walks."""
    for number in range(TUNES):
        (folder / f"walk-{number + 1}.wav").write_bytes(build_wav(number))


def build_wav(number: int) -> bytes:
    """Half a minute of 16-bit mono (RIFF)."""
    periods = (100, 89, 79, 67, 59, 50)
    sound = bytearray()
    place = number
    for step in range(120):
        place = (place * 5 + step + 1) % len(periods)
        sound += build_note(periods[place] << (step + number) % 2)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE, RATE * 2, 2, 16)
    body = b"WAVE" + form + struct.pack("<4sI", b"data", len(sound)) + bytes(sound)
    return struct.pack("<4sI", b"RIFF", len(body)) + body


def build_note(period: int) -> bytes:
    """A triangle wave that fades."""
    samples = (
        (abs(n % period * 4 - period * 2) - period) * 9000 // period * (NOTE_SAMPLES - n) // NOTE_SAMPLES
        for n in range(NOTE_SAMPLES)
    )
    return struct.pack(f"<{NOTE_SAMPLES}h", *samples)


def write_almanac(folder: Path) -> None:
    """Tides of an imaginary harbour: a text, a table per year, a description for programs."""
    (folder / "README.txt").write_text(
        "The almanac of Port Lattice\n\nHigh water by day, in centimetres above the mark, for twelve years.\n"
        "The harbour does not exist; the arithmetic does.\n"
    )
    fields = {"day": "1-based", "high_water_cm": "above the mark", "hour": "of high water"}
    (folder / "fields.json").write_text(json.dumps(fields, indent=2) + "\n")
    for year in range(1, YEARS + 1):
        (folder / "tides").mkdir(exist_ok=True)
        (folder / "tides" / f"year-{year:02}.csv").write_text(build_year(year))


def build_year(year: int) -> str:
    """A table of 360 days."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("month", "day", "high_water_cm", "hour"))
    for day in range(360):
        phase = (day * 24 + year * 7) % 59
        height = 380 + abs(phase - 29) * 6 + (day * day + year) % 17
        writer.writerow((MONTHS[day // 30], day % 30 + 1, height, (day * 50 // 60 + year) % 24))
    return table.getvalue()


COLLECTIONS = (
    Collection("pictures", "Moire patterns", "images", ("png", "sample"), write_pictures),
    Collection("tunes", "Pentatonic walks", "audio", ("wav", "sample"), write_tunes),
    Collection("almanac", "Almanac of Port Lattice", "data", ("csv", "json", "sample"), write_almanac),
)
