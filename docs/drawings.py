"""Draws the sample pictures of the Words tab: `python -m docs.drawings` writes them, with their thumbnails, to
cvhub/ui/samples/."""

from PIL import Image, ImageDraw

from cvhub.ui.samples import FOLDER

SIDE, FINER = 256, 4  # pixels; each is the mean of FINER² that are drawn
THUMBNAIL = (144, 108)

Shape = tuple[str, str, tuple[float, ...]]  # method of ImageDraw, colour, places in hundredths of the side

DRAWINGS: dict[str, tuple[Shape, ...]] = {
    "apple": (
        ("line", "#6b4226", (49, 34, 54, 13)),
        ("ellipse", "#3a9d4a", (54, 12, 82, 26)),
        ("ellipse", "#d62839", (15, 28, 61, 92)),
        ("ellipse", "#d62839", (39, 28, 85, 92)),
        ("ellipse", "#f07f8a", (25, 39, 36, 57)),
    ),
    "fish": (
        ("polygon", "#e07a1f", (64, 51, 93, 28, 88, 51, 93, 74)),
        ("polygon", "#e07a1f", (34, 36, 56, 14, 62, 38)),
        ("ellipse", "#f6973b", (8, 28, 76, 74)),
        ("ellipse", "#ffffff", (18, 40, 30, 52)),
        ("ellipse", "#1b1b1f", (21, 43, 27, 49)),
    ),
    "house": (
        ("rectangle", "#8f3b2b", (66, 14, 75, 36)),
        ("rectangle", "#f1d9ad", (20, 46, 80, 90)),
        ("polygon", "#c8452f", (11, 48, 50, 13, 89, 48)),
        ("rectangle", "#7a4a2b", (43, 62, 57, 90)),
        ("rectangle", "#8cc7ea", (26, 56, 38, 69)),
        ("rectangle", "#8cc7ea", (62, 56, 74, 69)),
    ),
    "sun": (
        ("line", "#f59f0a", (50, 5, 50, 95)),
        ("line", "#f59f0a", (5, 50, 95, 50)),
        ("line", "#f59f0a", (18, 18, 82, 82)),
        ("line", "#f59f0a", (82, 18, 18, 82)),
        ("ellipse", "#ffffff", (22, 22, 78, 78)),
        ("ellipse", "#ffd23c", (27, 27, 73, 73)),
    ),
    "tree": (
        ("rectangle", "#7a4a2b", (44, 56, 56, 94)),
        ("ellipse", "#2f8f46", (13, 32, 55, 72)),
        ("ellipse", "#2f8f46", (45, 32, 87, 72)),
        ("ellipse", "#3ba655", (27, 8, 73, 54)),
    ),
    "car": (
        ("polygon", "#1f6fb4", (22, 50, 35, 28, 66, 28, 80, 50)),
        ("polygon", "#d9eefb", (31, 48, 39, 33, 49, 33, 49, 48)),
        ("polygon", "#d9eefb", (53, 48, 53, 33, 63, 33, 72, 48)),
        ("rectangle", "#2a86d1", (7, 48, 93, 70)),
        ("ellipse", "#26262b", (17, 59, 38, 80)),
        ("ellipse", "#26262b", (62, 59, 83, 80)),
        ("ellipse", "#c9ccd3", (23, 65, 32, 74)),
        ("ellipse", "#c9ccd3", (68, 65, 77, 74)),
    ),
}
LINE = 5  # hundredths of the side that a line is wide


def drawn(shapes: tuple[Shape, ...]) -> Image.Image:
    scale = SIDE * FINER / 100
    canvas = Image.new("RGB", (SIDE * FINER, SIDE * FINER), "white")
    pen = ImageDraw.Draw(canvas)
    methods = {"ellipse": pen.ellipse, "polygon": pen.polygon, "rectangle": pen.rectangle}
    for kind, colour, places in shapes:
        scaled = [scale * place for place in places]
        if kind == "line":
            pen.line(scaled, fill=colour, width=round(LINE * scale))
        else:
            methods[kind](scaled, fill=colour)
    return canvas.resize((SIDE, SIDE), Image.Resampling.BOX)


def main() -> None:
    for name, shapes in DRAWINGS.items():
        picture = drawn(shapes)
        picture.save(FOLDER / f"{name}.jpg", quality=92)
        picture.thumbnail((THUMBNAIL[1], THUMBNAIL[1]))
        framed = Image.new("RGB", THUMBNAIL, "white")
        framed.paste(picture, ((THUMBNAIL[0] - picture.width) // 2, 0))
        framed.save(FOLDER / "thumbnails" / f"{name}.jpg", quality=85)


if __name__ == "__main__":
    main()
