"""The filter language of the picture grid: words, tags, numbers and states, joined by AND, OR, NOT and brackets.

    smile                     in name, folder or caption          "looking at viewer"     a phrase
    tag:long_hair  tag:*hair  a tag, in any spelling              -tag:hat  NOT tag:hat   without it
    tags:<5  tokens:>75  chars:>300  width:>=1024  height:  ratio:>1.5  repeats:2..4      numbers
    caption:none  caption:any  caption:word  name:  folder:  bucket:512x768
    problem:any  problem:blurry  is:excluded  is:cropped  is:edited  is:regularization

Conditions side by side must all hold. AND, OR and NOT are operators in capitals only, so that small `and` can be
searched for. The signs of Chinese input methods count as their ASCII ones. A word before a colon is a condition only
when it is two or more small letters, so `:d` and `>:)` are searched for as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from core.dataset.query_conditions import KEYS, Item, Test, condition, values_of, words
from core.dataset.query_errors import QueryError

__all__ = ["Item", "Query", "QueryError", "completions", "parse_query"]

MOST_NESTED = 40
"""Brackets inside brackets; more are no question of a person."""

_AS_ASCII = str.maketrans(
    "（）：“”„＂「」『』－＜＞＝，、＊×．０１２３４５６７８９", '():"""""""' + '"-<>=,,*x.0123456789'
)
_KEYWORD = re.compile(r"([a-z_]{2,}):", re.ASCII)
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Query:
    """A filter that was understood. Equal texts give equal answers; nothing is remembered about pictures."""

    text: str
    test: Test

    def matches(self, item: Item) -> bool:
        """Whether a picture passes."""
        return self.test(item)

    def filter(self, items: Iterable[Item]) -> list[Item]:
        """The pictures that pass, in their order."""
        return list(filter(self.test, items))


def parse_query(text: str) -> Query:
    """Understand a filter; empty text lets every picture pass.

    Raises:
        QueryError: It cannot be understood; the error tells why and where.
    """
    return Query(text, _Parser(text).parse())


def completions(typed: str, problems: Sequence[str] = ()) -> list[str]:
    """What the word that is being typed may become: keys such as `tag:`, and the values of those that have a few.

    Args:
        typed: The last word of the filter so far; a minus in front stays.
        problems: Codes that `problem:` may be followed by.
    """
    sign, word = ("-", typed[1:]) if typed.startswith(("-", "－")) else ("", typed)
    word = word.translate(_AS_ASCII).lower()
    key, colon, start = word.partition(":")
    if not colon:
        return [f"{sign}{name}:" for name in KEYS if name.startswith(key)]
    values = [*values_of(key), *(problems if key == "problem" else ())]
    return [f"{sign}{key}:{value}" for value in values if value.startswith(start)]


@dataclass(frozen=True, slots=True)
class _Token:
    """A piece of a filter. Of conditions `word` holds the value and `key` what it is about."""

    kind: str  # "(", ")", "AND", "OR", "NOT" or "word"
    place: int
    written: str
    word: str = ""
    key: str = ""
    is_quoted: bool = False


class _Parser:
    """Reads OR of AND of NOT of words and brackets, from the left."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._next = 0
        self._depth = 0

    def parse(self) -> Test:
        if not self._tokens:
            return _anything
        return self._alternatives()

    def _peek(self) -> _Token | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def _take(self) -> _Token:
        token = self._tokens[self._next]
        self._next += 1
        return token

    def _alternatives(self) -> Test:
        tests = [self._all_of()]
        while (token := self._peek()) is not None and token.kind == "OR":
            tests.append(self._all_of(after=self._take()))
        return tests[0] if len(tests) == 1 else _any(tuple(tests))

    def _all_of(self, after: _Token | None = None) -> Test:
        tests = [self._negated(after)]
        while (token := self._peek()) is not None and token.kind not in (")", "OR"):
            operator = self._take() if token.kind == "AND" else None
            tests.append(self._negated(operator))
        return tests[0] if len(tests) == 1 else _all(tuple(tests))

    def _negated(self, after: _Token | None) -> Test:
        is_negated = False
        while (token := self._peek()) is not None and token.kind == "NOT":
            after = self._take()
            is_negated = not is_negated
        test = self._single(after)
        return _not(test) if is_negated else test

    def _single(self, after: _Token | None) -> Test:
        token = self._peek()
        if after is not None and (token is None or token.kind in (")", "AND", "OR")):
            raise QueryError(
                "There is nothing after {operator}.",
                position=after.place,
                remedy="Write a word or a condition there, or take {operator} out.",
                operator=after.written,
            )
        assert token is not None  # Only an operator can be the last token before this.
        if token.kind in ("AND", "OR"):
            raise QueryError(
                "There is nothing before {operator}.",
                position=token.place,
                remedy="Write a word or a condition there, or take {operator} out.",
                operator=token.written,
            )
        self._take()
        if token.kind == "(":
            return self._bracket(token)
        if token.key:
            return condition(token.key, token.word, token.is_quoted, token.place)
        return words(token.word)

    def _bracket(self, opening: _Token) -> Test:
        inside = self._peek()
        if inside is None:
            raise _never_closed(opening.place)
        if inside.kind == ")":
            raise QueryError(
                "There is nothing between these brackets.",
                position=opening.place,
                remedy="Write a condition between them, or take them out.",
            )
        self._depth += 1
        if self._depth > MOST_NESTED:
            raise QueryError(
                "There are too many brackets inside each other.",
                position=opening.place,
                remedy="Take some of them out.",
            )
        test = self._alternatives()
        self._depth -= 1
        if self._peek() is None:
            raise _never_closed(opening.place)
        self._take()
        return test


def _never_closed(place: int) -> QueryError:
    return QueryError(
        "This bracket is never closed.",
        position=place,
        remedy='Add a closing bracket, or put a tag with a bracket in quotes, as in ":(".',
    )


def _tokens(text: str) -> Iterator[_Token]:
    """The pieces of a filter. `signs` is the text with ASCII signs; words keep their own."""
    signs = text.translate(_AS_ASCII)
    place = 0
    open_brackets = 0
    while place < len(text):
        character = signs[place]
        if character.isspace():
            place += 1
        elif character == "(":
            open_brackets += 1
            yield _Token("(", place, "(")
            place += 1
        elif character == ")" and open_brackets:
            open_brackets -= 1
            yield _Token(")", place, ")")
            place += 1
        elif character == "-" and _is_minus(signs, place):
            yield _Token("NOT", place, "-")
            place += 1
        else:
            token, place = _word(text, signs, place, bool(open_brackets))
            if token is not None:
                yield token


def _is_minus(signs: str, place: int) -> bool:
    """Whether a minus leaves something out; in `-_-` and `->` it is a part of the word."""
    after = signs[place + 1 : place + 2]
    return after.isalnum() or after in tuple('"(:;*')


def _word(text: str, signs: str, place: int, in_brackets: bool) -> tuple[_Token | None, int]:
    """The word, phrase, condition or operator that begins here, and where it ends; None for a lone comma."""
    start = place
    key = ""
    if match := _KEYWORD.match(signs, place):
        place = match.end()
        key = match[1]
    if signs[place : place + 1] == '"':
        word, end = _phrase(text, signs, place)
        is_quoted = True
    else:
        end = _end_of_word(signs, place, in_brackets)
        word, is_quoted = text[place:end], False
    if key in KEYS:
        value = word if is_quoted else signs[place:end] if KEYS[key].is_plain else word
        return _Token("word", start, text[start:end], value if is_quoted else _bare(value), key, is_quoted), end
    if key and word:
        raise QueryError(
            "There is no condition called {name}:",
            position=start,
            remedy='Those there are: {keys}. To search for these words, put them in quotes: "{words}".',
            name=key,
            keys=" ".join(f"{name}:" for name in KEYS),
            words=text[start:end].replace('"', ""),
        )
    if is_quoted:
        return (_Token("word", start, text[start:end], word, is_quoted=True) if word.strip() else None), end
    written = text[start:end]
    if written in ("AND", "OR", "NOT"):
        return _Token(written, start, written), end
    if written == ")":
        raise QueryError(
            "This closing bracket has no opening one.",
            position=start,
            remedy='Take it out, or put a tag with a bracket in quotes, as in ":)".',
        )
    word = _bare(written)
    return (_Token("word", start, written, word) if word else None), end


def _bare(word: str) -> str:
    """A word without the commas that people part tags with."""
    return word.strip(",，、")


def _phrase(text: str, signs: str, opening: int) -> tuple[str, int]:
    closing = signs.find('"', opening + 1)
    if closing < 0:
        raise QueryError(
            "This quotation mark is never closed.",
            position=opening,
            remedy="Add one where the words end.",
        )
    return _SPACE.sub(" ", text[opening + 1 : closing]), closing + 1


def _end_of_word(signs: str, place: int, in_brackets: bool) -> int:
    """A word ends at a blank, or at the bracket that closes a group; brackets of its own as in `a_(b)` belong to it."""
    own = 0
    while place < len(signs) and not signs[place].isspace():
        if signs[place] == "(":
            own += 1
        elif signs[place] == ")":
            if not own and in_brackets:
                break
            own = max(0, own - 1)
        place += 1
    return place


def _anything(item: Item) -> bool:
    return True


def _not(test: Test) -> Test:
    return lambda item: not test(item)


def _all(tests: tuple[Callable[[Item], bool], ...]) -> Test:
    def every(item: Item) -> bool:
        for test in tests:  # noqa: SIM110 - all() with a generator takes twice as long
            if not test(item):
                return False
        return True

    return every


def _any(tests: tuple[Callable[[Item], bool], ...]) -> Test:
    def some(item: Item) -> bool:
        for test in tests:  # noqa: SIM110 - as above
            if test(item):
                return True
        return False

    return some
