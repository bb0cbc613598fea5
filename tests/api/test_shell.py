import api.shell
from api.config import Config
from api.shell import Shell
from tests.sockets import SECRET, Running, until


class Counting:
    def __init__(self) -> None:
        self.checks = 0

    def check(self, now: float) -> None:
        self.checks += 1


async def test_every_connection_is_looked_after_in_slices(monkeypatch):
    monkeypatch.setattr(api.shell, "SWEEP", 3)
    shell: Shell[Counting] = Shell(Running(Config(jwt_secret=SECRET, auth_timeout_s=0.004)))
    connections = [Counting() for _ in range(10)]
    for connection in connections:
        shell.add(connection)
    assert len(shell) == 10
    await until(lambda: min(connection.checks for connection in connections) >= 2)
    assert max(connection.checks for connection in connections) <= 3


async def test_who_is_removed_is_not_looked_after_and_the_timer_ends(monkeypatch):
    shell: Shell[Counting] = Shell(Running(Config(jwt_secret=SECRET, auth_timeout_s=0.004)))
    gone, there = Counting(), Counting()
    shell.add(gone)
    shell.remove(gone)
    shell.add(there)
    await until(lambda: there.checks > 0)
    shell.remove(there)
    assert (len(shell), gone.checks) == (0, 0)
