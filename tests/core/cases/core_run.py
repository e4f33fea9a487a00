"""Every decision of the core over shared inputs, as arrays; run as a script it writes them to a file.

The test runs it compiled in its own process and plain in another: python core_run.py OUT.npz
"""

from __future__ import annotations

import sys
from math import inf, nan
from pathlib import Path

import numpy as np
from cases.gate_cases import CASES, LIMITS, NOW, SECOND, run, scrambled

from trading_assets.core import breakers, prices, sizing, stamps, tolerance

ODD = np.array([nan, inf, -inf, 0.0, -0.0, -1.0, 1e-9, 0.29, 1.0, 0.99995, 1e8, 1e12, 1e300])


def gate_results() -> dict[str, np.ndarray]:
    """verdict (n,), measured and limit (n, CODE_COUNT), over the answer sheet and scrambled cases."""
    runs = [run(inputs) for inputs in [case.inputs for case in CASES] + scrambled(seed=3, count=3000)]
    verdicts, measured, limits = zip(*runs, strict=True)
    return {"verdict": np.array(verdicts), "measured": np.array(measured), "limit": np.array(limits)}


def numbers(rng: np.random.Generator, count: int, scale: float) -> list[float]:
    """Mostly ordinary numbers up to `scale`, one in eight odd."""
    drawn = np.where(rng.random(count) < 0.125, rng.choice(ODD, count), rng.uniform(0, scale, count))
    return [float(x) for x in drawn]


def other_results() -> dict[str, np.ndarray]:
    """Prices, sizes and breakers over seeded random inputs, odd ones included."""
    rng = np.random.default_rng(5)
    variants = [
        LIMITS,
        LIMITS._replace(fractional=True, volatility_target=0.2, use_margin=True),
        LIMITS._replace(
            max_position_pct=inf, max_gross_exposure=inf, max_order_notional=inf, max_slip_pct=inf
        ),
    ]
    rows, slices, weights = [], [], []
    for _ in range(2000):
        limits = variants[rng.integers(3)]
        a, b, c, d = numbers(rng, 4, 200.0)
        usd = numbers(rng, 4, 1e5)
        side = int(rng.choice([-1, 1]))
        quote_ns, trade_ns = (int(rng.choice([0, NOW - SECOND, NOW - 200 * SECOND])) for _ in range(2))
        fractionable = bool(rng.integers(2))
        weight = float(rng.choice([nan, 0.0, 0.01, 0.05]))
        position, reserved = float(rng.choice([0.0, 7.0, 10.3, -4.0])), float(rng.choice([0.0, 0.3, 3.0]))
        rows.append(
            [
                float(tolerance.at_most(a, b)),
                float(tolerance.at_least(a, b)),
                prices.mark(a, b, c, d),
                prices.round_down_to_tick(a),
                prices.round_up_to_tick(a),
                sizing.entry_limit_price(side, a, b, limits),
                sizing.exit_limit_price(side, a, b, c, limits),
                sizing.available_funds(usd[0], usd[1], limits),
                sizing.order_quantity(
                    weight,
                    position,
                    reserved,
                    usd[0] / 20,
                    usd[1],
                    a,
                    b,
                    usd[2],
                    usd[3],
                    limits,
                    fractionable,
                ),
                breakers.higher_peak(usd[0], usd[1]),
                breakers.drawdown(usd[0], usd[1]),
                breakers.daily_loss(usd[0], usd[1], usd[2]),
                breakers.unit_value(a, usd[0], usd[1], usd[2]),
                float(breakers.e0_agrees(usd[0], usd[0] * float(rng.uniform(0.998, 1.002)), 0.0)),
                breakers.stop_price(a, limits),
                float(breakers.stop_hit(a, b, quote_ns, a * 1.005, trade_ns, c, NOW, limits)),
                float(breakers.is_tripped(a, b)),
                stamps.seconds_between(quote_ns, trade_ns),
            ]
        )
        slices.append(sizing.slice_quantities(position * 50.0, a, usd[0] + 10.0, fractionable))
        out = np.empty(4)
        signal, volatility, held = (
            np.array(numbers(rng, 4, 1.0)),
            np.array(numbers(rng, 4, 0.5)),
            np.array(usd),
        )
        sizing.target_weights(signal * side, volatility, held / 10.0, abs(usd[3]), limits, out)
        weights.append(out)
    return {"rows": np.array(rows), "slices": np.concatenate(slices), "weights": np.array(weights)}


def results() -> dict[str, np.ndarray]:
    return gate_results() | other_results()


if __name__ == "__main__":
    np.savez(Path(sys.argv[1]), **results())
