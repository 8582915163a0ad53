"""Reading a pickle as data: a small machine of its own, which can build values and nothing else.

Python's own reader looks names up in the installed packages and calls what it finds; this one has a table of a few
harmless names, and stops at any other. Only what PyTorch writes is known: protocol 2 and what later ones added to it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Build = Callable[[tuple[Any, ...]], Any]
"""Makes a value of the arguments that a pickle has for a name."""

_MOST_STEPS = 5_000_000
_LONGEST = 1 << 26
PLAIN = (str, int, float, bytes, type(None))
"""Kinds of keys that a dictionary keeps."""


class UnreadablePickleError(Exception):
    """The bytes are no pickle, a damaged one, or of a kind that PyTorch does not write."""


class ForbiddenNameError(Exception):
    """A pickle asks for something that is not on the list; `name` says for what."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True, slots=True)
class Name:
    """A name of a package that is on the list, and what it makes of its arguments."""

    name: str
    build: Build


class Opaque:
    """Something harmless that is of no interest."""

    __slots__ = ()


def read_pickle(
    data: Any, start: int, names: Mapping[str, Build], outside: Callable[[tuple[Any, ...]], Any]
) -> tuple[Any, int]:
    """The value of a pickle, and where its bytes end. Nothing is imported, and nothing called but `names`' values.

    Args:
        data: Bytes, or what is read like them.
        start: Where the pickle begins.
        names: `module.name` -> what makes a value of the arguments.
        outside: Makes a value of a reference to something outside the pickle, which is always a tuple.

    Raises:
        ForbiddenNameError: It asks for a name that is not among these.
        UnreadablePickleError: It is none, or damaged.
    """
    machine = _Machine(data, start, names, outside)
    try:
        return machine.run(), machine.place
    except (struct.error, ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise UnreadablePickleError(str(error)) from error


class _Machine:
    """A stack, the stacks below it since the last marks, and a memory."""

    def __init__(
        self, data: Any, start: int, names: Mapping[str, Build], outside: Callable[[tuple[Any, ...]], Any]
    ) -> None:
        self.place = start
        self._data = data
        self._names = names
        self._outside = outside
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []
        self._memory: dict[int, Any] = {}

    def run(self) -> Any:
        data, steps = self._data, _STEPS
        for _ in range(_MOST_STEPS):
            code = data[self.place]
            self.place += 1
            if code == _STOP:
                return self._stack.pop()
            steps[code](self)
        raise ValueError("too long")

    # Bytes of the pickle.

    def _bytes(self, length: int) -> bytes:
        start = self.place
        found = bytes(self._data[start : start + length]) if length <= _LONGEST else b""
        if len(found) < length:
            raise ValueError("cut off")
        self.place = start + length
        return found

    def _number(self, length: int, signed: bool = False) -> int:
        return int.from_bytes(self._bytes(length), "little", signed=signed)

    def _line(self) -> str:
        end = self._data.find(b"\n", self.place, self.place + 1000)
        if end < 0:
            raise ValueError("cut off")
        found = self._bytes(end - self.place).decode("utf-8")
        self.place += 1
        return found

    # Values without parts.

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def text(self, length: int) -> None:
        self._stack.append(self._bytes(length).decode("utf-8"))

    def old_text(self, length: int) -> None:
        self._stack.append(self._bytes(length).decode("latin-1"))

    # The stack and the memory.

    def mark(self) -> None:
        self._below.append(self._stack)
        self._stack = []

    def _since_mark(self) -> list[Any]:
        found, self._stack = self._stack, self._below.pop()
        return found

    def keep(self, index: int) -> None:
        self._memory[index] = self._stack[-1]

    def recall(self, index: int) -> None:
        self._stack.append(self._memory[index])

    # Values with parts.

    def tuple_of(self, length: int) -> None:
        if len(self._stack) < length:
            raise IndexError("nothing is there")
        self._stack[-length:] = [tuple(self._stack[-length:])]

    def dict_of_marked(self) -> None:
        items = self._since_mark()
        made: dict[Any, Any] = {}
        _put(made, items)
        self._stack.append(made)

    def append(self) -> None:
        value = self._stack.pop()
        _add(self._stack[-1], [value])

    def append_marked(self) -> None:
        values = self._since_mark()
        _add(self._stack[-1], values)

    def set_item(self) -> None:
        items = [self._stack.pop(-2), self._stack.pop()]
        _put(self._stack[-1], items)

    def set_marked(self) -> None:
        items = self._since_mark()
        _put(self._stack[-1], items)

    # Names, and what they make.

    def look_up(self, module: str, name: str) -> None:
        full = f"{module}.{name}"
        build = self._names.get(full)
        if build is None:
            raise ForbiddenNameError(full)
        self._stack.append(Name(full, build))

    def global_(self) -> None:
        module = self._line()
        self.look_up(module, self._line())

    def stack_global(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise TypeError("a name is no text")
        self.look_up(module, name)

    def instance(self) -> None:
        arguments = tuple(self._since_mark())
        self.global_()
        self._stack.append(self._stack.pop().build(arguments))

    def object_(self) -> None:
        found = self._since_mark()
        self._stack.append(_made(found[0], tuple(found[1:])))

    def reduce(self) -> None:
        arguments, what = self._stack.pop(), self._stack.pop()
        self._stack.append(_made(what, arguments))

    def new_object(self) -> None:
        self.reduce()

    def new_object_with_words(self) -> None:
        self._stack.pop()
        self.reduce()

    def build(self) -> None:
        """Attributes of an object: of interest only where they are all that it holds."""
        state, value = self._stack.pop(), self._stack[-1]
        if isinstance(value, dict) and isinstance(state, dict) and isinstance(state.get("_parameters"), dict):
            value.update(state["_parameters"])

    def outside(self) -> None:
        reference = self._stack.pop()
        if not isinstance(reference, tuple):
            raise TypeError("an unknown reference")
        self._stack.append(self._outside(reference))


def _made(what: Any, arguments: Any) -> Any:
    if not isinstance(what, Name) or not isinstance(arguments, tuple):
        raise TypeError("nothing that makes values")
    return what.build(arguments)


def _put(target: Any, items: list[Any]) -> None:
    """Put pairs into a dictionary; of an opaque thing they are of no interest.

    Keys that are no plain values are left out. A tuple is refused: its hash, which PyTorch would make, can take for
    ever where tuples are nested.
    """
    if len(items) % 2:
        raise ValueError("half a pair")
    if isinstance(target, dict):
        for key, value in zip(items[::2], items[1::2], strict=True):
            if isinstance(key, tuple):
                raise TypeError("a tuple as a key")
            if isinstance(key, PLAIN):
                target[key] = value
    elif not isinstance(target, Opaque):
        raise TypeError("no dictionary")


def _add(target: Any, values: list[Any]) -> None:
    if isinstance(target, list):
        target.extend(values)
    elif not isinstance(target, Opaque):
        raise TypeError("no list")


Step = Callable[[_Machine], object]


def _constant(make: Callable[[], Any]) -> Step:
    return lambda machine: machine.push(make())


def _sized(length: int, use: Callable[[_Machine, int], None]) -> Step:
    """A step whose argument is a number of so many bytes."""
    return lambda machine: use(machine, machine._number(length))


_STOP = ord(".")
_STEPS: dict[int, Step] = {
    0x80: lambda machine: machine._bytes(1),  # PROTO
    0x95: lambda machine: machine._bytes(8),  # FRAME
    ord("("): _Machine.mark,
    ord("0"): lambda machine: machine._stack.pop(),
    ord("1"): _Machine._since_mark,
    ord("2"): lambda machine: machine.push(machine._stack[-1]),
    ord("N"): _constant(lambda: None),
    0x88: _constant(lambda: True),
    0x89: _constant(lambda: False),
    ord("J"): lambda machine: machine.push(machine._number(4, signed=True)),
    ord("K"): lambda machine: machine.push(machine._number(1)),
    ord("M"): lambda machine: machine.push(machine._number(2)),
    0x8A: lambda machine: machine.push(machine._number(machine._number(1), signed=True)),
    0x8B: lambda machine: machine.push(machine._number(machine._number(4), signed=True)),
    ord("G"): lambda machine: machine.push(struct.unpack(">d", machine._bytes(8))[0]),
    ord("X"): _sized(4, _Machine.text),
    0x8C: _sized(1, _Machine.text),
    0x8D: _sized(8, _Machine.text),
    ord("U"): _sized(1, _Machine.old_text),
    ord("T"): _sized(4, _Machine.old_text),
    ord("C"): _sized(1, lambda machine, length: machine.push(machine._bytes(length))),
    ord("B"): _sized(4, lambda machine, length: machine.push(machine._bytes(length))),
    0x8E: _sized(8, lambda machine, length: machine.push(machine._bytes(length))),
    0x96: _sized(8, lambda machine, length: machine.push(machine._bytes(length))),
    ord("]"): _constant(list),
    ord("a"): _Machine.append,
    ord("e"): _Machine.append_marked,
    ord("l"): lambda machine: machine.push(machine._since_mark()),
    ord(")"): _constant(tuple),
    ord("t"): lambda machine: machine.push(tuple(machine._since_mark())),
    0x85: lambda machine: machine.tuple_of(1),
    0x86: lambda machine: machine.tuple_of(2),
    0x87: lambda machine: machine.tuple_of(3),
    ord("}"): _constant(dict),
    ord("d"): _Machine.dict_of_marked,
    ord("s"): _Machine.set_item,
    ord("u"): _Machine.set_marked,
    0x8F: _constant(list),  # A set, whose members may be of any kind here.
    0x90: _Machine.append_marked,
    0x91: lambda machine: machine.push(machine._since_mark()),
    ord("q"): _sized(1, _Machine.keep),
    ord("r"): _sized(4, _Machine.keep),
    0x94: lambda machine: machine.keep(len(machine._memory)),
    ord("h"): _sized(1, _Machine.recall),
    ord("j"): _sized(4, _Machine.recall),
    ord("c"): _Machine.global_,
    0x93: _Machine.stack_global,
    ord("i"): _Machine.instance,
    ord("o"): _Machine.object_,
    ord("R"): _Machine.reduce,
    0x81: _Machine.new_object,
    0x92: _Machine.new_object_with_words,
    ord("b"): _Machine.build,
    ord("Q"): _Machine.outside,
}
