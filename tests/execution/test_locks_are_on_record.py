"""What must survive a crash is on disk before anybody acts on it: a person's word, a flatten, a lock, a halt."""

import pytest

from journal_items import ACCOUNT, RUN, journal_at, protective
from tbot.domain.messages import OperatorIn, StateChange, TimerIn
from tbot.execution.carry import CarryFold
from tbot.storage.journal import Journal
from tbot.transport import wire

NOW = RUN.started_ns + 1


def survivors(path):
    """What a start after a crash at this moment would carry over."""
    fold = CarryFold()
    with Journal.open_readonly(path, wire) as reader:
        for step in reader.steps():
            fold.add(step.item, list(step.outputs))
    return fold.carried(ACCOUNT)


def test_K_EX_10_a_kill_is_on_disk_before_it_is_acknowledged(tmp_path):
    path = tmp_path / "journal.db"
    path.parent.chmod(0o700)
    journal = journal_at(path)
    change = StateChange(NOW, ACCOUNT, "REDUCING", ("RC_KILL_SWITCH",), "kill switch: closing everything")
    journal.record(OperatorIn(NOW, "kill"), [change, protective(1)])
    told = survivors(path)  # nothing was flushed
    assert told.reducing == ("RC_KILL_SWITCH", "kill switch: closing everything")
    assert [code for code, _ in told.reasons] == ["RC_KILL_SWITCH"]
    journal.close()


def test_F_CFG_05_a_resume_is_on_disk_before_it_is_acknowledged(tmp_path):
    journal = journal_at(tmp_path / "journal.db")
    before = journal.head[0]
    journal.record(OperatorIn(NOW, "resume"), [])
    assert journal.head[0] == before + 1
    journal.close()


@pytest.mark.parametrize("state", ["REDUCING", "LOCKED", "HALTED"])
def test_F_RSK_01_a_state_that_binds_the_next_run_is_on_disk_before_its_commands_leave(tmp_path, state):
    journal = journal_at(tmp_path / "journal.db")
    journal.record(TimerIn(NOW, {}), [StateChange(NOW, ACCOUNT, state, ("RC_DAILY_LOSS",), "why"), protective(1)])
    assert journal.head[0] == journal.last_seq
    journal.close()


@pytest.mark.parametrize("state", ["ACTIVE", "PAUSED", "RECONCILING"])
def test_other_steps_wait_for_the_flush(tmp_path, state):
    journal = journal_at(tmp_path / "journal.db")
    before = journal.head[0]
    journal.record(TimerIn(NOW, {}), [StateChange(NOW, ACCOUNT, state, (), "why")])
    assert (journal.head[0], journal.last_seq) == (before, before + 2)
    journal.flush()
    assert journal.head[0] == before + 2
    journal.close()
