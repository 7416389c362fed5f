"""The population: a distribution over the strokes of a movement given its condition, fitted to training movements.

It is a mixture with one component per fitted training movement i, under the condition c

    p(strokes | c) = sum_i w_i(c) N(strokes_i, C_i),   w_i(c) proportional to exp(-d(c, c_i)^2 / (2 bandwidth^2)),

times the weight of the movement where movements have weights. d is the distance of standardised conditions (logarithms
of duration, distance, path over distance, and turning), with `DIRECTION` |e^(i angle) - e^(i angle_i)|^2 added to its
square and `OTHER_SOURCE` where the sources are known and not the same. The number of strokes is that of the component.
The covariance follows the movement's own sensitivity,

    C_i = (H_i / s_i^2 + S^-1)^-1,   H_i = sum over ticks of the squared derivatives of path, step and change of step,

weighted by `WEIGHTS`, with s_i `spread` times the root mean square step of the movement and S the variance of each
parameter among all strokes. Strokes that cancel each other thus move together, while a parameter that the movement does
not show takes any value of the population: independent perturbations would add jerk that no movement has.

Strokes are scaled to the requested duration and distance, in which the forms are closed, the noise of movement i is
added, and the whole is turned and scaled onto the requested displacement. Of several such candidates the one is taken
whose condition in whole pixels is nearest to the requested one, and which was turned and scaled least.

References: Remarks on some nonparametric estimates of a density function (Rosenblatt, 1969), for kernels over
conditions; Approximate Bayesian computation in population genetics (Beaumont et al., 2002), for the choice among
candidates.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from trainables.core.config import require
from trainables.data.canonical import rotate, turning
from trainables.data.config import MEASURED_CONDITIONS, RATE_HZ
from trainables.generation.conditions import Conditions
from trainables.physical.config import PopulationConfig
from trainables.physical.extraction import StrokeSets
from trainables.physical.perturbation import factors
from trainables.physical.pointer_rounding import rounded
from trainables.physical.residual_noise import with_noise
from trainables.physical.stroke_form import StrokeForm

DIRECTION = 0.3  # a pointer's ways left and right differ, and less than those of other durations do
OTHER_SOURCE = 1.0
MEASURED = len(MEASURED_CONDITIONS)
SMALLEST = 1e-6  # px: of a displacement that is turned and scaled


class Components(nn.Module):
    """Everything of the fitted training movements that a sample needs, as the module whose tensors a checkpoint holds.

    Attributes:
        free, present: Their strokes, see `StrokeSets`.
        noise: Share of the speed, along and across, see `noise_shares`.
        raw, angle, source: Their conditions.
        play: Of the rounding to pixels.
        weight: Share of each in the mixture, relative to the others; None: they count alike.
    """

    free: Tensor
    present: Tensor
    noise: Tensor
    raw: Tensor
    angle: Tensor
    source: Tensor
    play: Tensor
    weight: Tensor | None

    def __init__(
        self,
        strokes: StrokeSets,
        noise: Float[Tensor, "N 2"],
        conditions: Conditions,
        play: float,
        weight: Float[Tensor, "N"] | None = None,
    ) -> None:
        super().__init__()
        self.free = nn.Parameter(strokes.free, requires_grad=False)
        self.noise = nn.Parameter(noise, requires_grad=False)
        self.register_buffer("present", strokes.present)
        self.register_buffer("raw", conditions.raw[:, :MEASURED].double().contiguous())
        self.register_buffer("angle", conditions.angle.double())
        self.register_buffer("source", conditions.source.contiguous())
        self.register_buffer("play", torch.tensor(play, dtype=torch.float64))
        self.register_buffer("weight", weight if weight is None else weight.double())

    def __len__(self) -> int:
        return len(self.free)

    @property
    def strokes(self) -> StrokeSets:
        """The strokes of all movements."""
        return StrokeSets(self.free, self.present)


@dataclass(frozen=True, eq=False)
class Population:
    """A fitted population, ready to sample.

    Attributes:
        factor: Roots of the covariances C_i, [N, K J, K J].
        mean, std: Of the measured conditions of its movements.
    """

    form: StrokeForm
    config: PopulationConfig
    components: Components
    factor: Float[Tensor, "N M M"]
    mean: Float[Tensor, "D"]
    std: Float[Tensor, "D"]

    @classmethod
    def of(cls, form: StrokeForm, config: PopulationConfig, components: Components) -> "Population":
        """Prepare components for sampling.

        Raises:
            ConfigError: Fewer than two movements, of which no kernel can be made.
        """
        law = "`movements that strokes were fitted to >= 2` in a population"
        require(len(components) >= 2, law, str(len(components)), "read more recordings")
        duration_s, distance_px = components.raw[:, :2].exp().unbind(1)
        factor = factors(components.strokes, form, duration_s, distance_px, config.spread)
        std = components.raw.std(dim=0).clamp(min=torch.finfo(torch.float64).eps)
        return cls(form, config, components, factor, components.raw.mean(dim=0), std)

    def sample(self, condition: Conditions, random: torch.Generator) -> Float[Tensor, "S 2"]:
        """Return the steps of one movement on the screen in whole pixels, under a condition of one row."""
        duration_s, distance_px = condition.raw[0, :2].double().exp().tolist()
        steps = round(duration_s * RATE_HZ)
        chosen = torch.multinomial(self.weights(condition), self.config.candidates, replacement=True, generator=random)
        free = self._perturbed(chosen, random)
        own_s, own_px = self.components.raw[chosen, :2].exp().unbind(1)
        t_s = own_s[:, None] * (torch.arange(steps + 1, dtype=torch.float64) / steps)
        path = StrokeSets(free, self.components.present[chosen]).path(self.form, t_s)
        white = torch.randn(len(chosen), steps, 2, generator=random, dtype=torch.float64)
        path = with_noise(path * (distance_px / own_px)[:, None, None], self.components.noise[chosen], white)
        placed, change = _placed(path, distance_px, condition.angle[:1].double())
        moves = rounded(placed, float(self.components.play)).diff(dim=1)
        best: Tensor = moves[int((self._misfit(moves, condition) + change).argmin())]
        return best

    def weights(self, condition: Conditions) -> Float[Tensor, "N"]:
        """Return the weights w of all components under a condition of one row."""
        raw = condition.raw[0, :MEASURED].double()
        square = ((raw - self.components.raw) / self.std).square().sum(dim=1)
        square = square + DIRECTION * (2.0 - 2.0 * (condition.angle[0].double() - self.components.angle).cos())
        source = int(condition.source[0])
        if source >= 0:
            square = square + OTHER_SOURCE * (self.components.source != source)
        logits = -square / (2.0 * self.config.bandwidth**2)
        if self.components.weight is not None:
            logits = logits + self.components.weight.log()
        return torch.softmax(logits, dim=0)

    def _perturbed(self, chosen: Int[Tensor, "M"], random: torch.Generator) -> Float[Tensor, "M K J"]:
        free = self.components.free[chosen]
        white = torch.randn(len(chosen), free[0].numel(), 1, generator=random, dtype=torch.float64)
        return free + (self.factor[chosen] @ white).view_as(free)

    def _misfit(self, moves: Float[Tensor, "M S 2"], condition: Conditions) -> Float[Tensor, "M"]:
        """Return the squared distance of path over distance and of turning from those that were requested."""
        net = moves.sum(dim=1).norm(dim=-1).clamp(min=SMALLEST)
        measured = torch.stack([(moves.norm(dim=-1).sum(dim=1) / net).log(), turning(moves).log1p()], dim=1)
        wanted = condition.raw[0, 2:MEASURED].double()
        return ((measured - wanted) / self.std[2:]).square().sum(dim=1)


def _placed(
    path: Float[Tensor, "M T 2"], distance_px: float, angle: Float[Tensor, "1"]
) -> tuple[Float[Tensor, "M T 2"], Float[Tensor, "M"]]:
    """Return paths turned and scaled onto a displacement, and the sum of squares of the turn and of the log scale."""
    net = path[:, -1]
    length, heading = net.norm(dim=-1).clamp(min=SMALLEST), torch.atan2(net[:, 1], net[:, 0])
    scale = distance_px / length
    placed = rotate(path * scale[:, None, None], angle - heading)
    return placed, scale.log().square() + heading.square()
