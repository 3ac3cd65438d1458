// The Segment tab: draws segments over a picture, and lets a mask be painted. Runs once when a page opens.
() => {
  // What holds for every answer that is shown: set by the page's controls, kept while answers come and go.
  const look = { opacity: 0.55, contours: false, hidden: new Set(), sweep: 0 };
  const KEY_STEP = 4; // CSS pixels that an arrow key moves the brush

  const picture = (source) => new Promise((done, fail) => {
    const image = new Image();
    image.onload = () => done(image);
    image.onerror = fail;
    image.src = source;
  });

  // A picture's pixels, (red, green, blue, alpha) of each.
  const pixelsOf = (image) => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    return context.getImageData(0, 0, canvas.width, canvas.height);
  };

  // Gradio changes what stands in the page node by node, so an element may come to hold another answer: its data-key
  // tells. Listeners stay; what a script added is gone and is made anew.
  class Keyed extends HTMLElement {
    static observedAttributes = ["data-key"];

    attributeChangedCallback() {
      queueMicrotask(() => this.isConnected && this.setup());
    }
  }

  class SegmentView extends Keyed {
    constructor() {
      super();
      this.addEventListener("change", ({ target }) => {
        if (target.dataset.label) look.hidden[target.checked ? "delete" : "add"](this.classOf(target));
        if (target.dataset.id) this.hiddenIds[target.checked ? "delete" : "add"](Number(target.dataset.id));
        this.draw();
      });
      this.addEventListener("input", ({ target }) => {
        if (target.closest(".sweep")) this.sweep(target.value);
      });
      // What the pointer or the keyboard is on stands out.
      for (const [on, off] of [["pointerover", "pointerout"], ["focusin", "focusout"]]) {
        this.addEventListener(on, ({ target }) => this.point(target.closest(".area")?.querySelector("input")));
        this.addEventListener(off, () => this.point(null));
      }
      for (const kind of ["pointermove", "pointerdown"]) this.addEventListener(kind, (event) => this.name(event));
      this.addEventListener("pointerleave", () => this.tip?.classList.remove("shown"));
    }

    async setup() {
      const stage = this.querySelector(".stage[data-ids]");
      const key = this.dataset.key;
      this.segments = new Map(JSON.parse(this.dataset.segments).map((segment) => [segment.id, segment]));
      this.hiddenIds = new Set();
      this.pointed = null;
      for (const box of this.querySelectorAll(".area input")) {
        box.checked = !(box.dataset.label && look.hidden.has(this.classOf(box)));
      }
      [this.canvas, this.line, this.tip] = stage.querySelectorAll("canvas, i, .tip");
      this.querySelector(".sweep input").value = look.sweep;
      this.sweep(look.sweep);
      const { data, width, height } = pixelsOf(await picture(stage.dataset.ids));
      if (key !== this.dataset.key) return; // the next answer came meanwhile
      this.ids = Uint16Array.from({ length: width * height }, (_, i) => data[4 * i] | (data[4 * i + 1] << 8));
      // The canvas is finer than the map, so that contours are thin over small pictures too.
      [this.width, this.height, this.scale] = [width, height, this.canvas.width / width];
      this.draw();
    }

    classOf(box) {
      return [...this.segments.values()].find((segment) => segment.label === Number(box.dataset.label))?.class;
    }

    point(box) {
      const pointed = box ? (box.dataset.id ? `id ${box.dataset.id}` : `label ${box.dataset.label}`) : null;
      if (pointed === this.pointed) return;
      this.pointed = pointed;
      this.draw();
    }

    sweep(percent) {
      look.sweep = percent;
      this.canvas.style.clipPath = `inset(0 0 0 ${percent}%)`;
      this.line.style.left = `${percent}%`;
      this.line.classList.toggle("shown", percent > 0 && percent < 100);
    }

    name(event) {
      const stage = event.target.closest(".stage[data-ids]");
      if (!stage || !this.ids) return this.tip?.classList.remove("shown");
      const box = stage.getBoundingClientRect();
      const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
      const at = Math.floor(y * this.height) * this.width + Math.floor(x * this.width);
      const segment = this.segments.get(this.ids[at]);
      this.tip.classList.toggle("shown", Boolean(segment));
      if (!segment) return;
      this.tip.textContent = segment.told;
      this.tip.style.left = `${Math.min(100 * x, 60)}%`;
      this.tip.style.top = `${100 * y}%`;
    }

    shows(segment) {
      return !look.hidden.has(segment.class) && !this.hiddenIds.has(segment.id);
    }

    draw() {
      if (!this.ids) return;
      const { width, height, scale, ids } = this;
      const context = this.canvas.getContext("2d");
      const drawn = context.createImageData(width * scale, height * scale);
      const pixels = new Uint32Array(drawn.data.buffer); // alpha, blue, green, red, from the highest byte on
      const [fills, lines, white] = [0, 1, 2].map(() => new Uint32Array(65536));
      for (const segment of this.segments.values()) {
        if (!this.shows(segment)) continue;
        const [red, green, blue] = segment.colour;
        const colour = (blue << 16) | (green << 8) | red;
        const aside = this.pointed && ![`id ${segment.id}`, `label ${segment.label}`].includes(this.pointed);
        const alpha = Math.round(255 * (look.contours ? 0 : look.opacity) * (aside ? 0.25 : 1));
        fills[segment.id] = (((alpha << 24) >>> 0) | colour) >>> 0;
        lines[segment.id] = (((aside ? 0x50 : 0xff) << 24) | colour) >>> 0;
        white[segment.id] = (((aside ? 0x50 : 0xff) << 24) | 0xffffff) >>> 0;
      }
      // A white line around each segment; as a contour, a broad one of its colour within.
      const broad = look.contours ? Math.ceil((Math.max(width, height) * scale) / 200) : 0;
      const [wide, high] = [width * scale, height * scale];
      const columns = Uint32Array.from({ length: wide }, (_, x) => Math.floor(x / scale));
      const rows = Uint32Array.from({ length: high }, (_, y) => Math.floor(y / scale) * width);
      const meetsOther = (x, y, id, reach) =>
        ids[rows[y] + columns[Math.max(0, x - reach)]] !== id || ids[rows[y] + columns[Math.min(wide - 1, x + reach)]] !== id ||
        ids[rows[Math.max(0, y - reach)] + columns[x]] !== id || ids[rows[Math.min(high - 1, y + reach)] + columns[x]] !== id;
      for (let y = 0; y < high; y++) {
        for (let x = 0; x < wide; x++) {
          const id = ids[rows[y] + columns[x]];
          if (!lines[id]) continue;
          if (meetsOther(x, y, id, 1)) pixels[y * wide + x] = white[id];
          else pixels[y * wide + x] = broad && meetsOther(x, y, id, broad) ? lines[id] : fills[id];
        }
      }
      context.putImageData(drawn, 0, 0);
    }
  }

  class MaskPainter extends Keyed {
    constructor() {
      super();
      this.addEventListener("pointerdown", (event) => {
        if (event.target !== this.canvas) return;
        this.canvas.setPointerCapture(event.pointerId);
        this.painting = true;
        this.stroke(this.place(event), this.place(event));
      });
      this.addEventListener("pointermove", (event) => {
        if (event.target !== this.canvas) return;
        const next = this.place(event);
        if (this.painting) this.stroke(this.at, next);
        this.move(next);
      });
      for (const end of ["pointerup", "pointercancel"]) {
        this.addEventListener(end, () => this.painting && this.hand());
      }
      this.addEventListener("keydown", (event) => event.target === this.canvas && this.press(event));
      this.addEventListener("click", ({ target }) => {
        if (target.matches("[data-clear]")) this.fill(new Uint8Array(this.labels.length));
        if (target.matches("[data-start]")) this.start(target.dataset.start);
      });
    }

    setup() {
      this.classes = JSON.parse(this.dataset.classes);
      this.canvas = this.querySelector("canvas");
      this.cursor = this.querySelector(".cursor");
      this.context = this.canvas.getContext("2d", { willReadFrequently: true });
      // Classes are kept beside the coloured canvas, where the colours of edges would mix.
      this.labels = new Uint8Array(this.canvas.width * this.canvas.height);
      this.draw();
      this.move([this.canvas.width / 2, this.canvas.height / 2]);
    }

    place({ clientX, clientY }) {
      const box = this.canvas.getBoundingClientRect();
      const { width, height } = this.canvas;
      return [((clientX - box.left) * width) / box.width, ((clientY - box.top) * height) / box.height];
    }

    press(event) {
      const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!way && event.key !== " ") return;
      event.preventDefault();
      const step = (KEY_STEP * this.canvas.width) / this.canvas.getBoundingClientRect().width;
      const next = way ? this.at.map((value, axis) => value + way[axis] * step) : this.at;
      if (!way || event.shiftKey) {
        this.stroke(this.at, next);
        this.hand();
      }
      this.move(next);
    }

    get brush() {
      const chosen = this.querySelector("input[type=radio]:checked");
      return chosen ? Number(chosen.value) : 0; // class + 1, and 0 takes away
    }

    get radius() {
      const shown = this.canvas.getBoundingClientRect().width || this.canvas.width;
      return Math.max(0.5, (Number(this.querySelector("input[type=range]").value) / 2) * (this.canvas.width / shown));
    }

    move([x, y]) {
      const { width, height } = this.canvas;
      this.at = [Math.min(Math.max(x, 0), width), Math.min(Math.max(y, 0), height)];
      const size = this.querySelector("input[type=range]").value;
      Object.assign(this.cursor.style, {
        left: `${(100 * this.at[0]) / width}%`, top: `${(100 * this.at[1]) / height}%`, width: `${size}px`, height: `${size}px`,
      });
    }

    // Discs along a line. Pixels count whose centre is in one.
    stroke(from, to) {
      const [radius, brush] = [this.radius, this.brush];
      const { width, height } = this.canvas;
      const steps = Math.max(1, Math.ceil(Math.hypot(to[0] - from[0], to[1] - from[1]) / (radius / 2)));
      for (let step = 0; step <= steps; step++) {
        const [cx, cy] = [0, 1].map((axis) => from[axis] + ((to[axis] - from[axis]) * step) / steps);
        for (let y = Math.max(0, Math.floor(cy - radius)); y <= Math.min(height - 1, cy + radius); y++) {
          for (let x = Math.max(0, Math.floor(cx - radius)); x <= Math.min(width - 1, cx + radius); x++) {
            if (Math.hypot(x + 0.5 - cx, y + 0.5 - cy) <= radius) this.labels[y * width + x] = brush;
          }
        }
      }
      this.at = to;
      this.draw();
    }

    async start(source) {
      const { data } = pixelsOf(await picture(source));
      this.fill(this.labels.map((_, i) => data[4 * i]));
    }

    fill(labels) {
      this.labels = labels;
      this.draw();
      this.hand();
    }

    draw() {
      const drawn = this.context.createImageData(this.canvas.width, this.canvas.height);
      this.labels.forEach((label, i) => {
        if (label) drawn.data.set([...this.classes[label - 1].colour, 150], 4 * i);
      });
      this.context.putImageData(drawn, 0, 0);
    }

    // Hands the mask over as a PNG: red is class + 1.
    hand() {
      this.painting = false;
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [this.canvas.width, this.canvas.height];
      const context = canvas.getContext("2d");
      const drawn = context.createImageData(canvas.width, canvas.height);
      this.labels.forEach((label, i) => drawn.data.set([label, 0, 0, 255], 4 * i));
      context.putImageData(drawn, 0, 0);
      this.dispatchEvent(new CustomEvent("painted", { bubbles: true, detail: canvas.toDataURL("image/png") }));
    }
  }

  customElements.define("segment-view", SegmentView);
  customElements.define("mask-painter", MaskPainter);

  const redraw = () => document.querySelectorAll("segment-view").forEach((view) => view.draw());
  cvhub.segments = {
    opacity(percent) {
      look.opacity = percent / 100;
      redraw();
    },
    contours(drawn) {
      look.contours = drawn === "contours";
      redraw();
    },
    // A data URI to a file.
    save(source, name) {
      if (!source) return;
      const link = document.createElement("a");
      [link.href, link.download] = [source, name];
      link.click();
    },
  };
}
