"""The view Overlap in Chromium, on a page of its own: shapes dragged by mouse, finger and keyboard, descent played."""

import re
from collections.abc import Iterator
from typing import Any

import gradio as gr
import pytest
from playwright.sync_api import expect

from cvhub.explain.figures import boxes, imbalance, masks
from cvhub.ui import numerals
from cvhub.ui.frame import Frame
from cvhub.ui.overlap import view as overlap
from cvhub.ui.overlap.handlers import STARTS
from cvhub.ui.strings import text
from tests.browser import FIRST_ANSWER, NEEDS_CHROMIUM, served

pytestmark = NEEDS_CHROMIUM

PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


def build_alone() -> gr.Blocks:
    """The view in the frame that all tabs share."""
    with gr.Blocks() as demo:
        frame = Frame()
        view = overlap.build(frame)
        view.connect(frame.connect(demo).then)
    return demo


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with served(build_alone) as address:
        yield address


@pytest.fixture
def view(open_page):
    def view(language: str = "en", **options: Any) -> Any:
        page = open_page(f"?lang={language}", wait=False, **options)
        for figure in ("boxes", "masks"):
            page.locator(f"#{figure}-readout .measures").wait_for(timeout=FIRST_ANSWER)
        page.locator("#imbalance-readout .plot").wait_for(timeout=FIRST_ANSWER)
        return page

    return view


def shape(page: Any, figure: str, name: str) -> Any:
    return page.locator(f"#{figure}-stage .shape.{name}")


def place(page: Any, figure: str, name: str) -> tuple[float, ...]:
    """Where a shape is drawn, in pixels of the picture."""
    body = shape(page, figure, name).locator(".body")
    keys = ("x", "y", "width", "height") if figure == "boxes" else ("cx", "cy", "r")
    x, y, *rest = (float(body.get_attribute(key)) for key in keys)
    return (x, y, x + rest[0], y + rest[1]) if figure == "boxes" else (x, y, *rest)


def shows(page: Any, figure: str, kind: str, value: float) -> None:
    now = page.locator(f"#{figure}-readout [data-kind={kind}] .now")
    expect(now).to_have_text(numerals.signed(value), timeout=FIRST_ANSWER)


def starts_at(page: Any, start: str) -> None:
    x0, y0, x1, y1 = STARTS["boxes"][start][0]
    body = shape(page, "boxes", "a").locator(".body")
    for name, value in {"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0}.items():
        expect(body).to_have_attribute(name, f"{value:g}")


def shows_boxes_as_they_lie(page: Any) -> None:
    """The numbers on the page are the library's for the boxes that are drawn."""
    for kind, pull in boxes.pulls(place(page, "boxes", "a"), place(page, "boxes", "b")).items():
        shows(page, "boxes", kind, pull.agreement)


def drag(page: Any, target: Any, dx: float, dy: float) -> None:
    """By mouse, from the middle of what is held, in pixels of the screen."""
    target.scroll_into_view_if_needed()
    at = target.bounding_box()
    x, y = at["x"] + at["width"] / 2, at["y"] + at["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + dx, y + dy, steps=6)
    page.mouse.up()


def scale(page: Any) -> float:
    """Pixels of the screen for one of the picture."""
    return page.locator("#boxes-stage .stage").bounding_box()["width"] / boxes.WIDTH


# By mouse


def test_a_box_is_dragged_by_mouse_and_the_numbers_follow(view):
    page = view()
    shows_boxes_as_they_lie(page)
    before, factor = place(page, "boxes", "a"), scale(page)
    drag(page, shape(page, "boxes", "a").locator(".body"), 150 * factor, 80 * factor)
    assert place(page, "boxes", "a") == pytest.approx(
        (before[0] + 150, before[1] + 80, before[2] + 150, before[3] + 80), abs=0.5
    )
    assert place(page, "boxes", "b") == STARTS["boxes"]["apart"][1]
    shows_boxes_as_they_lie(page)
    assert page.locator("#boxes-readout [data-kind=iou] .arrow").count() > 0
    expect(page.locator("#boxes-start input:checked")).to_have_count(0)


def test_a_corner_changes_the_size_and_nothing_leaves_the_picture(view):
    page = view()
    factor = scale(page)
    drag(page, shape(page, "boxes", "b").locator('[data-edges="0 1"]'), -60 * factor, -40 * factor)
    assert place(page, "boxes", "b") == pytest.approx((190, 110, 370, 260), abs=0.5)
    shows_boxes_as_they_lie(page)
    drag(page, shape(page, "boxes", "a").locator(".body"), -900, -900)
    assert place(page, "boxes", "a") == (0, 0, 100, 80)
    drag(page, shape(page, "boxes", "a").locator('[data-edges="2 3"]'), -900, -900)
    assert place(page, "boxes", "a") == (0, 0, 8, 8)
    shows_boxes_as_they_lie(page)


def test_a_start_is_chosen_again_after_a_drag(view):
    page = view()
    for _ in range(2):
        page.locator("#boxes-start input[value=crossed]").check(force=True)
        shows(page, "boxes", "giou", 1 / 12)
        starts_at(page, "crossed")
        drag(page, shape(page, "boxes", "a").locator(".body"), 30, 0)
        shows_boxes_as_they_lie(page)
        expect(page.locator("#boxes-start input:checked")).to_have_count(0)


def test_a_disc_is_dragged_and_its_losses_follow(view):
    page = view()
    factor = scale(page)
    drag(page, shape(page, "masks", "b").locator(".grip"), -50 * factor, 0)
    assert place(page, "masks", "b") == pytest.approx((240, 150, 20), abs=0.5)
    drag(page, shape(page, "masks", "a").locator(".body"), 70 * factor, 0)
    a, b = place(page, "masks", "a"), place(page, "masks", "b")
    assert a == pytest.approx((220, 150, 70), abs=0.5)
    for kind, slope in masks.slopes(a, b, overlap.SURENESS).items():
        shows(page, "masks", kind, slope.loss)
    page.locator("#masks-sureness input[type=number]").fill("2")
    page.locator("#masks-sureness input[type=number]").press("Enter")
    for kind, slope in masks.slopes(a, b, 2).items():
        shows(page, "masks", kind, slope.loss)


# By keyboard


def test_keys_move_and_resize_and_labels_say_the_numbers(view):
    page = view()
    a = shape(page, "boxes", "a")
    a.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert place(page, "boxes", "a") == (50, 44, 150, 124)
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    assert place(page, "boxes", "a") == (50, 44, 154, 120)
    expect(a).to_have_attribute("aria-label", "Predicted box A: left 50, top 44, right 154, bottom 120 pixels")
    expect(a).to_be_focused()
    shows_boxes_as_they_lie(page)
    described = page.locator(f"#{a.get_attribute('aria-describedby')}")
    assert "The boxes don't meet" in described.inner_text()
    disc = shape(page, "masks", "b")
    disc.focus()
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("ArrowUp")
    assert place(page, "masks", "b") == (240, 146, 66)
    expect(disc).to_have_attribute("aria-label", "True disc B: centre 240, 146, radius 66 pixels")


def test_all_is_reached_by_tab_and_starts_by_arrows(view):
    page = view()
    wanted = [
        ".shape.b",
        ".shape.a",
        "#boxes-start input",
        "#boxes-rate input",
        "#boxes-play",
        "#imbalance-found input",
    ]
    for selector in wanted:
        for _ in range(20):
            page.keyboard.press("Tab")
            if page.evaluate("s => document.activeElement.matches(s)", selector):
                break
        else:
            raise AssertionError(f"Tab never reached {selector}")
    page.locator("#boxes-start input[value=apart]").focus()
    page.keyboard.press("ArrowDown")
    shows(page, "boxes", "iou", 1 / 3)
    starts_at(page, "beside")


# Descent


def played(page: Any, figure: str = "boxes") -> Any:
    """Descent from where the shapes lie; returns the slider of its steps."""
    page.locator(f"#{figure}-play").click()
    slider = page.locator(f"#{figure}-readout .steps input")
    slider.wait_for(timeout=FIRST_ANSWER)
    return slider


def moving(page: Any, kind: str) -> list[float]:
    box = page.locator(f"#boxes-readout [data-kind={kind}] .moving")
    return [float(box.get_attribute(name)) for name in ("x", "y", "width", "height")]


def test_descent_is_played_and_iou_has_not_moved_while_giou_arrived(view):
    page = view()
    slider = played(page)
    expect(slider).to_have_value(str(boxes.STEPS), timeout=30_000)
    expect(page.locator(".steps output")).to_have_text(str(boxes.STEPS))
    found = boxes.descend(*STARTS["boxes"]["apart"], overlap.BOXES_RATE)
    for kind, way in found.items():
        shows(page, "boxes", kind, 1 - way.losses[-1])
    assert moving(page, "iou") == moving(page, "dice") == [30, 40, 100, 80]
    for kind in ("giou", "diou", "ciou"):
        assert moving(page, kind) == pytest.approx([250, 150, 120, 110], abs=3)
    assert "IoU 0.000, has not moved; GIoU 0.9" in page.locator("#boxes-readout .summary").inner_text()


def test_descent_is_paused_stepped_by_keyboard_and_left(view):
    page = view()
    slider = played(page)
    page.locator(".steps button").click()
    expect(page.locator(".steps button")).to_have_attribute("aria-pressed", "false")
    slider.focus()
    page.keyboard.press("Home")
    assert moving(page, "giou") == [30, 40, 100, 80]
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(page.locator(".steps output")).to_have_text("3")
    way = boxes.descend(*STARTS["boxes"]["apart"], overlap.BOXES_RATE)["giou"].boxes[3]
    assert moving(page, "giou") == pytest.approx([way[0], way[1], way[2] - way[0], way[3] - way[1]], abs=0.11)
    shape(page, "boxes", "a").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".steps")).to_have_count(0)
    shows_boxes_as_they_lie(page)


def test_who_wants_no_motion_sees_the_end(view):
    page = view(reduced_motion="reduce")
    for _ in range(2):  # played again, too
        slider = played(page)
        expect(slider).to_have_value(str(boxes.STEPS), timeout=FIRST_ANSWER)
        slider.focus()
        page.keyboard.press("Home")
        expect(slider).to_have_value("0")
    expect(played(page)).to_have_value(str(boxes.STEPS), timeout=FIRST_ANSWER)
    expect(page.locator(".steps button")).to_have_attribute("aria-pressed", "false")
    assert moving(page, "giou") == pytest.approx([250, 150, 120, 110], abs=3)


def test_descent_of_masks_is_played_pixel_by_pixel(view):
    page = view()
    page.locator("#masks-start input[value=apart]").check(force=True)
    expect(page.locator("#masks-readout")).to_contain_text("The discs don't meet", timeout=FIRST_ANSWER)
    slider = played(page, "masks")
    expect(slider).to_have_value(str(masks.STEPS), timeout=30_000)
    found = masks.descend(*STARTS["masks"]["apart"], overlap.SURENESS, overlap.MASKS_RATE)
    for kind, way in found.items():
        shows(page, "masks", kind, way.losses[-1])
    assert f"BCE {numerals.signed(found['bce'].ious[-1])}" in page.locator("#masks-readout .summary").inner_text()
    layer = page.locator("#masks-readout [data-kind=bce] .rise")
    assert layer.evaluate("e => getComputedStyle(e).maskPosition") == "0px 100%"
    slider.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#masks-readout .steps output")).to_have_text(str(masks.EVERY))
    shows(page, "masks", "bce", found["bce"].losses[1])
    assert layer.evaluate("e => getComputedStyle(e).maskPosition") == "0px 4%"


# Few pixels among many


def test_the_curves_follow_what_the_net_finds(view):
    page = view()
    see = page.locator("#imbalance-readout .summary")
    for found, doubt in ((0, overlap.DOUBT), (50, overlap.DOUBT), (50, 20)):
        page.locator(f"#imbalance-found input[value='{found}']").check(force=True)
        page.locator("#imbalance-doubt input[type=number]").fill(str(doubt))
        page.locator("#imbalance-doubt input[type=number]").press("Enter")
        share = imbalance.curve("dice", found / 100, doubt / 100)
        expect(see).to_contain_text(
            f"and {numerals.percent(share[min(share)].of_gradient)} of Dice's.", timeout=FIRST_ANSWER
        )
        assert f"The net finds {found} % of the object" in see.inner_text()


# Everywhere


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation(view, scheme: str):
    from axe_playwright_python.sync_playwright import Axe

    page = view(color_scheme=scheme, reduced_motion="reduce")
    for figure in ("boxes", "masks", ""):  # as shapes lie, and with descent
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        if figure:
            played(page, figure)


def test_a_phone_in_chinese(view):
    page = view("zh", **PHONE)
    assert (
        text("boxes_see_apart", "zh", giou="−0.717", diou="−0.418", ciou="−0.418") in page.locator("body").inner_text()
    )
    played(page)
    played(page, "masks")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    beyond = "[...document.querySelectorAll('.main *')].filter(e => e.getBoundingClientRect().right > 391)"
    assert page.evaluate(f"{beyond}.map(e => e.outerHTML.slice(0, 200))") == []
    for figure in ("boxes", "masks"):  # the stage stays in sight beside its last panel
        page.locator(f"#{figure}-readout .descent").scroll_into_view_if_needed()
        assert 0 <= page.locator(f"#{figure}-stage .stage").bounding_box()["y"] < 100


def test_a_finger_drags_a_box_and_scrolls_beside_it(view):
    page = view(**PHONE)
    stage = page.locator("#boxes-stage .stage")
    touch = page.context.new_cdp_session(page)

    def swipe(x: float, y: float, dx: float, dy: float) -> None:
        for kind, share in [("touchStart", 0), *(("touchMove", i / 5) for i in range(1, 6)), ("touchEnd", 1)]:
            points = [] if kind == "touchEnd" else [{"x": x + share * dx, "y": y + share * dy}]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    at, factor = stage.bounding_box(), scale(page)
    swipe(at["x"] + 80 * factor, at["y"] + 80 * factor, 150 * factor, 60 * factor)
    assert place(page, "boxes", "a") == pytest.approx((180, 100, 280, 180), abs=1)
    assert page.evaluate("scrollY") == 0
    shows_boxes_as_they_lie(page)
    swipe(at["x"] + 30 * factor, at["y"] + 280 * factor, 0, -200)
    page.wait_for_function("scrollY > 50")


def test_the_language_switch_tells_the_same_shapes(view):
    page = view()
    a = shape(page, "boxes", "a")
    a.focus()
    page.keyboard.press("ArrowRight")
    shows_boxes_as_they_lie(page)
    before = page.locator("#boxes-readout").inner_text()
    page.get_by_text("中文", exact=True).click()
    expect(a).to_have_attribute("aria-label", re.compile("^预测框 A：左 34"))
    expect(page.locator("#boxes-title")).to_have_text(text("boxes_title", "zh"))
    expect(page.locator("#masks-readout")).to_contain_text(text("masks_dice", "zh"))
    expect(page.locator("#imbalance-readout")).to_contain_text(text("imbalance_across", "zh"))
    shows_boxes_as_they_lie(page)
    page.get_by_text("English", exact=True).click()
    expect(a).to_have_attribute("aria-label", re.compile("^Predicted box A: left 34"))
    expect(page.locator("#boxes-readout")).to_have_text(re.compile("The boxes don't meet"))
    assert page.locator("#boxes-readout").inner_text() == before
