"""Instances of frozen dataclasses, their fields set in compiled code.

The __init__ of a frozen dataclass calls `object.__setattr__` for each field, which is most of what a value of a dozen
fields costs. What comes out here is the same value of the same class, and as frozen.
"""
cimport cython
from cpython.object cimport PyObject_GenericSetAttr

from dataclasses import fields, is_dataclass

__all__ = ["Maker"]


@cython.final
cdef class Maker:
    """Call it with the values of all fields in their order; TypeError when their number differs.

    TypeError also for a class that is no frozen dataclass, or whose __init__ does more than set its fields.
    """

    def __init__(self, type cls not None):
        plain = is_dataclass(cls) and cls.__dataclass_params__.frozen and not hasattr(cls, "__post_init__")
        if not plain or not all([entry.init for entry in fields(cls)]):
            raise TypeError(f"{cls.__name__} is no frozen dataclass whose fields are all there is to set")
        self._cls = cls
        self._names = tuple([entry.name for entry in fields(cls)])

    def __call__(self, tuple values not None):
        cdef Py_ssize_t i, n = len(self._names)
        if len(values) != n:
            raise TypeError(f"{self._cls.__name__} has {n} fields, not {len(values)}")
        made = object.__new__(self._cls)
        for i in range(n):
            PyObject_GenericSetAttr(made, self._names[i], values[i])
        return made
