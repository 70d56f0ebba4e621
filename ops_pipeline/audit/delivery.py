"""Reads the records of a CloudTrail file: `{"Records": [...]}`, plain or gzip."""

import json
from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import Any

from ops_pipeline.audit.gunzip import GzipError, TruncatedError, decompressed

SUFFIXES = (".json", ".json.gz")
FORM = 'a CloudTrail file is JSON of the form {"Records": [...]}'


class DeliveryError(Exception):
    """The file cannot be read, or not to its end; the message says why and how many records were read."""


def records(path: Path) -> Iterator[Any]:
    """The file's records, one by one. The file is in memory while it is read.

    Raises DeliveryError: before the first record when the file is damaged, is not gzip or JSON, or has
    no records; after the last complete record when it is truncated or becomes invalid JSON.
    """
    data, complete = _content(path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if complete:
            raise DeliveryError(f"is not UTF-8 text (byte {error.start})") from None
        text = data[: error.start].decode("utf-8-sig")  # truncated within a character
    reader = _RecordReader(text)
    try:
        yield from reader.records()
    except _NotJsonError as error:
        if complete and not reader.count:
            raise DeliveryError(str(error)) from None
        problem = str(error) if complete else "its gzip data is truncated"
        raise DeliveryError(f"{problem}; the {reader.count} complete records before that were read") from None
    if not complete:
        raise DeliveryError("its gzip data is truncated; all of its records were read")


def _content(path: Path) -> tuple[bytes, bool]:
    """The file's decompressed content, and whether it is complete."""
    if path.is_dir():
        raise DeliveryError(f"has no file that ends in {' or '.join(SUFFIXES)}")
    if path.exists() and not path.name.lower().endswith(SUFFIXES):
        raise DeliveryError(f"does not end in {' or '.join(SUFFIXES)}")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DeliveryError(f"cannot be read: {error.strerror}") from None
    if not data:
        raise DeliveryError("is empty")
    return _unzipped(data) if path.suffix.lower() == ".gz" else (data, True)


def _unzipped(data: bytes) -> tuple[bytes, bool]:
    if not b"\x1f\x8b".startswith(data[:2]):
        raise DeliveryError("is not gzip, though its name ends in .gz")
    parts: list[bytes] = []
    try:
        for part in decompressed(data):
            parts.append(part)  # also those before the end of truncated data
    except TruncatedError:
        return b"".join(parts), False
    except GzipError as error:
        # The data before the error cannot be trusted either: it may have been altered.
        raise DeliveryError(f"its gzip data is damaged ({error}); nothing was read from it") from None
    return b"".join(parts), True


class _NotJsonError(Exception):
    pass


class _RecordReader:
    """Parses the text of one file. `count` is the number of records read so far."""

    def __init__(self, text: str) -> None:
        self.count = 0
        self._text = text
        self._at = 0

    def records(self) -> Iterator[Any]:
        if self._next() not in {"{", ""}:
            raise DeliveryError(FORM)
        self._take("{")
        has_records = False
        more = not self._took("}")
        while more:
            name = self._value()
            self._take(":")
            if name == "Records":
                has_records = True
                yield from self._elements()
            else:
                self._value()
            more = self._take(",}") == ","
        if not has_records:
            raise DeliveryError('has no "Records"; ' + FORM)
        if self._next():
            raise _NotJsonError(f"has data after its end (character {self._at})")

    def _elements(self) -> Iterator[Any]:
        if self._next() not in {"[", ""}:
            raise DeliveryError('"Records" is not a list; ' + FORM)
        self._take("[")
        more = not self._took("]")
        while more:
            record = self._value()
            self.count += 1
            yield record
            more = self._take(",]") == ","

    def _value(self) -> Any:
        self._next()
        try:
            value, self._at = _DECODER.raw_decode(self._text, self._at)
        except RecursionError:
            raise _NotJsonError(f"is nested too deeply at character {self._at}") from None
        except ValueError as error:
            raise _NotJsonError(f"is truncated or not JSON: {error}") from None
        return value

    def _take(self, marks: str) -> str:
        if not self._next() or self._next() not in marks:
            raise _NotJsonError(f"is truncated or not JSON at character {self._at}")
        self._at += 1
        return self._text[self._at - 1]

    def _took(self, mark: str) -> bool:
        return self._next() == mark and bool(self._take(mark))

    def _next(self) -> str:
        """The next character that is not white space, "" at the end."""
        while self._text[self._at : self._at + 1] in {" ", "\n", "\r", "\t"}:
            self._at += 1
        return self._text[self._at : self._at + 1]


def _integer(digits: str) -> int | str:
    # A number above 64 bits is stored as text: not every reader of the details supports it.
    return int(digits) if len(digits) < 19 else digits


def _number(digits: str) -> float | str:
    return number if isfinite(number := float(digits)) else digits


# Not strict: a control character inside a string must not lose the records after it.
_DECODER = json.JSONDecoder(strict=False, parse_int=_integer, parse_float=_number, parse_constant=str)
