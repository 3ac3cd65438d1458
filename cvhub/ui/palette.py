"""One colour a model, everywhere on the page: Okabe and Ito's colours, told apart by colour-blind people, and three of
Tol's muted ones, for as many models as can be shown together.

Each place has a shade for the light and one for the dark page, so that bars keep a contrast of 3 : 1 with either.
"""

SERIES = (  # (light, dark)
    ("#0072b2", "#56b4e9"),  # blue, sky blue
    ("#d55e00", "#e8731a"),  # vermilion
    ("#008560", "#00b386"),  # bluish green
    ("#b0548c", "#cc79a7"),  # reddish purple
    ("#9a6a00", "#e69f00"),  # orange
    ("#5a5a5a", "#b8b8b8"),  # the black of the palette, as grey
    ("#332288", "#8f80e8"),  # indigo
    ("#882255", "#d9659a"),  # wine
    ("#6f6f1f", "#c9c95a"),  # olive
)


def series_css() -> str:
    """The palette as CSS variables, `--series-0` …"""
    light = ";".join(f"--series-{i}:{shade}" for i, (shade, _) in enumerate(SERIES))
    dark = ";".join(f"--series-{i}:{shade}" for i, (_, shade) in enumerate(SERIES))
    return f":root{{{light}}} .dark{{{dark}}}"


def assign_colours(models: list[str], known: dict[str, int], order: list[str]) -> dict[str, int]:
    """A place in the palette for each model: the one it had; else its row's in the catalogue, or the next free one.

    `known` are the places given so far in this visit, `order` the catalogue's names. Two models shown together never
    share a place as long as there are places, and a model keeps its place while it is shown.
    """
    places = {model: known[model] for model in models if model in known}
    for model in models:
        wanted = order.index(model) if model in order else len(order)
        if model not in places or list(places.values()).count(places[model]) > 1:
            free = [place % len(SERIES) for place in range(wanted, wanted + len(SERIES))]
            places[model] = next((place for place in free if place not in places.values()), free[0])
    return known | places
