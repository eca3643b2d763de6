"""The wake protocol as an explicit-state model, small enough to walk every interleaving of it.

A `World` says who takes part and what may go wrong; `tests.support.walking.explore` visits every state it can reach, all
sweeps off, and looks for

* a row left behind: committed, due, free, and some reactor that may take it sleeps with a free slot while nothing that
  happens by itself will wake anybody;
* a live-lock: reactors that go round and round although nobody writes, holds a row, or finishes work.

The model keeps what decides and drops the rest. Time is one event that makes a delayed row due. A reactor has one slot.
Some writers' rows only the last reactor may take (another agent, another kind). A session may lock a row by hand, a reactor
may die or lose the connection its bell is on, a queue may be paused. Heartbeats bury the dead; sweeps never come. What a
reactor hears just before it clears its flags makes no difference, so it is forgotten at once: fewer states, the same walk.

Every `Rule` can be taken away, to see that the walk notices.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

ANYBODYS, LASTS, NOBODYS = range(3)


class Rule(Enum):
    """What the protocol is made of."""

    LOOK_ONCE_ARMED = auto()  # claim once more after taking the bell, or after seeing a peer with it
    START_OVER = auto()  # what was heard since the flags were cleared starts the round over
    PASS = auto()  # whoever lets go of the bell says so
    FORGET_PASSES = auto()  # taking the bell forgets the passes heard before, holding it ignores them
    LOSS_IS_A_PASS = auto()  # whoever notices that the bell's connection broke says so too
    RING_FOR_LATER = auto()  # a row due later rings (or holds the bell) as any other
    SLEEP_UNTIL_DUE = auto()  # the next due time is asked for before sleeping
    WATCH_LOCKED = auto()  # ... without skip locked: a due row in somebody's hands is looked at again
    RESCUE_RINGS = auto()  # giving back what the dead had running rings
    RESUME_RINGS = auto()  # lifting a pause rings


@dataclass(frozen=True)
class World:
    """Who takes part, and how often what may happen."""

    rows: tuple[int, ...] = (ANYBODYS, LASTS)  # one writer each: whose rows it inserts
    reactors: int = 2
    statements: int = 1  # inserts each writer has to do
    statements_a_transaction: int = 1
    nobodys_row: bool = False  # a row lies there from the start that no reactor may take
    delayed: bool = False  # the first writer's rows are due later
    hands: int = 0  # times somebody locks a due row and lets go of it again, silently
    deaths: int = 0
    losses: int = 0  # connections a bell is held on that break
    pauses: int = 0
    without: frozenset[Rule] = frozenset()


class Writer(NamedTuple):
    written: int = 0  # rows of the open transaction
    will_ring: bool = False
    silent: bool = False  # holds the bell shared
    left: int = 0


class Reactor(NamedTuple):
    at: str = "claim"
    bell: bool = False
    broken: bool = False  # the bell's connection is gone, and it has not noticed
    slot: int = -1  # whose row is running in it; -1: none
    rung: bool = False
    passed: bool = False
    timer: bool = False
    ring_coming: bool = False
    pass_coming: bool = False


class State(NamedTuple):
    due: tuple[int, int, int]
    later: int
    in_hands: int
    paused: bool
    left: tuple[int, int, int, int]  # hands, deaths, losses, pauses still to happen
    orphans: tuple[int, ...]  # of the dead not yet buried: the slot of each
    writers: tuple[Writer, ...]
    reactors: tuple[Reactor, ...]


Step = tuple[str, bool, State]  # what happens, whether it happens by itself, what is then


class Walk:
    """The protocol in one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rules = frozenset(Rule) - world.without

    def start(self) -> State:
        world = self.world
        return State(
            due=(0, 0, int(world.nobodys_row)),
            later=0,
            in_hands=0,
            paused=False,
            left=(world.hands, world.deaths, world.losses, world.pauses),
            orphans=(),
            writers=(Writer(left=world.statements),) * len(world.rows),
            reactors=(Reactor(),) * world.reactors,
        )

    def steps(self, state: State) -> Iterator[Step]:
        """Everything that can happen next."""
        for i in range(len(self.world.rows)):
            yield from self._writer(state, i)
        for i, reactor in enumerate(state.reactors):
            if reactor.at != "dead":
                yield from self._hearing(state, i)
                yield from self._reactor(state, i)
                yield from self._misfortune(state, i)
        yield from self._surroundings(state)

    # -- writers

    def _writer(self, state: State, i: int) -> Iterator[Step]:
        writer = state.writers[i]
        delayed = self.world.delayed and i == 0
        if writer.left and writer.written < self.world.statements_a_transaction:
            asks = not delayed or Rule.RING_FOR_LATER in self.rules
            # The trigger tries the bell shared. Held or waited for exclusively it cannot be had, unless one has it already.
            silent = writer.silent or (asks and not self._wanted(state))
            rings = writer.will_ring or (asks and not silent)
            wrote = Writer(writer.written + 1, rings, silent, writer.left - 1)
            yield f"writer {i} inserts", False, self._with_writer(state, i, wrote)
        if writer.written:
            done = self._with_writer(state, i, Writer(left=writer.left))
            yield f"writer {i} rolls back", False, done
            if delayed:
                done = done._replace(later=done.later + writer.written)
            else:
                done = self._add(done, self.world.rows[i], writer.written)
            yield f"writer {i} commits", False, ring_all(done) if writer.will_ring else done

    @staticmethod
    def _wanted(state: State) -> bool:
        return any(r.bell or r.at == "wait" for r in state.reactors)

    # -- reactors

    def _hearing(self, state: State, i: int) -> Iterator[Step]:
        one = state.reactors[i]
        clears_next = one.at in ("claim", "full")
        if one.ring_coming:
            heard = one._replace(rung=not clears_next, ring_coming=False)
            yield f"reactor {i} hears a ring", True, put(state, i, heard)
        if one.pass_coming:
            ignored = clears_next or ((one.bell or one.broken) and Rule.FORGET_PASSES in self.rules)
            heard = one._replace(passed=one.passed or not ignored, pass_coming=False)
            yield f"reactor {i} hears a pass", True, put(state, i, heard)
        if one.slot >= 0:
            freed = one._replace(slot=-1, at="claim" if one.at == "full" else one.at)
            yield f"a handler of reactor {i} ends", False, put(state, i, freed)

    def _reactor(self, state: State, i: int) -> Iterator[Step]:
        one = state.reactors[i]
        match one.at:
            case "claim" if one.slot >= 0:
                yield f"reactor {i} is full", True, put(state, i, one._replace(at="full"))
            case "claim":
                yield self._take(state, i) or (
                    f"reactor {i} finds nothing",
                    True,
                    put(state, i, one._replace(at="arm")),
                )
            case "arm":
                yield self._arm(state, i)
            case "wait":
                yield from self._wait(state, i)
            case "armed":
                found = self._take(state, i) if Rule.LOOK_ONCE_ARMED in self.rules else None
                yield found or (
                    f"reactor {i} still finds nothing",
                    True,
                    put(state, i, one._replace(at="ask")),
                )
            case "ask":
                yield self._ask(state, i)
            case "sleep" if (one.rung or one.passed) and one.bell:
                looks = one._replace(at="armed", rung=False, passed=False, timer=False)
                yield f"reactor {i} wakes and looks, the bell in its hand", True, put(state, i, looks)
            case "sleep" if one.rung or one.passed:
                yield f"reactor {i} wakes", True, self._start_over(state, i)

    def _take(self, state: State, i: int) -> Step | None:
        """A claim, with the bell let go of if it was held; None when it finds nothing."""
        whose = self._takable(state, i)
        if whose is None:
            return None
        taken = put(self._add(state, whose, -1), i, state.reactors[i]._replace(slot=whose))
        return f"reactor {i} claims", True, self._start_over(taken, i)

    def _takable(self, state: State, i: int) -> int | None:
        if state.paused:
            return None
        if state.due[ANYBODYS]:
            return ANYBODYS
        return LASTS if state.due[LASTS] and i == self.world.reactors - 1 else None

    def _arm(self, state: State, i: int) -> Step:
        one = state.reactors[i]
        others = [r for j, r in enumerate(state.reactors) if j != i]
        if one.broken:
            return f"reactor {i} has no connection to arm on", True, put(state, i, one._replace(at="armed"))
        if any(r.bell for r in others):
            return f"reactor {i} sees a peer with the bell", True, put(state, i, one._replace(at="armed"))
        if any(w.silent for w in state.writers) or any(r.at == "wait" for r in others):
            return f"reactor {i} waits for silent writers", True, put(state, i, one._replace(at="wait"))
        return f"reactor {i} takes the bell", True, put(state, i, self._with_bell(one))

    def _wait(self, state: State, i: int) -> Iterator[Step]:
        one = state.reactors[i]
        if any(w.silent for w in state.writers) or any(r.bell for r in state.reactors):
            yield f"the wait of reactor {i} ends", True, self._start_over(state, i)
        else:
            yield f"reactor {i} is granted the bell", True, put(state, i, self._with_bell(one))
        beside = self._take(state, i)
        if beside is not None:
            yield beside

    def _with_bell(self, one: Reactor) -> Reactor:
        passed = one.passed and Rule.FORGET_PASSES not in self.rules
        return one._replace(at="armed", bell=True, passed=passed)

    def _ask(self, state: State, i: int) -> Step:
        """When is the next row due? Now: look again; later: with a timer."""
        one = state.reactors[i]
        if (one.rung or one.passed) and Rule.START_OVER in self.rules:
            return f"reactor {i} has heard something since", True, self._start_over(state, i)
        watched = state.in_hands and not state.paused and Rule.WATCH_LOCKED in self.rules
        if Rule.LOOK_ONCE_ARMED in self.rules and (watched or self._takable(state, i) is not None):
            return f"reactor {i} looks again", True, put(state, i, one._replace(at="armed"))
        timer = bool(state.later) and not state.paused and Rule.SLEEP_UNTIL_DUE in self.rules
        asleep = one._replace(at="sleep", rung=False, passed=False, timer=timer)
        return f"reactor {i} sleeps", True, put(state, i, asleep)

    def _start_over(self, state: State, i: int) -> State:
        """Back to the first claim, the bell let go of."""
        one = state.reactors[i]
        state = put(state, i, one._replace(at="claim", bell=False, rung=False, passed=False, timer=False))
        return pass_on(state, i) if one.bell and Rule.PASS in self.rules else state

    # -- what goes wrong, and the rest of the world

    def _misfortune(self, state: State, i: int) -> Iterator[Step]:
        one = state.reactors[i]
        hands, deaths, losses, pauses = state.left
        if deaths:
            gone = put(state, i, Reactor(at="dead"))
            yield (
                f"reactor {i} dies",
                False,
                gone._replace(left=(hands, deaths - 1, losses, pauses), orphans=(*state.orphans, one.slot)),
            )
        if losses and one.bell:
            cut = put(state, i, one._replace(bell=False, broken=True))
            yield (
                f"the bell of reactor {i} is cut off",
                False,
                cut._replace(left=(hands, deaths, losses - 1, pauses)),
            )
        if one.broken:
            noticed = put(state, i, one._replace(broken=False, rung=one.at not in ("claim", "full")))
            yield (
                f"reactor {i} notices and connects again",
                True,
                pass_on(noticed, i) if Rule.LOSS_IS_A_PASS in self.rules else noticed,
            )

    def _surroundings(self, state: State) -> Iterator[Step]:
        hands, deaths, losses, pauses = state.left
        if state.later:
            due = self._add(state, ANYBODYS, 1)._replace(later=state.later - 1)
            woken = tuple(r._replace(rung=r.rung or r.timer) for r in state.reactors)
            yield "a delayed row is due", False, due._replace(reactors=woken)
        if hands and state.due[ANYBODYS]:
            held = self._add(state, ANYBODYS, -1)._replace(in_hands=state.in_hands + 1)
            yield "somebody locks a row", False, held._replace(left=(hands - 1, deaths, losses, pauses))
        if state.in_hands:
            freed = self._add(state, ANYBODYS, 1)._replace(in_hands=state.in_hands - 1)
            yield "somebody lets go of a row", False, freed
        if state.orphans and any(r.at != "dead" for r in state.reactors):
            buried = state._replace(orphans=state.orphans[1:])
            if state.orphans[0] >= 0:
                buried = self._add(buried, state.orphans[0], 1)
            yield "the dead is buried", True, ring_all(buried) if Rule.RESCUE_RINGS in self.rules else buried
        if pauses and not state.paused:
            yield "a pause", False, state._replace(paused=True, left=(hands, deaths, losses, pauses - 1))
        if state.paused:
            lifted = state._replace(paused=False)
            yield "a resume", False, ring_all(lifted) if Rule.RESUME_RINGS in self.rules else lifted

    # -- the two questions

    def left_behind(self, state: State) -> bool:
        """Whether a row lies there that a sleeper could take, and nothing will wake anybody."""
        if state.orphans or state.in_hands or any(w.written for w in state.writers):
            return False
        alive = [(i, r) for i, r in enumerate(state.reactors) if r.at != "dead"]
        if any(r.at not in ("sleep", "full") or r.broken or any(r[4:6]) or any(r[7:]) for _, r in alive):
            return False
        return any(r.at == "sleep" and r.slot < 0 and self._takable(state, i) is not None for i, r in alive)

    @staticmethod
    def polls_by_design(state: State) -> bool:
        """Whether reactors rightly go round: a silent writer keeps the bell, or somebody a due row."""
        return state.in_hands > 0 or any(w.silent for w in state.writers)

    def like(self, state: State) -> State:
        """One state for all that differ only in which of several equal reactors does what."""
        if LASTS in self.world.rows:
            return state._replace(reactors=(*sorted(state.reactors[:-1]), state.reactors[-1]))
        return state._replace(reactors=tuple(sorted(state.reactors)))

    # -- small changes

    @staticmethod
    def _with_writer(state: State, i: int, writer: Writer) -> State:
        return state._replace(writers=(*state.writers[:i], writer, *state.writers[i + 1 :]))

    @staticmethod
    def _add(state: State, whose: int, rows: int) -> State:
        due = list(state.due)
        due[whose] += rows
        return state._replace(due=(due[0], due[1], due[2]))


def put(state: State, i: int, reactor: Reactor) -> State:
    """``state`` with another reactor ``i``."""
    return state._replace(reactors=(*state.reactors[:i], reactor, *state.reactors[i + 1 :]))


def ring_all(state: State) -> State:
    """A ring is on its way to every reactor alive."""
    rung = tuple(r if r.at == "dead" else r._replace(ring_coming=True) for r in state.reactors)
    return state._replace(reactors=rung)


def pass_on(state: State, but: int) -> State:
    """A pass is on its way to every other reactor alive."""
    told = tuple(
        r if r.at == "dead" or j == but else r._replace(pass_coming=True)
        for j, r in enumerate(state.reactors)
    )
    return state._replace(reactors=told)
