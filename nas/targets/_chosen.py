"""A target as users write it, with its options: "onnxruntime:threads=2,batch=8".

Every runtime has `threads` and `batch`, which say how it is called; a device has `threads`. What a
target has besides are the fields of its class, which then is a frozen dataclass that refuses what
its own rules forbid. An option that has its default is left out, so one target has one text. Where
a target is found is written first, without a name: "remote:127.0.0.1:8477,batch=8".
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final, get_type_hints

from nas.system.typed import TYPE_NAMES, is_a
from nas.targets._base import TARGETS, AbstractDevice, AbstractTarget
from search_spaces import UserError, did_you_mean

Value = int | float | str | bool

MOST_THREADS, MOST_BATCH = 1024, 65_536


@dataclass(frozen=True, kw_only=True)
class _Option:
    """What an option may be."""

    kind: type
    default: Any
    most: int | None = None


@final
@dataclass(frozen=True, kw_only=True)
class ChosenTarget:
    """A target and all of its options.

    Attributes:
        name: Of the plug-in.
        target: With its own options.
        threads: Threads that one call may use.
        batch: Images per call.
        own: Of the target's own options those that are not the default.
    """

    name: str
    target: AbstractTarget
    threads: int
    batch: int
    own: Mapping[str, Value]

    @property
    def text(self) -> str:
        """As `choose` reads it."""
        counts = {"threads": self.threads, "batch": self.batch}
        given = {name: number for name, number in counts.items() if number != 1} | dict(self.own)
        address = given.pop(self.target.address_option, "")
        words = [word for word in (str(address), _joined(given)) if word]
        return f"{self.name}:{','.join(words)}" if words else self.name

    @property
    def options(self) -> str:
        """Its own options as in the text; "" if they all have their defaults.

        Without where it is found, and without how many images a call of a device has, which are
        `batch`.
        """
        apart = (self.target.address_option, "batch")
        return _joined({name: value for name, value in self.own.items() if name not in apart})

    def place(self) -> dict[str, Any]:
        """What times depend on besides the file: where one differs, they are others.

        Raises:
            UserError: If the target is not installed, or a device does not answer.
        """
        return {
            "target": self.name,
            "threads": self.threads,
            "batch": self.batch,
            "options": self.options,
            **self.target.describe(),
            **{name: value for name, value in self.target.machine().items() if name != "host"},
        }

    def of_one_image(self) -> "ChosenTarget":
        """The target, called with one image; batch is an option of a device's own."""
        own = {name: value for name, value in self.own.items() if name != "batch"}
        return choose(dataclasses.replace(self, batch=1, own=own).text)


def choose(text: str, *, threads: int = 1) -> ChosenTarget:
    """The target of a text.

    Args:
        text: A name, or a name, a colon and options with commas between them.
        threads: Where the text does not say it.

    Raises:
        UserError: If the target is unknown or not named, or an option is unknown, not of its type,
            out of range or given twice.
    """
    name, colon, rest = text.partition(":")
    if "=" in name:
        raise _without_name(text)
    cls = TARGETS.get(name)
    known = _options(cls, threads)
    found = {option: choice.default for option, choice in known.items()}
    given = _given(name, rest, known, cls.address_option) if colon else {}
    found |= given
    own = {
        option: value
        for option, value in given.items()
        if option not in _counts(cls) and value != known[option].default
    }
    return ChosenTarget(
        name=name,
        target=cls(**own),
        threads=found["threads"],
        batch=found.get("batch", 1),
        own={option: own[option] for option in known if option in own},
    )


def one_text_each(texts: Sequence[str], timing_threads: int) -> list[str]:
    """The texts of targets, each as `ChosenTarget.text` has it.

    Args:
        texts: Of one search.
        timing_threads: For those that do not say how many.

    Raises:
        UserError: If one is no target or named twice, or its threads are said twice.
    """
    found = [choose(text).text for text in texts]
    for text in texts:
        if "threads=" in text and timing_threads != 1:
            raise UserError(
                f"target '{text}' and timing_threads, {timing_threads}, both say how many threads "
                "a call may use. Leave out one of them."
            )
    if len(set(found)) < len(found):
        raise UserError(f"targets are {', '.join(found)}. Name each once.")
    return found


def target_name(text: str) -> str:
    """The name in the text of a target."""
    return text.partition(":")[0]


def _without_name(text: str) -> UserError:
    """Of a text that has options where the name belongs: what was probably meant."""
    first, _, rest = text.partition(",")
    meant = f"{first}:{rest}" if first in TARGETS else f"onnxruntime:{text}"
    return UserError(
        f"target '{text}' has options where its name and a colon belong. Did you mean '{meant}'? "
        f"Known targets: {', '.join(TARGETS.names())}."
    )


def _counts(cls: type) -> Mapping[str, int]:
    """How many there may be of what any target of this kind is called with."""
    most = {"threads": MOST_THREADS}
    return most if issubclass(cls, AbstractDevice) else {**most, "batch": MOST_BATCH}


def _options(cls: type, threads: int) -> dict[str, _Option]:
    counts = {
        name: _Option(kind=int, default=threads if name == "threads" else 1, most=most)
        for name, most in _counts(cls).items()
    }
    if not dataclasses.is_dataclass(cls):
        return counts
    kinds = get_type_hints(cls)
    own = {f.name: _Option(kind=kinds[f.name], default=f.default) for f in dataclasses.fields(cls)}
    return {**counts, **own}


def _given(
    name: str, rest: str, known: Mapping[str, _Option], address_option: str
) -> dict[str, Any]:
    """The options of a text, checked."""
    found: dict[str, Any] = {}
    first, *others = rest.split(",")
    if address_option and "=" not in first:
        first = f"{address_option}={first}" if first.strip() else ""
    parts = others if address_option and not first else [first, *others]
    for part in parts:
        option, separator, value = (word.strip() for word in part.partition("="))
        if not separator or not option or not value:
            raise UserError(
                f"target '{name}': '{part}' is no option. Write name=value, with commas between "
                f"several, such as --target {name}:threads=2. {did_you_mean(option, known)}"
            )
        if option not in known:
            raise UserError(
                f"target '{name}' has no option '{option}'. {did_you_mean(option, known)}"
            )
        if option in found:
            raise UserError(f"target '{name}': option '{option}' is given twice. Give it once.")
        found[option] = _value(name, option, value, known[option])
    return found


def _value(name: str, option: str, text: str, choice: _Option) -> Any:
    try:
        value: Any = text if choice.kind is str else json.loads(text)
    except (ValueError, RecursionError):
        value = text
    is_right = is_a(value, choice.kind)
    if is_right and choice.most is not None:
        is_right = 1 <= value <= choice.most
    if not is_right:
        of = "" if choice.most is None else f" from 1 to {choice.most}"
        raise UserError(
            f"target '{name}': {option} is '{text}'. It must be {TYPE_NAMES[choice.kind]}{of}."
        )
    return value


def _joined(options: Mapping[str, Value]) -> str:
    return ",".join(f"{name}={_written(value)}" for name, value in options.items())


def _written(value: Value) -> str:
    return value if isinstance(value, str) else json.dumps(value)
