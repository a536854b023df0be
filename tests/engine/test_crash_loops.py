"""Processes that die at every start, and the launcher's last resort when that is the executor."""

from pathlib import Path

import sim_rig
import status_rig
from open_account import fill_account, open_things
from supervisor_rig import executor, poll_until, spec, supervised, texts, worker
from tbot.domain.process_messages import EngineEvent, Heartbeat
from tbot.engine.processes import ProcessSpec
from tbot.engine.settings import EngineSettings, GatewaySettings
from tbot.engine.supervisor import Supervisor


def test_F_PRC_04_a_child_that_dies_at_every_start_halts_the_run(tmp_path: Path) -> None:
    with supervised(tmp_path, lambda s: worker(s, "MNQ", secrets={"exit_at_once": True})) as supervisor:
        poll_until(supervisor, lambda: supervisor.phase.failure, "a failure")
        assert supervisor.phase.failure_code == "RC_CRASH_LOOP"
        assert supervisor.status()["restarts"] == 3
        assert supervisor.children["worker-1"].pid == 0


def test_F_PRC_04_the_run_goes_on_without_a_recorder_that_dies_at_every_start(tmp_path: Path) -> None:
    def recorder(settings: EngineSettings) -> ProcessSpec:
        return spec("recorder", settings, secrets={"exit_at_once": True}, vital=False)

    with supervised(tmp_path, recorder) as supervisor:
        gone = "is not restarted; the run goes on without it"
        poll_until(supervisor, lambda: any(gone in text for text in texts(supervisor, "launcher")), "gone for good")
        poll_until(supervisor, supervisor.ready, "nobody waits for it")
        supervisor.poll(0)
        supervisor.poll(0)
        assert sum(gone in text for text in texts(supervisor, "launcher")) == 1
        assert (supervisor.phase.failure, supervisor.status()["reason"]) == ("", "no account yet")


# ------------------------------------------------------------------------------------------------------ last resort
def test_F_PRC_04_an_executor_that_cannot_come_back_is_replaced_by_the_emergency_exit_once(tmp_path: Path) -> None:
    with sim_rig.running() as server:
        fill_account(server)
        gateway = GatewaySettings(server.rest, "", "", simulated=True)

        def dying(settings: EngineSettings) -> ProcessSpec:
            secrets = {"exit_at_once": True, "credentials": (sim_rig.OWNER, sim_rig.KEY)}
            return spec("executor", settings, secrets=secrets)

        with supervised(tmp_path, dying, gateway=gateway) as supervisor:
            supervisor.children["executor"].status = {"accounts": {"1001": status_rig.account(flat=False)}}
            poll_until(supervisor, lambda: supervisor.phase.failure, "a failure")
            assert supervisor.phase.failure_code == "RC_CRASH_LOOP"
            supervisor.await_flat(supervisor.request_stop())
            assert supervisor.phase.flat
            assert supervisor.status()["last_resort"] == "flat"
        assert open_things(server) == ([], 0)
        starts = [text for text in texts(supervisor, "launcher") if "the emergency exit closes everything" in text]
        assert len(starts) == 1


def test_F_PRC_04_what_a_dead_executor_may_hold_follows_from_its_last_words(tmp_path: Path) -> None:
    settings = status_rig.settings(tmp_path)
    supervisor = Supervisor(settings, [executor(settings)])
    child = supervisor.children["executor"]
    assert not supervisor._may_hold()  # it never began
    settings.journal_path.touch()
    assert supervisor._may_hold()  # nobody knows
    flat = child.status = {"accounts": {"1001": status_rig.account(flat=True)}}
    assert not supervisor._may_hold()
    supervisor.tell(EngineEvent(0, "executor", "INTENT", "MNQ", "long"))
    assert supervisor._may_hold()  # an order since then
    for status, held in (({}, True), (flat, False)):  # a beat without a status says nothing new
        supervisor._on_beat(child, Heartbeat("executor", 1, 1, 1, "OK", status, supervisor._greeting))  # type: ignore[arg-type]
        assert supervisor._may_hold() is held


def test_F_PRC_04_an_executor_that_left_nothing_open_needs_no_emergency_exit(tmp_path: Path) -> None:
    def dying(settings: EngineSettings) -> ProcessSpec:
        return spec("executor", settings, secrets={"exit_at_once": True, "credentials": ("u", "k")})

    gateway = GatewaySettings("http://127.0.0.1:9", "", "", simulated=True)
    with supervised(tmp_path, dying, gateway=gateway) as supervisor:
        supervisor.children["executor"].status = {"accounts": {"1001": status_rig.account(flat=True)}}
        poll_until(supervisor, lambda: supervisor.phase.failure, "a failure")
        assert supervisor.status()["last_resort"] == ""


def test_F_CFG_06_the_launcher_passes_its_kill_on_and_hears_the_answer(tmp_path: Path) -> None:
    with supervised(tmp_path, lambda s: executor(s, True)) as supervisor:
        poll_until(supervisor, supervisor.ready, "up")
        resort = supervisor._resort
        supervisor.press_kill("signal")
        assert resort._waiting
        poll_until(supervisor, lambda: not resort._waiting, "the executor has acknowledged")
        assert resort.state == ""
        assert (supervisor.settings.state_dir / "kill.all").exists()
