"""Promises of handlers.units.byte_sizes."""

import pytest

from handlers.units.byte_sizes import format_size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    (
        ("5GB", 5_000_000_000),
        ("5 gb", 5_000_000_000),
        ("500MB", 500_000_000),
        ("1.5kB", 1500),
        ("2GiB", 2 << 30),
        ("0.5MiB", 1 << 19),
        ("1TiB", 1 << 40),
        (4096, 4096),
        ("4096", 4096),
        (5e9, 5_000_000_000),
    ),
)
def test_sizes(text: object, size: int) -> None:
    """GB is a power of 1000 and GiB of 1024, as in Hugging Face's max_shard_size."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ("", "GB", "5XB", "-5GB", "0", "0.1", "5GB 3", True, None, "1e9", float("nan")))
def test_no_sizes(text: object) -> None:
    """What is no size says how to write one."""
    with pytest.raises(ValueError, match="is no size; write 5GB"):
        parse_size(text)


@pytest.mark.parametrize(("count", "text"), ((0, "0 B"), (999, "999 B"), (25_100_000, "25.1 MB"), (12.3e9, "12.3 GB")))
def test_sizes_have_the_unit_that_fits(count: float, text: str) -> None:
    """Decimal units, as file systems' makers and `ls --si` have them."""
    assert format_size(count) == text
