"""Walking an MCAP file chunk by chunk, so that damage costs only the chunks that it hit.

The walk needs no summary and no footer: it reads record headers, finds the next plausible chunk after a broken
one, and checks each chunk's CRC when its messages are asked for. Messages outside of chunks, as rosbag2 writes them
without chunking, are taken in runs. Source: MCAP specification, records and chunks.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import lz4.block  # pyright: ignore[reportMissingTypeStubs]
import zstandard
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, Message, Schema
from mcap.stream_reader import breakup_chunk

MAGIC = b"\x89MCAP0\r\n"
_lz4: Any = lz4.block
LZ4_ERROR: type[Exception] = _lz4.LZ4BlockError
MAX_RECORD_BYTES = 1 << 30
CHUNK_HEADER = struct.Struct("<QQQI")
COMPRESSIONS = (b"", b"zstd", b"lz4")
LAST_OPCODE = 0x0F
FIRST_PRIVATE_OPCODE = 0x80
LOOSE_MESSAGE = struct.Struct("<HIQQ")
"""Channel id, sequence, log time and publish time, before the data."""
LOOSE_RUN_BYTES = 1 << 20
"""How much of the messages outside of chunks is read at a time; a larger message is read alone."""


class DamagedChunkError(Exception):
    """A chunk's bytes are not what was written."""


@dataclass(frozen=True, kw_only=True)
class ChunkPlace:
    """Where a chunk or a run of loose messages lies, and what it covers.

    Args:
        offset: Byte at which its (first) record begins.
        length: Bytes of the chunk's record behind its opcode and length; of a run, all its bytes.
        start_ns: Earliest log time.
        end_ns: Latest log time.
        counts: Messages of each channel id in it; empty where a chunk has no index.
        loose: Whether it is a run of messages outside of chunks.

    """

    offset: int
    length: int
    start_ns: int
    end_ns: int
    counts: dict[int, int] = field(default_factory=dict[int, int])
    loose: bool = False


@dataclass(kw_only=True)
class FileLayout:
    """Chunks and tables of an MCAP file, and what is broken about its outer structure.

    Args:
        chunks: In the order of the file.
        schemas: By id, those outside of chunks.
        channels: Likewise.
        damage: One sentence for each place where something is lost.
        oddities: One for each where nothing is.

    """

    chunks: list[ChunkPlace]
    schemas: dict[int, Schema]
    channels: dict[int, Channel]
    damage: list[str]
    oddities: list[str]


def scan(path: Path) -> FileLayout:
    """Find all chunks without decompressing any."""
    layout = FileLayout(chunks=[], schemas={}, channels={}, damage=[], oddities=[])
    size = path.stat().st_size
    with path.open("rb") as file:
        position, ended = len(MAGIC), False
        while position + 9 <= size:
            file.seek(position)
            opcode, length = struct.unpack("<BQ", file.read(9))
            if opcode == Opcode.FOOTER and length == 20:
                ended = True
                break
            whole = length <= MAX_RECORD_BYTES and position + 9 + length <= size
            if not (whole and _read_record(file, opcode, position, length, layout)):
                found = _next_chunk(file, position + 1, size)
                layout.damage.append(
                    f"byte {position}: no whole record; " + ("went on" if found else "nothing after it")
                )
                if found is None:
                    ended = True
                    break
                position = found
                continue
            position += 9 + length
        if not ended:
            layout.damage.append(f"byte {size}: the file ends without its footer (cut off while it was written?)")
    return layout


def records(path: Path, place: ChunkPlace) -> list[Schema | Channel | Message]:
    """Schemas, channels and messages of a chunk; messages of a run.

    Raises:
        DamagedChunkError: The chunk does not decompress, or its CRC is wrong.

    """
    with path.open("rb") as file:
        file.seek(place.offset if place.loose else place.offset + 9)
        data = file.read(place.length)
    try:
        if place.loose:
            return list(_loose_messages(data))
        chunk = Chunk.read(ReadDataStream(BytesIO(data)))
        parts = breakup_chunk(chunk, validate_crc=True)
    except (
        McapError,
        zstandard.ZstdError,
        LZ4_ERROR,
        struct.error,
        ValueError,
        EOFError,
        MemoryError,
        OverflowError,
    ) as error:
        raise DamagedChunkError(f"byte {place.offset}: a chunk of {place.length} bytes is damaged ({error})") from error
    return [record for record in parts if isinstance(record, Schema | Channel | Message)]


def _read_record(file: BinaryIO, opcode: int, position: int, length: int, layout: FileLayout) -> bool:
    """Note a record of the outer structure; False if it cannot be one."""
    if opcode == Opcode.CHUNK:
        place = _chunk_at(file, position, length)
        if place is None:
            return False
        layout.chunks.append(place)
    elif opcode == Opcode.MESSAGE:
        return _add_loose(file, position, length, layout.chunks)
    elif (hit := _chunk_at(file, position, length)) is not None:
        # No other record looks like one; whether its content is whole is told by its checksum.
        layout.chunks.append(hit)
        layout.oddities.append(f"byte {position}: a chunk that is marked as another record ({opcode}); it is read")
    else:
        file.seek(position + 9)
        return _read_table(file, opcode, length, layout)
    return True


def _read_table(file: BinaryIO, opcode: int, length: int, layout: FileLayout) -> bool:
    """Note what a record tells of chunks and channels; others' are passed over, False if it can be of nobody."""
    if opcode == Opcode.MESSAGE_INDEX and layout.chunks and not layout.chunks[-1].loose:
        channel_id, array_bytes = struct.unpack("<HI", file.read(6)) if length >= 6 else (0, 0)
        layout.chunks[-1].counts[channel_id] = array_bytes // 16
    elif opcode in (Opcode.SCHEMA, Opcode.CHANNEL):
        stream = ReadDataStream(BytesIO(file.read(length)))
        try:
            if opcode == Opcode.SCHEMA:
                schema = Schema.read(stream)
                layout.schemas[schema.id] = schema
            else:
                channel = Channel.read(stream)
                layout.channels[channel.id] = channel
        except (McapError, struct.error, UnicodeDecodeError, EOFError):
            return False
    return 1 <= opcode <= LAST_OPCODE or opcode >= FIRST_PRIVATE_OPCODE


def _add_loose(file: BinaryIO, position: int, length: int, places: list[ChunkPlace]) -> bool:
    """Note a message outside of chunks, in the run before it where it continues that; False if it cannot be one."""
    if length < LOOSE_MESSAGE.size:
        return False
    channel_id, _, log_ns, _ = LOOSE_MESSAGE.unpack(file.read(LOOSE_MESSAGE.size))
    end = position + 9 + length
    last = places[-1] if places else None
    if last is None or not last.loose or last.offset + last.length != position or end - last.offset > LOOSE_RUN_BYTES:
        counts = {channel_id: 1}
        places.append(
            ChunkPlace(offset=position, length=9 + length, start_ns=log_ns, end_ns=log_ns, counts=counts, loose=True)
        )
        return True
    last.counts[channel_id] = last.counts.get(channel_id, 0) + 1
    start_ns, end_ns = min(last.start_ns, log_ns), max(last.end_ns, log_ns)
    places[-1] = replace(last, length=end - last.offset, start_ns=start_ns, end_ns=end_ns)
    return True


def _loose_messages(data: bytes) -> Iterator[Message]:
    """Messages of a run; its records were found whole when the file was scanned."""
    position = 0
    while position < len(data):
        (length,) = struct.unpack_from("<Q", data, position + 1)
        channel_id, sequence, log_ns, publish_ns = LOOSE_MESSAGE.unpack_from(data, position + 9)
        yield Message(
            channel_id=channel_id,
            sequence=sequence,
            log_time=log_ns,
            publish_time=publish_ns,
            data=data[position + 9 + LOOSE_MESSAGE.size : position + 9 + length],
        )
        position += 9 + length


def _chunk_at(file: BinaryIO, position: int, length: int) -> ChunkPlace | None:
    head = file.read(CHUNK_HEADER.size + 4)
    if len(head) < CHUNK_HEADER.size + 4 or length < CHUNK_HEADER.size + 12:
        return None
    start_ns, end_ns, uncompressed, _ = CHUNK_HEADER.unpack_from(head)
    (name_bytes,) = struct.unpack_from("<I", head, CHUNK_HEADER.size)
    if name_bytes > 8 or uncompressed > MAX_RECORD_BYTES or start_ns > end_ns:
        return None
    if file.read(name_bytes) not in COMPRESSIONS:
        return None
    (body,) = struct.unpack("<Q", file.read(8))
    if CHUNK_HEADER.size + 4 + name_bytes + 8 + body != length:
        return None
    return ChunkPlace(offset=position, length=length, start_ns=start_ns, end_ns=end_ns)


def _next_chunk(file: BinaryIO, position: int, size: int) -> int | None:
    """Offset of the next record that can only be a chunk."""
    for candidate in _occurrences(file, bytes([Opcode.CHUNK]), position):
        file.seek(candidate + 1)
        (length,) = struct.unpack("<Q", file.read(8).ljust(8, b"\xff"))
        if candidate + 9 + length <= size and _chunk_at(file, candidate, length) is not None:
            return candidate
    return None


def _occurrences(file: BinaryIO, needle: bytes, position: int, block: int = 1 << 20) -> Iterator[int]:
    while True:
        file.seek(position, os.SEEK_SET)
        data = file.read(block)
        if not data:
            return
        found = data.find(needle)
        while found >= 0:
            yield position + found
            found = data.find(needle, found + 1)
        position += len(data)
