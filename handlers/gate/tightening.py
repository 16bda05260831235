"""The gate of one job: that of the settings, and what its own file asks for beyond.

Anyone who may drop a file must not make it easier for its output to become `latest`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from handlers.gate.gate import Gate, LossLimits, MetricLimits


@dataclass(frozen=True)
class Looser:
    """A value of a file that would let through what the settings do not."""

    keys: tuple[str, ...]
    """Where it is, as `("loss", "max")`."""
    what: str
    """For people: what it says, and what the settings say."""


def looser(settings: Gate, wish: Gate) -> Iterator[Looser]:
    """Yield what in `wish`, a file's gate, is looser than the settings' one."""
    if settings.finite and not wish.finite:
        yield Looser(("finite",), "false is looser than true, which the settings say")
    if settings.evaluate is not None and wish.evaluate not in {None, settings.evaluate}:
        yield Looser(("evaluate",), f"{wish.evaluate} is another evaluation than the settings' {settings.evaluate}")
    yield from _looser_loss(settings.loss, wish.loss)
    for name, limits in wish.metrics.items():
        if name in settings.metrics:
            yield from _looser_metric(name, settings.metrics[name], limits)


def tightened(settings: Gate, wish: Gate) -> Gate:
    """Return the stricter of both in everything: the settings may have changed since the file was checked."""
    metrics = {name: _tighter(settings.metrics.get(name), wish.metrics.get(name)) for name in _names(settings, wish)}
    is_free = "over" in wish.loss.model_fields_set and not _limits(settings.loss)
    loss = LossLimits(
        max=_lowest(settings.loss.max, wish.loss.max),
        max_rise=min((one.max_rise for one in (settings.loss, wish.loss) if one.max_rise), key=_percent, default=None),
        over=wish.loss.over if is_free else settings.loss.over,
    )
    return Gate(
        finite=settings.finite or (wish.finite and "finite" in wish.model_fields_set),
        loss=loss,
        evaluate=settings.evaluate or wish.evaluate,
        metrics=metrics,
    )


def _looser_loss(settings: LossLimits, wish: LossLimits) -> Iterator[Looser]:
    if settings.max is not None and wish.max is not None and wish.max > settings.max:
        yield Looser(("loss", "max"), f"{wish.max:g} is looser than the settings' {settings.max:g}")
    if settings.rise is not None and wish.rise is not None and wish.rise > settings.rise:
        yield Looser(("loss", "max_rise"), f"{wish.max_rise} is looser than the settings' {settings.max_rise}")
    if _limits(settings) and "over" in wish.model_fields_set and wish.over != settings.over:
        what = f"{wish.over} steps are not the {settings.over} of the settings, which limit the loss"
        yield Looser(("loss", "over"), what)


def _looser_metric(name: str, settings: MetricLimits, wish: MetricLimits) -> Iterator[Looser]:
    if settings.min is not None and wish.min is not None and wish.min < settings.min:
        yield Looser(("metrics", name, "min"), f"{wish.min:g} is looser than the settings' {settings.min:g}")
    for key in ("max", "max_drop", "max_rise"):
        ours, theirs = getattr(settings, key), getattr(wish, key)
        if ours is not None and theirs is not None and theirs > ours:
            yield Looser(("metrics", name, key), f"{theirs:g} is looser than the settings' {ours:g}")


def _limits(loss: LossLimits) -> bool:
    return loss.max is not None or loss.max_rise is not None


def _names(settings: Gate, wish: Gate) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*settings.metrics, *wish.metrics)))


def _tighter(settings: MetricLimits | None, wish: MetricLimits | None) -> MetricLimits:
    ours, theirs = settings or MetricLimits(), wish or MetricLimits()
    # Both hold; that a pair of them cannot be met is no error here: then nothing passes.
    return MetricLimits.model_construct(
        min=max((low for low in (ours.min, theirs.min) if low is not None), default=None),
        max=_lowest(ours.max, theirs.max),
        max_drop=_lowest(ours.max_drop, theirs.max_drop),
        max_rise=_lowest(ours.max_rise, theirs.max_rise),
    )


def _lowest(one: float | None, other: float | None) -> float | None:
    return min((limit for limit in (one, other) if limit is not None), default=None)


def _percent(share: str) -> float:
    return float(share.removesuffix("%"))
