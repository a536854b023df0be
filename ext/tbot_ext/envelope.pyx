"""The envelope of a detector's state: what it is the state of, and a checksum, so that nothing else is ever restored.

Layout: magic, version of the format, minutes of the timeframe, bytes of the state, id of the next event, hash of the
parameters, checksum of all other bytes; then the state, which is a copy of memory and means something only to a build
with the same structs. Raise STATE_VERSION when a struct of a detector changes its meaning but not its size.
"""
import hashlib
import struct

__all__ = ["STATE_VERSION", "open_envelope", "seal"]

STATE_VERSION = 1
_MAGIC = b"TBOTSMC\n"
_HEAD = struct.Struct("<8sIIQq16s")
_CHECK_BYTES = 16
_WARM_UP = "warm the detector up from bars instead"


def _checksum(head, state):
    return hashlib.blake2b(head + state, digest_size=_CHECK_BYTES).digest()


def seal(state, timeframe_min, params_hash, next_id):
    """The envelope around `state` (bytes); `params_hash` is that of `Params.params_hash()`."""
    head = _HEAD.pack(_MAGIC, STATE_VERSION, timeframe_min, len(state), next_id, params_hash.encode())
    return head + _checksum(head, state) + state


def open_envelope(bytes envelope not None, size, timeframe_min, params_hash):
    """(state, next_id) of an envelope around a state of `size` bytes of just this timeframe and these parameters.

    Raises ValueError that says what is wrong with it: cut short, foreign, of another version, layout, timeframe or
    other parameters, damaged.
    """
    start = _HEAD.size + _CHECK_BYTES
    if len(envelope) < start:
        raise _refusal(f"it is cut short at {len(envelope)} bytes", _WARM_UP)
    magic, version, minutes, length, next_id, made_with = _HEAD.unpack_from(envelope)
    if magic != _MAGIC:
        raise _refusal("it is no state of a detector", "pass what state() returned")
    if version != STATE_VERSION:
        raise _refusal(f"it has version {version} and this build reads {STATE_VERSION}", _WARM_UP)
    if length != size:
        raise _refusal(f"it was made by a build whose state has {length} bytes, not {size}", _WARM_UP)
    if len(envelope) != start + size:
        raise _refusal(f"it has {len(envelope)} bytes where {start + size} belong", _WARM_UP)
    state = envelope[start:]
    if _checksum(envelope[:_HEAD.size], state) != envelope[_HEAD.size:start]:
        raise _refusal("it is damaged, its checksum differs", _WARM_UP)
    if minutes != timeframe_min:
        raise _refusal(f"it is of {minutes} minutes and this detector of {timeframe_min}",
                       "restore it into a detector of its timeframe")
    if made_with != params_hash.encode():
        raise _refusal("it was made with other parameters", "make the detector with the same parameters")
    return state, next_id


def _refusal(why, next_step):
    return ValueError(f"the state was not restored, because {why}; {next_step}")
