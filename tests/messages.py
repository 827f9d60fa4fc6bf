"""Messages as tests put them and get them back."""

from holdfast import DataLogger, LogArchiveReader
from holdfast.acquisition import Producer


def texts(logger: DataLogger, source: int | str) -> list[bytes]:
    """Return the payloads of a source, in order of time."""
    reader = LogArchiveReader.live(logger.output_directory, source, onset_us=0)
    return [message.payload.tobytes() for message in reader.iter_messages()]


def put_some(producer: Producer, source: int, count: int) -> None:
    """Put messages 0, 1, 2 …, each at its own number."""
    for number in range(count):
        producer.put(source, number, b"%d" % number)
