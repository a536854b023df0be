"""The ring as a list that is never overwritten: slow and obvious, for comparison with the compiled one."""


class ModelRing:
    """Records in order of writing; `capacity` only decides which of them a reader can still have."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.records: list[int] = []

    def oldest_safe(self) -> int:
        """Where a lapped reader resumes: a sixteenth of the capacity away from being lapped again."""
        written = len(self.records)
        return 0 if written < self.capacity else written - self.capacity + self.capacity // 16


class ModelReader:
    """Reads a ModelRing."""

    def __init__(self, ring: ModelRing, position: int) -> None:
        self.ring = ring
        self.position = position
        self.lost = 0

    def read(self, most: int) -> list[int]:
        """Up to `most` records; those overwritten meanwhile are counted in `lost` first."""
        if most > 0 and self.position + self.ring.capacity < len(self.ring.records):
            resume = self.ring.oldest_safe()
            self.lost += resume - self.position
            self.position = resume
        got = self.ring.records[self.position : self.position + most]
        self.position += len(got)
        return got
