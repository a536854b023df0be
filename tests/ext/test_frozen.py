"""Values made in compiled code are those that their class makes itself, and as frozen."""

import dataclasses
import pickle

import pytest

from tbot.domain.messages import Evidence, Quote
from tbot_ext.frozen import Maker


@dataclasses.dataclass(frozen=True)
class WithoutSlots:
    one: int
    two: str = "two"


@dataclasses.dataclass
class Open:
    one: int


@dataclasses.dataclass(frozen=True)
class Checked:
    one: int

    def __post_init__(self) -> None:
        assert self.one


@dataclasses.dataclass(frozen=True)
class Derived:
    one: int = dataclasses.field(init=False, default=1)


@pytest.mark.parametrize(
    "value", [Quote(1, 2, 3, 4, 5, 6), Evidence(1, "ob", 1, 5, 2, 3, 3, 9, parts={"gap": 0.5}), WithoutSlots(1, "b")]
)
def test_a_made_value_is_the_same_and_stays_as_it_is(value: Quote | Evidence | WithoutSlots) -> None:
    names = [entry.name for entry in dataclasses.fields(value)]
    made = Maker(type(value))(tuple(getattr(value, name) for name in names))
    assert made == value
    assert type(made) is type(value)
    assert repr(made) == repr(value)
    assert pickle.loads(pickle.dumps(made)) == value
    for name in names:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(made, name, 0)


def test_the_number_of_values_must_fit() -> None:
    make = Maker(Quote)
    for values in ((1, 2, 3, 4, 5), (1, 2, 3, 4, 5, 6, 7)):
        with pytest.raises(TypeError, match="Quote has 6 fields"):
            make(values)


@pytest.mark.parametrize("cls", [Open, Checked, Derived, int])
def test_other_classes_are_refused(cls: type) -> None:
    with pytest.raises(TypeError, match="no frozen dataclass"):
        Maker(cls)
