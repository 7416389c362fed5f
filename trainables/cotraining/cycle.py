"""The end of a cycle: what is kept, what is reverted bit for bit, and the record of it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from trainables.cotraining.config import SIDES, CotrainingConfig
from trainables.cotraining.decision import Decision, SideEvaluation, decide
from trainables.cotraining.state import State
from trainables.physical.population import Components
from trainables.physical.state import State as PhysicalState
from trainables.training import metric_names as names
from trainables.training.worker import Worker, decided_by_first


@dataclass(frozen=True, eq=False)
class Version:
    """The physical model before a cycle."""

    physical: PhysicalState
    components: Components
    evaluation: SideEvaluation | None

    @classmethod
    def of(cls, state: State) -> "Version":
        """Return the physical model of a state; a refit replaces its parts and changes none."""
        return cls(state.physical, state.components, state.evaluations.get("physical"))

    def restore(self, state: State) -> None:
        """Bring strokes and population back as they were; the counter of epochs is not."""
        state.physical = replace(self.physical, epoch=state.physical.epoch)
        state.components = self.components
        if self.evaluation is not None:
            state.evaluations["physical"] = self.evaluation


def settle(state: State, before: Version, config: CotrainingConfig, cycle: int, worker: Worker) -> dict[str, float]:
    """Keep or revert the version of each model, record the cycle, and return the metrics of the decision.

    The first worker, which alone evaluates, decides for all.
    """
    decisions = _decisions({"diffusion": state.before, "physical": before.evaluation}, state, config)
    kept = {side: decided_by_first(worker, side in decisions and decisions[side].kept) for side in SIDES}
    evaluated = dict(state.evaluations)
    if not kept["diffusion"]:
        state.revert_diffusion()
    if not kept["physical"]:
        before.restore(state)
    state.stale = 0 if any(kept.values()) else state.stale + 1
    if decisions:
        account = {
            side: {**state.account[side], "metrics": dict(evaluated[side].metrics), "decision": asdict(decision)}
            for side, decision in decisions.items()
        }
        state.cycles.append({"cycle": cycle, **account})
    state.end_cycle()
    return {name: value for side, found in decisions.items() for name, value in _metrics(side, found).items()}


def _decisions(
    before: Mapping[str, SideEvaluation | None], state: State, config: CotrainingConfig
) -> dict[str, Decision]:
    """Return the decision of each model; none where nothing was evaluated."""
    return {
        side: decide(earlier, state.evaluations[side], config)
        for side, earlier in before.items()
        if earlier is not None
    }


def _metrics(side: str, decision: Decision) -> dict[str, float]:
    metrics = {names.cycle_metric(side, "kept"): float(decision.kept)}
    if decision.improvement is not None and decision.low is not None:
        metrics[names.cycle_metric(side, "improvement")] = decision.improvement
        metrics[names.cycle_metric(side, "improvement_low")] = decision.low
    return metrics
