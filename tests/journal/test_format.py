from hypothesis import given
from hypothesis import strategies as st

from holdfast.journal._format import (
    HEADER_BYTES,
    PAGE,
    BlockHeader,
    generation_name,
    generation_number,
    journal_folder,
    pack_block,
    pack_generation,
    pack_line,
    unpack_block,
    unpack_generation,
    unpack_line,
)

words = st.integers(0, 2**64 - 1)
boots = st.none() | st.text("0123456789abcdef-", min_size=1, max_size=36)


@st.composite
def blocks(draw: st.DrawFn) -> BlockHeader:
    row_bytes = draw(st.integers(0, 1 << 20))
    capacity = draw(st.integers(1, 1000))
    length = -(-(HEADER_BYTES + row_bytes * capacity) // PAGE) * PAGE
    stream = draw(st.integers(0, 2**32 - 1))
    return BlockHeader(stream, draw(words), length, row_bytes, capacity)


@given(number=words, nonce=words, boot=boots)
def test_the_header_of_a_generation_says_what_was_written_into_it(
    number: int, nonce: int, boot: str | None
) -> None:
    header = unpack_generation(pack_generation(number, nonce, boot))

    assert header is not None
    assert (header.number, header.nonce, header.boot_id) == (number, nonce, boot)


@given(block=blocks(), nonce=words)
def test_the_header_of_a_block_says_what_was_written_into_it(
    block: BlockHeader, nonce: int
) -> None:
    found = unpack_block(pack_block(block, nonce), nonce)

    assert found is not None
    assert (found.stream, found.first, found.length) == (block.stream, block.first, block.length)
    assert (found.row_bytes, found.capacity, found.count) == (block.row_bytes, block.capacity, 0)


@given(block=blocks(), nonce=words, other=words)
def test_a_block_of_another_generation_is_not_taken_for_one_of_this(
    block: BlockHeader, nonce: int, other: int
) -> None:
    found = unpack_block(pack_block(block, nonce), other)

    assert (found is not None) == (nonce == other)


@given(content=st.binary(max_size=400))
def test_bytes_that_are_no_header_are_refused(content: bytes) -> None:
    assert unpack_generation(content) is None
    assert unpack_block(content.ljust(HEADER_BYTES, b"\0"), 1) is None


@given(content=st.binary(max_size=99).filter(lambda c: b"\n" not in c), at=words, bit=words)
def test_a_flipped_bit_in_a_line_of_the_catalogue_is_told(
    content: bytes, at: int, bit: int
) -> None:
    line = bytearray(pack_line(content)[:-1])
    assert unpack_line(bytes(line)) == content

    line[at % len(line)] ^= 1 << bit % 8

    assert unpack_line(bytes(line)) is None


@given(number=st.integers(0, 10**17))
def test_a_generation_is_found_by_its_file_name(number: int) -> None:
    assert generation_number(generation_name(number)) == number


@given(
    name=st.text(max_size=12) | st.text("0123456789²", max_size=24).map(lambda t: f"{t}.journal")
)
def test_other_names_are_no_generations(name: str) -> None:
    number = generation_number(name)

    assert number is None or generation_name(number) == name


def test_the_journal_of_a_file_lies_beside_it() -> None:
    assert journal_folder("runs/x.h5") == "runs/x.h5-journal"
