"""Input and output of the checks: a `PreflightContext` and a `Finding`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from platform.preflight.config import DoctorConfig
from trainables.data.config import DataConfig
from trainables.training.node_probe import Node

OK, WARNING, FAIL = "ok", "warning", "FAIL"
STATES = (OK, WARNING, FAIL)


@dataclass(frozen=True)
class Finding:
    """The finding of a check: its state, one line, and the remedy where it is not ok."""

    state: str
    text: str
    remedy: str = ""


@dataclass(frozen=True)
class Cluster:
    """The Ray instance at the address.

    Attributes:
        error: Why there is none; the rest is empty then.
        silent: Nodes that could not answer, each with the reason.
        apart_s: Host -> its clock minus the driver's; what the round trip hides is not counted.
        capacity: Resources of each node.
    """

    error: str = ""
    nodes: tuple[Node, ...] = ()
    unresponsive: tuple[str, ...] = ()
    clock_offset_s: Mapping[str, float] = field(default_factory=dict)
    capacity: tuple[Mapping[str, float], ...] = ()

    def total(self, resource: str) -> float:
        """Return the sum over all nodes."""
        return sum(node.get(resource, 0.0) for node in self.capacity)


@dataclass(frozen=True)
class PreflightContext:
    """Everything that the checks read."""

    config: DoctorConfig
    data: DataConfig
    driver: Node
    cluster: Cluster

    @property
    def machines(self) -> tuple[Node, ...]:
        """The machines, the driver's first; a local instance runs on the same one."""
        return (self.driver,) if self.local else (self.driver, *self.cluster.nodes)

    @property
    def local(self) -> bool:
        """Whether Ray lives and dies with the command."""
        return self.config.address == "local"


Check = Callable[[PreflightContext], Finding]


def worst_finding(context: PreflightContext, check_node: Callable[[Node], Finding]) -> Finding:
    """Return the worst finding over all machines, with the hosts that have it."""
    found = [(node.host, check_node(node)) for node in context.machines]
    worst = max(STATES.index(finding.state) for _, finding in found)
    hosts = [(host, finding) for host, finding in found if finding.state == STATES[worst]]
    if len(context.machines) == 1 or worst == 0:
        return hosts[0][1]
    text = "; ".join(f"{host}: {finding.text}" for host, finding in hosts)
    return Finding(STATES[worst], text, hosts[0][1].remedy)


def needs_ray(check: Check) -> Check:
    """Decorate a check so that it reports a warning where no Ray instance is reachable."""

    def checked(context: PreflightContext) -> Finding:
        if context.cluster.error:
            return Finding(WARNING, f"not checked: no Ray at address={context.config.address}", "correct `ray` first")
        return check(context)

    return checked


def run_check(check: Check, context: PreflightContext) -> Finding:
    """Return the finding of a check; one that raises has failed, and stops no other."""
    try:
        return check(context)
    except Exception as error:  # noqa: BLE001  # of any kind: the other checks run all the same
        ours = type(error).__module__.partition(".")[0] == "trainables"
        text = " ".join(str(error).split())
        return Finding(FAIL, text if ours else f"{type(error).__name__}: {text}", "correct what the message names")


def mib(size: float) -> str:
    """Return bytes as text in MiB."""
    return f"{size / 2**20:,.0f} MiB"
