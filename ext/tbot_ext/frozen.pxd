# Makes instances of one frozen dataclass. Holds the class and the names of its fields.

cdef class Maker:
    cdef type _cls
    cdef tuple _names
