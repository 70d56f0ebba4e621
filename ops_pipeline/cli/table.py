"""A table that never cuts or breaks a word: what does not fit beside the others moves below its row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.text import Text

from ops_pipeline.cli.output import one_line

GAP = "  "
INDENT = "    "
BETWEEN = " · "
LEAST_TEXT = 24
"""A column of sentences narrower than this is hard to read, so they move below the row."""


@dataclass(frozen=True, slots=True)
class _Column:
    """`wraps`: its cells are sentences, which may take several lines."""

    title: str
    number: bool
    wraps: bool


class Table:
    """A table with these columns, the most important first. `:>` marks numbers, `:~` sentences.

    A column in which no row has anything is not shown. Into a pipe each row is one line.
    """

    def __init__(self, *headings: str) -> None:
        self._columns = [
            _Column(title, number=mark == ">", wraps=mark == "~")
            for title, _, mark in (heading.partition(":") for heading in headings)
        ]
        self._rows: list[list[Text]] = []

    @property
    def row_count(self) -> int:
        return len(self._rows)

    def add_row(self, *cells: str | Text) -> None:
        """Adds a row, with a cell for each column. Line ends and control characters are shown as escapes."""
        if len(cells) != len(self._columns):
            raise ValueError(f"{len(cells)} cells for {len(self._columns)} columns")
        self._rows.append([Text(one_line(cell)) if isinstance(cell, str) else cell for cell in cells])

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(options.max_width, options.max_width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self._lines(options.max_width):
            line.rstrip()
            line.no_wrap, line.overflow = True, "ignore"
            yield line

    def _lines(self, width: int) -> Iterator[Text]:
        used = [
            number for number in range(len(self._columns)) if any(row[number].plain for row in self._rows)
        ]
        if not used:
            return
        widths = self._widths(used, width)
        titles = [Text(self._columns[number].title, "bold") for number in used]
        yield from self._beside(dict(zip(used, titles, strict=True)), widths)
        below = [number for number in used if number not in widths]
        for row in self._rows:
            yield from self._beside(dict(enumerate(row)), widths)
            yield from self._below([(self._columns[number], row[number]) for number in below], width)

    def _widths(self, used: Sequence[int], width: int) -> dict[int, int]:
        """The columns that fit beside each other, with their widths; the first one in any case."""
        whole = {number: self._natural(number) for number in used}
        least = {number: self._least(number, whole[number]) for number in used}
        fitting: dict[int, int] = {}
        for number in used:
            if not fitting or _together([*fitting.values(), least[number]]) <= width:
                fitting[number] = least[number]
        for number, narrow in fitting.items():  # sentences share what is left
            left = width - _together(list(fitting.values()))
            fitting[number] += max(0, min(left, whole[number] - narrow))
        return fitting

    def _natural(self, number: int) -> int:
        cells = [self._columns[number].title, *(row[number].plain for row in self._rows)]
        return max(map(cell_len, cells))

    def _least(self, number: int, whole: int) -> int:
        if not self._columns[number].wraps:
            return whole
        words = (word for row in self._rows for word in row[number].plain.split(" "))
        return min(whole, max([LEAST_TEXT, cell_len(self._columns[number].title), *map(cell_len, words)]))

    def _beside(self, cells: dict[int, Text], widths: dict[int, int]) -> Iterator[Text]:
        wrapped = {number: _wrapped(cells[number], width) for number, width in widths.items()}
        for height in range(max(map(len, wrapped.values()))):
            line = Text()
            for number, width in widths.items():
                cell = wrapped[number][height] if height < len(wrapped[number]) else Text()
                padding = " " * (width - cell.cell_len)
                line.append_text(
                    Text.assemble(padding, cell, GAP)
                    if self._columns[number].number
                    else Text.assemble(cell, padding, GAP)
                )
            yield line

    def _below(self, cells: Sequence[tuple[_Column, Text]], width: int) -> Iterator[Text]:
        """The cells with their titles, as many in a line as fit."""
        line = Text()
        for column, cell in cells:
            if not cell.plain:
                continue
            named = Text.assemble((f"{column.title}: ", "dim"), cell)
            if line and len(INDENT) + line.cell_len + len(BETWEEN) + named.cell_len > width:
                yield from _indented(line, width)
                line = Text()
            line = Text.assemble(line, BETWEEN, named) if line else named
        if line:
            yield from _indented(line, width)


def _together(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _indented(text: Text, width: int) -> Iterator[Text]:
    for line in _wrapped(text, width - len(INDENT)):
        yield Text.assemble(INDENT, line)


def _wrapped(text: Text, width: int) -> list[Text]:
    """The text in lines of at most that width; a longer word has a longer line."""
    if text.cell_len <= width:
        return [text]
    lines: list[Text] = []
    for word in text.split(" "):
        if lines and lines[-1].cell_len + 1 + word.cell_len <= width:
            lines[-1] = Text.assemble(lines[-1], " ", word)
        else:
            lines.append(word)
    return lines
