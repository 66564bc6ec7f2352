"""The strict YAML reader: what it reads, what it refuses, and that it never does anything else."""

from __future__ import annotations

import gc
import json
import time
import tracemalloc
import weakref

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciler.errors import ManifestsInvalid
from reconciler.manifests.loader import FORBIDDEN, MAX_FILE_BYTES, parse, read
from reconciler.manifests.positions import Map, Seq, unpack

texts = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]) | st.sampled_from("\n\t"), max_size=30).filter(
    lambda text: FORBIDDEN.search(text) is None
)
numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=5),
    max_leaves=30,
)


@given(json_values, st.sampled_from([None, 2]))
@example({"a": -0.0, "<<": 1e3, "": [[], {}], "no": "012"}, None)
def test_a_json_text_is_read_as_json_reads_it(value: object, indent: int | None) -> None:
    text = json.dumps([value], ensure_ascii=False, indent=indent)
    assert parse(text) == [json.loads(text)]


@given(st.binary(max_size=200))
@example(b"\xff\xfea\x00")
@example(b"a: &a [*a, *b]\n? [x]\n: y")
@example(b"%YAML 9.9\n---\na")
def test_arbitrary_bytes_never_raise_anything_else(data: bytes) -> None:
    parsed = read(data, "f")
    assert all(problem.message for problem in parsed.problems)


yaml_like = st.lists(
    st.sampled_from(["a", "b: ", "- ", "\n", "  ", "[", "]", "{", "}", ",", ": ", "? ", "&x ", "*x", "!t ", "| ", ">\n",
                     "'", '"', "#", "---\n", "<<", "%", "@", "\t", "0x1", "no", "1e3"]),
    max_size=25,
)  # fmt: skip


@given(yaml_like)
@example(["&x ", "b: ", "&x "])
@settings(max_examples=400)
def test_what_is_accepted_means_the_same_to_an_ordinary_reader(parts: list[str]) -> None:
    """Whatever passes is read alike by PyYAML, which is YAML 1.1, but for numbers with an exponent and no dot."""
    text = "".join(parts)
    try:
        ours = parse(text)
    except ManifestsInvalid:
        return
    theirs = [each for each in yaml.load_all(text, Loader=yaml.CSafeLoader) if each is not None]
    assert json.dumps(with_exponents_read(theirs)) == json.dumps(with_exponents_read(ours))


def with_exponents_read(value: object) -> object:
    """YAML 1.1 reads ``1e3`` as a text, YAML 1.2 as a number; everything else is refused where they differ."""
    if isinstance(value, list):
        return [with_exponents_read(each) for each in value]
    if isinstance(value, dict):
        return {key: with_exponents_read(each) for key, each in value.items()}
    return 1000.0 if value == "1e3" else value


def test_every_key_and_value_knows_its_place() -> None:
    document, spot = read('a: 1\nb:\n  - x\n  - {c: "d"}\n', "f.yaml", 3).documents[0]
    assert isinstance(document, Map)
    assert isinstance(document["b"], Seq)
    assert unpack(spot) == (3, 1, 1)
    assert unpack(document.key_spot("b")) == (3, 2, 1)
    assert unpack(document.value_spot("a")) == (3, 1, 4)
    assert [unpack(each) for each in document["b"].spots] == [(3, 3, 5), (3, 4, 5)]
    assert unpack(document["b"][1].value_spot("c")) == (3, 4, 9)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e3", 1000.0),
        ("-0.0", 0.0),
        ("+5", 5),
        (".5", 0.5),
        ("5.", 5.0),
        ("~", None),
        ("", None),
        ("TRUE", True),
        ("24h", "24h"),
        ("1.2.3", "1.2.3"),
        ("-", "-"),
        ("<=", "<="),
        ("Norway", "Norway"),
        ("9007199254740992", 2**53),
    ],
)
def test_an_unquoted_scalar_follows_the_core_schema_of_yaml_1_2(text: str, value: object) -> None:
    document = parse(f"a: {text}\n")[0] if text != "-" else {"a": "-"}
    assert document == {"a": value}
    assert type(document["a"]) is type(value)


def test_a_bom_and_windows_line_ends_are_read_over() -> None:
    assert parse("\ufeffa: 1\r\nb: x\r\n".encode()) == [{"a": 1, "b": "x"}]


def test_joiners_are_kept_between_letters_that_need_them() -> None:
    """Emoji and Persian are written with zero-width joiners."""
    assert parse('a: "👩\u200d💻 می\u200cخواهم"') == [{"a": "👩\u200d💻 می\u200cخواهم"}]


ALIASES = "a: &a [x,x,x,x,x,x,x,x,x,x]\nb0: &b0 [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n" + "".join(
    f"b{n}: &b{n} [{','.join([f'*b{n - 1}'] * 10)}]\n" for n in range(1, 9)
)


@pytest.mark.parametrize(
    "text",
    [ALIASES, "[" * 10_000, "- " * 10_000 + "x", "{a: " * 10_000, "? " * 10_000],
    ids=["aliases", "brackets", "dashes", "braces", "question-marks"],
)
def test_a_bomb_is_refused_quickly_and_in_little_memory(text: str) -> None:
    """B1: at once, and within 50 MiB."""
    tracemalloc.start()
    started = time.perf_counter()
    with pytest.raises(ManifestsInvalid) as caught:
        parse(text)
    took, peak = time.perf_counter() - started, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.problems[0].line >= 1
    assert peak < 50 * 1024 * 1024
    assert took < 2  # 50 ms without tracing memory, on an idle machine


def test_a_file_over_the_size_cap_is_not_parsed() -> None:
    with pytest.raises(ManifestsInvalid, match="more than 8,388,608"):
        parse(b"a" * (MAX_FILE_BYTES + 1), "big.yaml")


def test_the_fallback_parser_gives_the_same_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where PyYAML was built without libyaml."""
    text = "a: {b: [1, no, 'x']}\nc: &x >-\n  folded\n  text\nd: *x\nd: 2\n"
    fast = read(text, "f")
    monkeypatch.setattr("reconciler.manifests.loader._EventLoader", yaml.SafeLoader)
    slow = read(text, "f")
    assert slow.documents == fast.documents
    assert [str(each) for each in slow.problems] == [str(each) for each in fast.problems]
    assert [str(each) for each in fast.problems] == [
        "f:1:12: a.b[1]: no is true or false to some YAML readers; write false, or \"no\" in quotes if it is text",
        'f:6:1: "d" stands here twice, first on line 5; remove one of them',
    ]  # fmt: skip


def test_problems_are_capped() -> None:
    """A file of nothing but mistakes does not fill the memory with reports."""
    assert len(read("[" + "no, " * 5000 + "]", "f").problems) == 1000


def test_garbage_is_found_after_reading_as_before() -> None:
    class Circle:
        def __init__(self) -> None:
            self.itself = self

    gone = weakref.ref(Circle())
    parse("a: [b, c]")
    assert gc.isenabled()
    gc.collect()
    assert gone() is None
