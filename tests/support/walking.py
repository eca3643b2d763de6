"""Every state a world of the doorbell model can reach, breadth first."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from tests.support.doorbell_model import State, Walk, World


@dataclass(frozen=True)
class Findings:
    """What a walk came to. ``left_behind`` and ``circle`` are the steps that lead there; empty: there are none.

    States that differ only in which of several equal reactors does what count once, so numbers of reactors may change
    places from one step to the next.
    """

    states: int
    left_behind: tuple[str, ...]
    circle: tuple[str, ...]

    @property
    def well(self) -> bool:
        return not self.left_behind and not self.circle


def explore(world: World) -> Findings:
    """Walk every state of ``world``; stops at the first row left behind, by a shortest way there."""
    walk = Walk(world)
    came_from: dict[State, tuple[str, State] | None] = {walk.start(): None}
    waiting = deque(came_from)
    alone: dict[State, list[tuple[str, State]]] = {}
    while waiting:
        state = waiting.popleft()
        if walk.left_behind(state):
            return Findings(len(came_from), _way_to(state, came_from), ())
        ways = alone[state] = []
        polls = walk.polls_by_design(state)
        for label, by_itself, next_state in walk.steps(state):
            after = walk.like(next_state)
            if by_itself and not polls:
                ways.append((label, after))
            if after not in came_from:
                came_from[after] = (label, state)
                waiting.append(after)
    return Findings(len(came_from), (), _circle(alone))


def _way_to(state: State, came_from: dict[State, tuple[str, State] | None]) -> tuple[str, ...]:
    labels: list[str] = []
    step = came_from[state]
    while step is not None:
        labels.append(step[0])
        step = came_from[step[1]]
    return tuple(reversed(labels))


def _circle(ways: dict[State, list[tuple[str, State]]]) -> tuple[str, ...]:
    """The labels of a cycle in the graph, found depth first; empty when there is none."""
    finished: set[State] = set()
    for root in ways:
        if root in finished:
            continue
        path: list[tuple[State, Iterator[tuple[str, State]]]] = [(root, iter(ways[root]))]
        labels: list[str] = []
        place = {root: 0}
        while path:
            state, rest = path[-1]
            for label, after in rest:
                if after in place:
                    return (*labels[place[after] :], label)
                if after not in finished:
                    place[after] = len(path)
                    path.append((after, iter(ways[after])))
                    labels.append(label)
                    break
            else:
                path.pop()
                del place[state]
                finished.add(state)
                if labels:
                    labels.pop()
    return ()
