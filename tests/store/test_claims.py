"""Claims: one process has a run, the dead are taken over from once, the superseded never finish."""

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from helpers import HANG, output, python, start
from holdfast._process import HEARTBEAT_STALE, this_process
from holdfast.errors import LockedError, StateError
from holdfast.store import Claim, Claims, Holder, _claims

IDENTITY = "0123456789abcdef" * 2
FRESH = multiprocessing.get_context("forkserver")  # of a process that has only imported the tasks
FRESH.set_forkserver_preload(["store_work"])
CLAIM = """
import os, signal, sys
from pathlib import Path
from holdfast.store import Claims
claims = Claims(Path("claims"))
claim = claims.claim(sys.argv[1])
with claims.locked(sys.argv[1]):
    assert claims.take(claim) is None
print("taken", flush=True)
"""
DIE = CLAIM + "os.kill(os.getpid(), signal.SIGKILL)"
STAY = CLAIM + "sys.stdin.read()"


@pytest.fixture
def claims() -> Claims:
    return Claims(Path("claims").absolute())


def take(claims: Claims) -> Claim | Holder:
    claim = claims.claim(IDENTITY)
    with claims.locked(IDENTITY):
        return claims.take(claim) or claim


def taken(claims: Claims) -> Claim:
    claim = take(claims)
    assert isinstance(claim, Claim)
    return claim


def numbers() -> list[str]:
    folder = Path("claims") / IDENTITY
    return sorted(os.listdir(folder)) if folder.exists() else []


def pretend(owner: dict[str, Any], age: float = 0.0) -> None:
    """Make the claim look as if another process had made it, some time ago."""
    path = Path("claims") / IDENTITY / "1"
    content = json.loads(path.read_bytes())
    path.unlink()
    path.write_text(json.dumps({"nonce": "other", "owner": content["owner"] | owner}))
    os.utime(path, (time.time() - age, time.time() - age))


def test_a_claim_names_its_owner_and_goes_when_it_is_released(claims: Claims) -> None:
    claim = taken(claims)
    holder = claims.holder(IDENTITY)
    assert holder == Holder(this_process())
    assert str(os.getpid()) in str(holder)
    assert isinstance(take(claims), Holder)
    assert claims.identities() == [IDENTITY]
    with claims.locked(IDENTITY):
        claim.check()
        claim.release()
    assert claims.holder(IDENTITY) is None
    assert claims.identities() == []
    taken(claims).let_go()
    assert numbers() == ["1"], "numbers begin again"


def test_a_claim_of_a_living_process_holds_and_one_of_a_dead_is_taken_over(claims: Claims) -> None:
    process = start(STAY, IDENTITY)
    holder = take(claims)
    assert isinstance(holder, Holder)
    assert holder.process is not None
    assert holder.process.pid == process.pid
    process.kill()
    process.communicate()
    claim = taken(claims)
    assert numbers() == ["1", "2"]
    assert not claim.is_first
    with claims.locked(IDENTITY):
        claim.release()
    assert numbers() == []


def take_over(barrier: Any, wins: Any) -> None:
    claims = Claims(Path("claims").absolute())
    barrier.wait()
    if isinstance(take(claims), Claim):
        with wins.get_lock():
            wins.value += 1
    barrier.wait()


def test_of_many_that_take_over_one_dead_claim_one_wins() -> None:
    assert python(DIE, IDENTITY).returncode == -signal.SIGKILL
    barrier, wins = FRESH.Barrier(4), FRESH.Value("i", 0)
    processes = [FRESH.Process(target=take_over, args=(barrier, wins)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(HANG)
        assert process.exitcode == 0
    assert wins.value == 1
    assert numbers() == ["1", "2"]


@pytest.mark.parametrize(
    "owner", [{"host": "elsewhere"}, {"pid_namespace": "pid:[1]"}, {"boot_id": "an earlier one"}]
)
def test_owners_out_of_sight_are_judged_by_their_heartbeat(
    claims: Claims, owner: dict[str, Any]
) -> None:
    old = taken(claims)
    old.let_go()
    pretend(owner)
    assert isinstance(take(claims), Holder)
    pretend(owner, HEARTBEAT_STALE - 60)
    assert isinstance(take(claims), Holder)
    pretend(owner, HEARTBEAT_STALE + 60)
    assert taken(claims).path.name == "2"


def test_a_superseded_claim_cannot_finish_even_if_all_claims_are_gone(claims: Claims) -> None:
    old = taken(claims)
    path = Path("claims") / IDENTITY / "2"
    path.write_text(json.dumps({"nonce": "successor", "owner": this_process().to_dict()}))
    with pytest.raises(StateError, match="taken over by another"):
        old.check()
    path.unlink()
    (path.parent / "1").unlink()
    with pytest.raises(StateError, match="taken over"):
        old.check()
    other = taken(claims)
    assert other.path == old.path, "the same number"
    with pytest.raises(StateError, match="taken over"):
        old.check()
    with claims.locked(IDENTITY):
        old.release()
        other.check()
    assert numbers() == ["1"], "an old claim removes no other's"


def test_a_beat_of_an_old_claim_does_not_freshen_a_new_one(claims: Claims) -> None:
    old = taken(claims)
    (Path("claims") / IDENTITY / "1").unlink()
    taken(claims).let_go()
    os.utime(Path("claims") / IDENTITY / "1", (1, 1))
    old._beat()
    assert (Path("claims") / IDENTITY / "1").stat().st_mtime == 1


def test_a_damaged_claim_counts_as_held_until_it_is_old(claims: Claims) -> None:
    taken(claims).let_go()
    path = Path("claims") / IDENTITY / "1"
    path.write_bytes(b'{"nonce": ')
    assert take(claims) == Holder(None)
    os.utime(path, (1, 1))
    assert isinstance(take(claims), Claim)


def test_a_link_that_tells_its_own_winner_so_is_believed_by_the_nonce(
    claims: Claims, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS may repeat a request whose answer was lost, and then say that the file exists."""
    link = os.link

    def twice(source: Path, target: Path) -> None:
        link(source, target)
        link(source, target)

    monkeypatch.setattr(os, "link", twice)
    assert isinstance(take(claims), Claim)
    assert numbers() == ["1"]


def test_a_forked_child_has_no_claim(claims: Claims) -> None:
    claim = taken(claims)
    pid = os.fork()
    if not pid:
        os._exit(0 if not claim.is_ours else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert claim.is_ours


def test_a_lock_that_nobody_lets_go_of_is_told(
    claims: Claims, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_claims, "LOCK_TIMEOUT", 0.1)
    with (
        claims.locked(IDENTITY),
        pytest.raises(LockedError, match="held by another process"),
        claims.locked(IDENTITY),
    ):
        pass


def test_what_the_dead_left_of_a_finished_run_is_tidied_up(claims: Claims) -> None:
    assert not claims.tidy(IDENTITY)
    assert output(CLAIM, IDENTITY) == "taken"
    assert claims.tidy(IDENTITY)
    assert claims.identities() == []
    taken(claims)
    assert not claims.tidy(IDENTITY), "its owner lives"
