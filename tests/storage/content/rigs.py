"""Sources and stores of the content tests, and what can be done to them."""

import os

from blake3 import blake3

QUOTA = 2**30
TAIL = 12_345


def make_bytes(length, seed=0):
    return blake3(seed.to_bytes(8, "big")).digest(length)


def write_files(folder, sizes):
    for number, (path, size) in enumerate(sizes.items()):
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(make_bytes(size, number))
    return folder


def read_files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def copy_chunks(datum, sender, receiver, chunks):
    for index in chunks:
        receiver.write_chunk(datum, index, *sender.read_chunk(datum, index))


def list_missing(store, datum):
    """The chunks that are not held, ascending."""
    bitmap = store.get_bitmap(datum)
    chunks = range(store.get_chunk_count(datum))
    return [chunk for chunk in chunks if not bitmap[chunk >> 3] >> (chunk & 7) & 1]


def flip(path, offset):
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes((byte[0] ^ 1,)))


def flat_file(store_directory, datum):
    return store_directory / "data" / datum.hex()


def lose_power(store):
    """Ends a store as a power loss would end it, with all that was written to LevelDB kept."""
    store._release()


def refuse_with(code):
    def refuse(*arguments):
        raise OSError(code, os.strerror(code))

    return refuse
