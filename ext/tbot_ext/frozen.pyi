from typing import Any, Generic, TypeVar, final

__all__ = ["Maker"]

_T = TypeVar("_T")

@final
class Maker(Generic[_T]):
    def __init__(self, cls: type[_T]) -> None: ...
    def __call__(self, values: tuple[Any, ...]) -> _T: ...
