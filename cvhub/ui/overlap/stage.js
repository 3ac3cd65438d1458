// Two shapes that are dragged by pointer or moved by arrow keys. The value holds them; the template draws what it holds.
// A box is at [x0, y0, x1, y1], a disc at [cx, cy, radius]. Grips name the numbers that they move: "2 1" is x1 and y0.
const LEAST = 8; // pixels of a side, or of a radius
const STEP = 4; // pixels of a key press
const between = (low, value, high) => Math.min(Math.max(value, low), high);

// The shape moved by (dx, dy): all of it, or the numbers of a grip. It stays in the picture and keeps its least size.
function moved(at, edges, dx, dy) {
  const { width, height } = props.value;
  const [x0, y0, x1, y1] = at;
  if (at.length === 3) {
    const [x, y, r] = at;
    if (edges) return [x, y, between(LEAST, r + (Math.abs(dx) > Math.abs(dy) ? dx : -dy), height / 2)];
    return [between(0, x + dx, width), between(0, y + dy, height), r];
  }
  if (!edges) {
    const [h, v] = [between(-x0, dx, width - x1), between(-y0, dy, height - y1)];
    return [x0 + h, y0 + v, x1 + h, y1 + v];
  }
  const next = [...at];
  if (edges.includes(0)) next[0] = between(0, x0 + dx, x1 - LEAST);
  if (edges.includes(1)) next[1] = between(0, y0 + dy, y1 - LEAST);
  if (edges.includes(2)) next[2] = between(x0 + LEAST, x1 + dx, width);
  if (edges.includes(3)) next[3] = between(y0 + LEAST, y1 + dy, height);
  return next;
}

function put(name, at) {
  const shapes = props.value.shapes.map((shape) => (shape.name === name ? { name, at } : shape));
  props.value = { ...props.value, shapes };
  trigger("input");
}

const where = (name) => props.value.shapes.find((shape) => shape.name === name).at;
let held = null; // what the pointer drags: the shape, the grip's numbers, and where both began

element.addEventListener("pointerdown", (event) => {
  const shape = event.target.closest(".shape");
  if (!shape || event.button) return;
  const { name } = shape.dataset;
  const edges = event.target.dataset.edges?.split(" ").map(Number);
  held = { name, edges, at: [...where(name)], x: event.clientX, y: event.clientY };
  element.setPointerCapture(event.pointerId);
  shape.focus({ preventScroll: true });
  event.preventDefault();
});
// A finger on a shape drags it, and elsewhere scrolls the page. (touch-action would say so, but not within an SVG.)
element.addEventListener(
  "touchstart",
  (event) => {
    if (event.target.closest(".shape")) event.preventDefault();
  },
  { passive: false },
);
element.addEventListener("pointermove", (event) => {
  if (!held) return;
  const scale = props.value.width / element.querySelector(".stage").getBoundingClientRect().width;
  put(held.name, moved(held.at, held.edges, (event.clientX - held.x) * scale, (event.clientY - held.y) * scale));
});
for (const end of ["pointerup", "pointercancel"]) element.addEventListener(end, () => (held = null));

element.addEventListener("keydown", (event) => {
  const shape = event.target.closest(".shape");
  const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [];
  if (!shape || dx === undefined) return;
  event.preventDefault();
  const at = where(shape.dataset.name);
  const edges = event.shiftKey ? (at.length === 4 ? [2, 3] : [2]) : undefined;
  put(shape.dataset.name, moved(at, edges, dx * STEP, dy * STEP));
});
