"""A table with a column of every type, and values that are easily changed in transfer."""

from typing import Any

from hypothesis import strategies as st

TYPES = """
CREATE TYPE mood AS ENUM ('sad', 'o''k', 'ha"ppy');
CREATE DOMAIN short AS varchar(9) CHECK (value <> 'never');
CREATE TYPE pair AS (a int, "B b" text);
CREATE TABLE things (
  id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at        timestamptz,
  at_local  timestamp,
  on_day    date,
  yes       boolean,
  small     smallint,
  whole     integer,
  big       bigint,
  real      real,
  double    double precision,
  amount    numeric,
  price     numeric(12, 3),
  cash      money,
  words     text,
  few       varchar(50),
  fixed     char(7),
  one       "char",
  called    name,
  raw       bytea,
  key       uuid,
  doc       jsonb,
  doc_text  json,
  page      xml,
  host      inet,
  net       cidr,
  mac       macaddr,
  span      interval,
  clock     time,
  clock_tz  timetz,
  bits      bit varying,
  feeling   mood,
  domained  short,
  two       pair,
  period    tstzrange,
  periods   int4multirange,
  numbers   int[],
  grid      numeric[][],
  notes     text[],
  moments   timestamptz[],
  reals     double precision[],
  pairs     pair[],
  found     tsvector,
  place     point,
  relation  regclass,
  "Odd "" \\ näme" text,
  day       text,
  doubled   bigint GENERATED ALWAYS AS (whole::bigint * 2) STORED
);
"""
TIMES = [
    "infinity", "-infinity", "4713-01-01 00:00:00 BC", "0044-03-15 12:00:00.000001 BC", "0001-01-01",
    "1582-10-10", "1969-12-31 23:59:59.999999", "1970-01-01", "2026-03-29 02:30:00.123456",
    "9999-12-31 23:59:59.999999", "10000-01-01", "294246-12-31 23:59:59.999999", "294247-01-01",
    "294276-12-31 23:59:59.999999",
]  # fmt: skip
WORDS = [
    "", " ", "NULL", "\\N", "\\", "'", '"', "\n\r\t", "🦖", "é", "e\u0301", "\u202e", "{}", ",", "a" * 3000,
]  # fmt: skip
FLOATS = [
    0.0, -0.0, float("nan"), float("inf"), float("-inf"), 5e-324, 2.2250738585072014e-308,
    1.7976931348623157e308, 0.1,
]  # fmt: skip

SPECIAL: dict[str, list[Any]] = {
    "at": TIMES,
    "at_local": TIMES,
    "on_day": ["infinity", "-infinity", "4713-01-01 BC", "1970-01-01", "9999-12-31", "5874897-12-31"],
    "yes": [True, False],
    "small": [-(2**15), 2**15 - 1],
    "whole": [-(2**31), 2**31 - 1],
    "big": [-(2**63), 2**63 - 1],
    "real": [0.0, -0.0, 1e-45, 3.4028234663852886e38, float("nan"), float("inf")],
    "double": FLOATS,
    "amount": [
        "NaN", "Infinity", "-Infinity", "0", "-0.000", "1.10", "1e-16383", "1e131071",
        f"{'9' * 3000}.{'1' * 3000}",
    ],
    "price": ["NaN", "0", "1.5", "-999999999.999"],
    "cash": ["0", "-92233720368547758.08", "1234567.89"],
    "words": WORDS,
    "few": ["", "'", "\\", "🦖"],
    "fixed": ["", "a", " b", "1234567", "é"],
    "one": ["", "a", "'", "\\"],
    "called": ["", "a", "b c"],
    "raw": [b"", b"\0", b"\xff\xfe", b"'\\x"],
    "key": ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"],
    "doc": ["{}", "null", '"\\\\ \\" 🦖"', '{"b": [1.10, 1e400, -0.0], "a": null, "": ""}', "[]"],
    "doc_text": ['{"a":1,  "a":2}', " [1,\n2] ", "null", '"\\u00e9"'],
    "page": ["<a b='c'>d</a>", "just text", "<x/><y/>", ""],
    "host": ["10.0.0.1", "10.0.0.1/8", "::1", "fe80::1/64", "::ffff:1.2.3.4"],
    "net": ["10.0.0.0/8", "10.0.0.1/32", "::/0"],
    "mac": ["08:00:2b:01:02:03"],
    "span": [
        "-1 mons +3 days -04:05:06.000007", "1 year -1 day", "178000000 years", "-00:00:00.000001", "0",
        "1 mon 31 days 25:00",
    ],
    "clock": ["00:00", "24:00", "23:59:59.999999"],
    "clock_tz": ["00:00-15:59", "24:00+15:59", "12:34:56.789012+05:30"],
    "bits": ["", "0", "10110"],
    "feeling": ["sad", "o'k", 'ha"ppy'],
    "domained": ["", "short 'n'"],
    "two": ["(1,)", '(,"")', '(2,"a ""b"" \\\\c,(")'],
    "period": [
        "empty", "(,)", "[2026-01-01,)", "[-infinity,infinity]", '["0044-03-15 00:00:00+00 BC",2026-01-01)',
    ],
    "periods": ["{}", "{[1,3),[5,)}"],
    "numbers": ["{}", "{NULL}", "[2:4]={1,NULL,3}", "{{1,2},{3,NULL}}", "[-1:0][5:6]={{1,2},{3,4}}"],
    "grid": ["{{NaN,1.10},{Infinity,NULL}}", "{}", "{{{1}}}"],
    "notes": [WORDS, [None, ""], []],
    "moments": ['{infinity,-infinity,NULL,"4713-01-01 00:00:00+00 BC",2026-01-01 00:00:00.000001+00}', "{}"],
    "reals": [FLOATS, []],
    "pairs": ['{"(1,a)",NULL,"(,)"}', "{}"],
    "found": ["'a':1A,3 'b c':2", ""],
    "place": ["(0.1,-0)", "(NaN,Infinity)", "(1e-310,3)"],
    "relation": ["things", "pg_class", "987654321", "ops.archives"],
    'Odd " \\ näme': WORDS,
    "day": ["", "2026-01-01"],
}  # fmt: skip
"""The values that are changed most easily, by column."""

EVERY_SPECIAL: list[dict[str, Any]] = [
    {name: values[nth % len(values)] for name, values in SPECIAL.items()}
    for nth in range(max(map(len, SPECIAL.values())))
]

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
ANY: dict[str, st.SearchStrategy[Any]] = {
    "small": st.integers(-(2**15), 2**15 - 1),
    "whole": st.integers(-(2**31), 2**31 - 1),
    "big": st.integers(-(2**63), 2**63 - 1),
    "real": st.floats(width=32),
    "double": st.floats(),
    "amount": st.decimals(allow_nan=False, allow_infinity=False).map(str),
    "words": TEXT,
    "few": TEXT,
    "raw": st.binary(max_size=40),
    "key": st.uuids().map(str),
    "notes": st.lists(TEXT | st.none(), max_size=5),
    "reals": st.lists(st.floats(), max_size=4),
    "day": TEXT,
}
ROWS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            name: st.none() | st.sampled_from(values) | ANY.get(name, st.none())
            for name, values in SPECIAL.items()
        },
    ),
    min_size=1,
    max_size=8,
)
