"""What an LSTM can answer to a whole set of flows: zonotopes from the exact state on, a sound bound of the last logit.

All values are affine forms: a centre, a part linear in the change d that the attacker makes, and independent noise
symbols in [-1, 1] for what straight lines do not say. The change lies in a box cut by its sum, its L1 norm since
packets only grow, and the linear part is bounded over exactly that set. Each gate is enclosed by lines
(``relaxation.py``), each product by its tangent plane and the range of what is left. Many old noise symbols are
replaced by one box now and then.

The bound holds for the detector in float32 too, summed in any order, fused or not: the worst case of each sum's
rounding (Higham 2002, section 3.1), of activations and of the inputs themselves is one more noise. It does not hold for
TF32 or bfloat16.

The bound's own float64 is not rounded outwards. Each radius is at most a few times the range that the noise for float32
is computed from, and float64 loses 2^-29 as much of the same sums, over at most a few times as many terms. So the noise
for float32 exceeds the loss by far; a test holds it to a factor of 10^5.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from rnnids.attacks.relaxation import Enclosure, product_range, rounding, sigmoid_lines, tanh_lines
from rnnids.detectors.lstm import LSTMDetector

FLOAT32 = 2.0**-24
ACTIVATION_ERROR = 8 * FLOAT32  # of float32 sigmoid and tanh; tests measure less than half of it
LEAST_UNIT = 1e-12  # of deviations in a product
LOST = 1.0  # mean radius of the noise of hidden values, in (-1, 1), from which on nothing can be shown any more


@dataclass(frozen=True)
class Region:
    """B sets of changes of k numbers: low <= d <= low + width, and least <= sum(d) <= most.

    Attributes:
        low, width: (B, k) z-scores. least, most: (B,).
    """

    low: Tensor
    width: Tensor
    least: Tensor
    most: Tensor

    def take(self, places: Tensor) -> "Region":
        """Some of the sets, by number."""
        return Region(self.low[places], self.width[places], self.least[places], self.most[places])

    def extent(self, linear: Tensor) -> tuple[Tensor, Tensor]:
        """Least and largest value of B x n linear functions (B, n, k) on the sets: two (B, n)."""
        base = (linear * self.low[:, None]).sum(dim=-1)
        return base - self._largest(-linear), base + self._largest(linear)

    def _largest(self, slopes: Tensor) -> Tensor:
        """What is gained beyond `low`, at most: the steepest numbers grow first, and others only up to `least`."""
        spent = self.low.sum(dim=-1)
        most, least = (self.most - spent)[:, None], (self.least - spent).clamp(min=0)[:, None]
        if bool((self.width.amin(dim=-1) >= most[:, 0]).all()):  # any number can take all
            steepest = slopes.amax(dim=-1)
            return steepest * torch.where(steepest > 0, most, least)
        slopes, order = slopes.sort(dim=-1, descending=True)
        width = self.width[:, None].expand_as(slopes).gather(-1, order)
        before = width.cumsum(dim=-1) - width
        until = torch.where(slopes > 0, most[..., None], least[..., None])
        return (slopes * torch.minimum((until - before).clamp(min=0), width)).sum(dim=-1)


@dataclass(frozen=True)
class Network:
    """The weights of a detector, float64 (exact).

    Attributes:
        layers: of each layer (input weights (4H, n), hidden weights (4H, H), biases (4H,)).
        readout: (H,). bias: of the read-out.
    """

    layers: list[tuple[Tensor, Tensor, Tensor]]
    readout: Tensor
    bias: Tensor

    @classmethod
    def of(cls, detector: LSTMDetector) -> "Network":
        """That of a detector."""
        lstm, layers = detector.lstm, []
        for layer in range(lstm.num_layers):
            names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            weights = [getattr(lstm, f"{name}_l{layer}").detach().double() for name in names]
            layers.append((weights[0], weights[1], weights[2] + weights[3]))
        return cls(layers, detector.readout.weight[0].detach().double(), detector.readout.bias[0].detach().double())


class Steps(NamedTuple):
    """One flow as a detector is shown it, and where it can change.

    Attributes:
        inputs: (T, n) float64. effect: (T, n, k), by which they grow with each of the k numbers.
    """

    inputs: Tensor
    effect: Tensor


class Forms:
    """B x n affine forms.

    Attributes:
        terms: (B, n, 1 + k + m): centre, slopes over the k numbers, radii of m noise symbols.
        region: over which they are bounded.
    """

    def __init__(self, terms: Tensor, region: Region) -> None:
        self.terms, self.region = terms, region

    def __getitem__(self, rows: slice) -> "Forms":
        return Forms(self.terms[:, rows], self.region)

    def noise(self) -> Tensor:
        """(B, n) sum of the noise radii."""
        return torch.linalg.vector_norm(self.terms[..., 1 + self.region.low.shape[1] :], 1, dim=-1)

    def bounds(self) -> tuple[Tensor, Tensor]:
        """(low, high) of each: two (B, n)."""
        low, high = self.region.extent(self.terms[..., 1 : 1 + self.region.low.shape[1]])
        noise, centre = self.noise(), self.terms[..., 0]
        return centre + low - noise, centre + high + noise

    def widened(self, symbols: int) -> Tensor:
        """The terms with as many noise symbols as that, further ones of radius 0."""
        more = 1 + self.region.low.shape[1] + symbols - self.terms.shape[-1]
        return torch.nn.functional.pad(self.terms, (0, more)) if more else self.terms

    @property
    def symbols(self) -> int:
        """How many noise symbols there are."""
        return self.terms.shape[-1] - 1 - self.region.low.shape[1]


class Factor(NamedTuple):
    """One factor of a product: slope * form + middle, but for an error of at most `radius`; it lies in [low, high]."""

    form: Forms
    lines: Enclosure

    @property
    def magnitude(self) -> Tensor:
        """(B, n) its largest absolute value."""
        return torch.maximum(self.lines.low.abs(), self.lines.high.abs())


class State(NamedTuple):
    """Cell and hidden values of a layer, with bounds of the former and of the latter's absolute values: (B, H) each.

    That noise symbols become a box changes none of these bounds.
    """

    cells: Forms
    low: Tensor
    high: Tensor
    hidden: Forms
    size: Tensor


def as_factor(form: Forms, bounds: tuple[Tensor, Tensor]) -> Factor:
    """A form with these bounds as a factor itself."""
    one, zero = torch.ones_like(bounds[0]), torch.zeros_like(bounds[0])
    return Factor(form, Enclosure(one, zero, zero, *bounds))


def multiply(one: Factor, two: Factor) -> tuple[Tensor, Tensor]:
    """(terms, radius (B, n)) around the product of two factors whose forms have the same symbols.

    About the middles x0, y0 of their ranges, x y = x0 y + y0 x - x0 y0 + (x - x0)(y - y0).
    """
    (x, fx), (y, fy) = one, two
    x0, y0 = (fx.low + fx.high) / 2, (fy.low + fy.high) / 2
    # Deviations come in units of their radii, or of what is not less: neither unit may be 0.
    rx, ry = (((factor.high - factor.low) / 2).clamp(min=LEAST_UNIT) for factor in (fx, fy))
    sx, sy = 1 / rx, 1 / ry
    ux, uy = x.terms * (fx.slope * sx)[..., None], y.terms * (fy.slope * sy)[..., None]
    shift_x, shift_y, error = (fx.middle - x0) * sx, (fy.middle - y0) * sy, fx.radius * sx + fy.radius * sy
    total = Forms(ux + uy, x.region).bounds()
    difference = Forms(ux - uy, x.region).bounds()
    low, high = product_range(
        (total[0] + shift_x + shift_y - error, total[1] + shift_x + shift_y + error),
        (difference[0] + shift_x - shift_y - error, difference[1] + shift_x - shift_y + error),
    )
    terms = x.terms * (y0 * fx.slope)[..., None] + y.terms * (x0 * fy.slope)[..., None]
    terms[..., 0] += x0 * fy.middle + y0 * fx.middle - x0 * y0 + (low + high) / 2 * rx * ry
    return terms, y0.abs() * fx.radius + x0.abs() * fy.radius + (high - low) / 2 * rx * ry


def activate(form: Forms, error: Tensor, *, sigmoid: bool) -> Factor:
    """Sigmoid or tanh of a form that is known up to `error` (B, n), as float32 computes it."""
    return activate_between(form, form.bounds(), error, sigmoid=sigmoid)


def activate_between(form: Forms, bounds: tuple[Tensor, Tensor], error: Tensor | float, *, sigmoid: bool) -> Factor:
    """The same of a form whose bounds are known."""
    lines = (sigmoid_lines if sigmoid else tanh_lines)(bounds[0] - error, bounds[1] + error)
    radius = lines.radius + lines.slope.abs() * error + ACTIVATION_ERROR
    low, high = lines.low - ACTIVATION_ERROR, lines.high + ACTIVATION_ERROR
    return Factor(form, Enclosure(lines.slope, lines.middle, radius, low, high))


def with_noise(terms: Tensor, radius: Tensor) -> Tensor:
    """Terms (B, n, c) and a noise symbol more for each row: (B, n, c + n)."""
    return torch.cat([terms, torch.diag_embed(radius)], dim=-1)


def cell(gates: Forms, before: State, error: Tensor) -> State:
    """The state after gates that are known up to `error` (B, 4H)."""
    region, units = gates.region, before.low.shape[1]
    memory = as_factor(Forms(before.cells.widened(gates.symbols), region), (before.low, before.high))
    parts = [slice(place * units, (place + 1) * units) for place in range(4)]
    enter, forget, new, leave = (
        activate(gates[part], error[:, part], sigmoid=place != 2) for place, part in enumerate(parts)
    )
    kept, added = multiply(forget, memory), multiply(enter, new)
    # Two products and their sum are rounded, each by half a unit in its last place.
    size = forget.magnitude * memory.magnitude + enter.magnitude * new.magnitude
    cells = Forms(with_noise(kept[0] + added[0], kept[1] + added[1] + 4 * FLOAT32 * size), region)
    bounds = cells.bounds()
    shown = activate_between(cells, bounds, 0.0, sigmoid=False)
    leave = Factor(Forms(leave.form.widened(cells.symbols), region), leave.lines)
    terms, radius = multiply(leave, shown)
    hidden = Forms(with_noise(terms, radius + 2 * FLOAT32), region)
    return State(cells, *bounds, hidden, leave.magnitude * shown.magnitude + 2 * FLOAT32)


def reduce_noise(forms: list[Forms], most: int) -> list[Forms]:
    """The same forms or, where they have more than `most` noise symbols, ones that contain them and have as many.

    The symbols that are furthest from one axis stay, the others become a box (Girard 2005).
    """
    symbols = max(form.symbols for form in forms)
    region, inputs = forms[0].region, forms[0].region.low.shape[1] + 1
    rows = [form.terms.shape[1] for form in forms]
    terms = torch.cat([form.widened(symbols) for form in forms], dim=1)
    stay = max(0, most - terms.shape[1])
    if symbols > stay + terms.shape[1]:
        noise = terms[..., inputs:]
        score = noise.abs().sum(dim=1) - noise.abs().amax(dim=1)
        order = score.argsort(dim=-1, descending=True)[:, None].expand_as(noise)
        sorted_noise = noise.gather(2, order)
        box = sorted_noise[..., stay:].abs().sum(dim=-1)
        terms = with_noise(torch.cat([terms[..., :inputs], sorted_noise[..., :stay]], dim=-1), box)
    return [Forms(part, region) for part in terms.split(rows, dim=1)]


class Bound(NamedTuple):
    """What is known of B regions.

    Attributes:
        low: (B,) that no last logit is below; minus infinity, or no number, where nothing can be said.
        weight: (B, k) how much each number moves the hidden values on the way, a guide for splitting.
    """

    low: Tensor
    weight: Tensor


@torch.no_grad()
def last_logit(network: Network, steps: Steps, region: Region, *, symbols: int = 600) -> Bound:
    """A sound lower bound of the last logit of a flow over regions of changes.

    Args:
        symbols: noise symbols kept from step to step, at least; more are tighter and slower.
    """
    sets, numbers = region.low.shape
    zero = region.low.new_zeros(sets, len(network.readout))
    start = Forms(torch.zeros_like(zero)[..., None].repeat(1, 1, 1 + numbers), region)
    states = [State(start, zero, zero, start, zero) for _ in network.layers]
    largest = torch.minimum(region.low + region.width, region.most[:, None])
    weight = torch.zeros_like(region.low)
    for inputs, effect in zip(steps.inputs, steps.effect, strict=True):
        form = torch.cat([inputs[:, None], effect], dim=1).expand(sets, -1, -1)
        size = inputs.abs() + largest @ effect.abs().T
        states = follow(network, Forms(form, region), size=size, states=states)
        hidden = states[-1].hidden
        weight = weight + hidden.terms[..., 1 : 1 + numbers].abs().sum(dim=1)
        if bool((hidden.noise().mean(dim=1) > LOST).all()):
            return Bound(torch.full_like(region.most, -torch.inf), weight)
        forms = reduce_noise([part for state in states for part in (state.cells, state.hidden)], symbols)
        states = [
            state._replace(cells=cells, hidden=hidden)
            for state, cells, hidden in zip(states, forms[::2], forms[1::2], strict=True)
        ]
    logit = Forms((network.readout @ states[-1].hidden.terms)[:, None], region)
    logit.terms[..., 0] += network.bias
    size = states[-1].size @ network.readout.abs() + network.bias.abs()
    return Bound(logit.bounds()[0][:, 0] - rounding(len(network.readout) + 3) * size, weight)


def follow(network: Network, shown: Forms, *, size: Tensor, states: list[State]) -> list[State]:
    """The states of all layers after one packet, (B, n) forms whose absolute values are at most `size`."""
    after = []
    for (own, recurrent, bias), state in zip(network.layers, states, strict=True):
        count = max(shown.symbols, state.hidden.symbols)
        gates = own @ shown.widened(count) + recurrent @ state.hidden.widened(count)
        gates[..., 0] += bias
        magnitude = size @ own.abs().T + state.size @ recurrent.abs().T + bias.abs()
        error = rounding(own.shape[1] + recurrent.shape[1] + 5) * magnitude
        after.append(cell(Forms(gates, shown.region), state, error))
        shown, size = after[-1].hidden, after[-1].size
    return after
