"""Sizes and ages against what docker and BuildKit printed for the same numbers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from minidock.core import units
from minidock.errors import InvalidUnit

# bytes, three digits (docker's 1e+03kB written as 1MB), four digits, BuildKit's progress, binary
SIZES = [
    (0, "0B", "0B", "0B", "0B"),
    (1, "1B", "1B", "1B", "1B"),
    (4, "4B", "4B", "4B", "4B"),
    (36, "36B", "36B", "36B", "36B"),
    (512, "512B", "512B", "512B", "512B"),
    (999, "999B", "999B", "999B", "999B"),
    (1000, "1kB", "1kB", "1.00kB", "1000B"),
    (1001, "1kB", "1.001kB", "1.00kB", "1001B"),
    (1004, "1kB", "1.004kB", "1.00kB", "1004B"),
    (1005, "1kB", "1.005kB", "1.00kB", "1005B"),
    (1006, "1.01kB", "1.006kB", "1.01kB", "1006B"),
    (1024, "1.02kB", "1.024kB", "1.02kB", "1KiB"),
    (1049, "1.05kB", "1.049kB", "1.05kB", "1.024KiB"),
    (1050, "1.05kB", "1.05kB", "1.05kB", "1.025KiB"),
    (1234, "1.23kB", "1.234kB", "1.23kB", "1.205KiB"),
    (1500, "1.5kB", "1.5kB", "1.50kB", "1.465KiB"),
    (2035768, "2.04MB", "2.036MB", "2.04MB", "1.941MiB"),
    (1982520, "1.98MB", "1.983MB", "1.98MB", "1.891MiB"),
    (9999, "10kB", "9.999kB", "10.00kB", "9.765KiB"),
    (10000, "10kB", "10kB", "10.00kB", "9.766KiB"),
    (12345, "12.3kB", "12.35kB", "12.35kB", "12.06KiB"),
    (99949, "99.9kB", "99.95kB", "99.95kB", "97.61KiB"),
    (99950, "100kB", "99.95kB", "99.95kB", "97.61KiB"),
    (99999, "100kB", "100kB", "100.00kB", "97.66KiB"),
    (100000, "100kB", "100kB", "100.00kB", "97.66KiB"),
    (123456, "123kB", "123.5kB", "123.46kB", "120.6KiB"),
    (307200, "307kB", "307.2kB", "307.20kB", "300KiB"),
    (999499, "999kB", "999.5kB", "999.50kB", "976.1KiB"),
    (999500, "1MB", "999.5kB", "999.50kB", "976.1KiB"),
    (999949, "1MB", "999.9kB", "999.95kB", "976.5KiB"),
    (999950, "1MB", "1000kB", "999.95kB", "976.5KiB"),
    (999999, "1MB", "1000kB", "1000.00kB", "976.6KiB"),
    (1000000, "1MB", "1MB", "1.00MB", "976.6KiB"),
    (1048576, "1.05MB", "1.049MB", "1.05MB", "1MiB"),
    (1982520, "1.98MB", "1.983MB", "1.98MB", "1.891MiB"),
    (2289720, "2.29MB", "2.29MB", "2.29MB", "2.184MiB"),
    (2409760, "2.41MB", "2.41MB", "2.41MB", "2.298MiB"),
    (7330000, "7.33MB", "7.33MB", "7.33MB", "6.99MiB"),
    (12345678, "12.3MB", "12.35MB", "12.35MB", "11.77MiB"),
    (77777777, "77.8MB", "77.78MB", "77.78MB", "74.17MiB"),
    (123456789, "123MB", "123.5MB", "123.46MB", "117.7MiB"),
    (187654321, "188MB", "187.7MB", "187.65MB", "179MiB"),
    (999499999, "999MB", "999.5MB", "999.50MB", "953.2MiB"),
    (999500000, "1GB", "999.5MB", "999.50MB", "953.2MiB"),
    (999999999, "1GB", "1000MB", "1000.00MB", "953.7MiB"),
    (1000000000, "1GB", "1GB", "1.00GB", "953.7MiB"),
    (1073741824, "1.07GB", "1.074GB", "1.07GB", "1GiB"),
    (1234567890, "1.23GB", "1.235GB", "1.23GB", "1.15GiB"),
    (12345678901, "12.3GB", "12.35GB", "12.35GB", "11.5GiB"),
    (123456789012, "123GB", "123.5GB", "123.46GB", "115GiB"),
    (1000000000000, "1TB", "1TB", "1.00TB", "931.3GiB"),
    (1234567890123, "1.23TB", "1.235TB", "1.23TB", "1.123TiB"),
]

# seconds, age in words
DURATIONS = [
    (-5, "Less than a second"),
    (0, "Less than a second"),
    (0.9, "Less than a second"),
    (1, "1 second"),
    (1.9, "1 second"),
    (2, "2 seconds"),
    (59, "59 seconds"),
    (59.9, "59 seconds"),
    (60, "About a minute"),
    (119, "About a minute"),
    (120, "2 minutes"),
    (2140, "35 minutes"),
    (3599, "59 minutes"),
    (3600, "About an hour"),
    (5340, "About an hour"),
    (5399, "About an hour"),
    (5400, "2 hours"),
    (8940, "2 hours"),
    (9000, "3 hours"),
    (84600, "24 hours"),
    (86400, "24 hours"),
    (129600, "36 hours"),
    (170940, "47 hours"),
    (171000, "2 days"),
    (172800, "2 days"),
    (302400, "3 days"),
    (518400, "6 days"),
    (604800, "7 days"),
    (1123200, "13 days"),
    (1206000, "13 days"),
    (1207800, "2 weeks"),
    (1209600, "2 weeks"),
    (1728000, "2 weeks"),
    (1814400, "3 weeks"),
    (2419200, "4 weeks"),
    (2592000, "4 weeks"),
    (3024000, "5 weeks"),
    (5097600, "8 weeks"),
    (5184000, "2 months"),
    (7689600, "2 months"),
    (7776000, "3 months"),
    (15552000, "6 months"),
    (31536000, "12 months"),
    (62985600, "24 months"),
    (63072000, "2 years"),
    (94521600, "2 years"),
    (94608000, "3 years"),
    (315360000, "10 years"),
    (1767225600, "56 years"),
]

# an option's text, the bytes that docker makes of it or its error
OPTION_SIZES: list[tuple[str, int | str]] = [
    ("512", 512),
    ("512b", 512),
    ("4k", 4096),
    ("4kb", 4096),
    ("4K", 4096),
    ("4KiB", 4096),
    ("1.5m", 1572864),
    ("64m", 67108864),
    ("64M", 67108864),
    ("64MB", 67108864),
    ("1g", 1073741824),
    ("1gib", 1073741824),
    ("1t", 1099511627776),
    ("-1", "invalid size: '-1'"),
    ("1x", "invalid suffix: 'x'"),
    ("", "invalid size: ''"),
    ("1 g", 1073741824),
    ("1e3", 1000),
    ("1.2.3", 'strconv.ParseFloat: parsing "1.2.3": invalid syntax'),
    ("m", "invalid size: 'm'"),
    ("1kib2", 'strconv.ParseFloat: parsing "1kib2": invalid syntax'),
    ("1bb", "invalid suffix: 'bb'"),
    ("1MIBS", "invalid suffix: 'mibs'"),
    ("1e999g", 'strconv.ParseFloat: parsing "1e999": value out of range'),
]


@pytest.mark.parametrize(("size", "three", "four", "progress", "binary"), SIZES)
def test_sizes_read_as_in_docker(size: int, three: str, four: str, progress: str, binary: str) -> None:
    shown = (units.human_size(size), units.human_size(size, 4), units.progress_size(size), units.binary_size(size))
    assert shown == (three, four, progress, binary)


@pytest.mark.parametrize(("seconds", "words"), DURATIONS)
def test_ages_read_as_in_docker(seconds: float, words: str) -> None:
    assert units.human_duration(seconds) == words


def test_an_age_is_the_difference_of_two_moments() -> None:
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    assert units.ago(now - timedelta(seconds=8), now) == "8 seconds ago"
    assert units.ago(now + timedelta(hours=1), now) == "Less than a second ago"


@pytest.mark.parametrize(("text", "expected"), OPTION_SIZES)
def test_sizes_of_options_are_read_as_in_docker(text: str, expected: int | str) -> None:
    if isinstance(expected, int):
        assert units.parse_size(text) == expected
    else:
        with pytest.raises(InvalidUnit) as caught:
            units.parse_size(text)
        assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("part", "whole", "expected"), [(0, 0, 0), (5, 5, 100), (999_999, 1_000_000, 99), (1, 1000, 0), (1, 3, 33)]
)
def test_only_all_of_it_is_a_hundred_percent(part: int, whole: int, expected: int) -> None:
    assert units.percent(part, whole) == expected
