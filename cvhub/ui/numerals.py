"""Numbers as the page writes them: a sensible number of digits, a unit, one function a kind."""


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def count(n: float) -> str:
    """4_652_008 → "4.65 M"; 385_000_000 → "385 M"; three significant digits."""
    for limit, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if n >= limit:
            return three_digits(n / limit) + unit
    return f"{n:.0f}"


def three_digits(value: float) -> str:
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def megabytes(n: float) -> str:
    return f"{three_digits(n / 1e6)} MB"


def milliseconds(value: float) -> str:
    return f"{value:.0f} ms" if value >= 100 else f"{value:.1f} ms"


def duration(seconds: float) -> str:
    """0.0421 → "42.1 ms"; 3.52 → "3.5 s"; 125 → "2 min 5 s"."""
    if seconds < 1:
        return milliseconds(1000 * seconds)
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def probability(p: float) -> str:
    """Enough digits that −ln of what is shown gives the loss that is shown."""
    return f"{p:.3f}" if p >= 0.1 else f"{p:.3g}"


def nats(value: float) -> str:
    return f"{value:.3f}"


def ratio(value: float) -> str:
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"


def signed(value: float, digits: int = 3) -> str:
    """With a minus sign that is as wide as a plus, and none before a zero."""
    written = f"{value:.{digits}f}"
    return written.lstrip("-") if float(written) == 0 else written.replace("-", "−")


def pixels(area: float) -> str:
    """Square pixels: 12_000.4 → "12,000"."""
    return f"{area:,.0f}"
