// Plays what descent found: all numbers came with the panels, here they are only shown in turn.
const PACE = 45; // milliseconds a step
let timer = 0;

function show(step) {
  const slider = element.querySelector(".steps input");
  const frame = step / slider.step;
  slider.value = step;
  element.querySelector(".steps output").textContent = step;
  element.querySelector(".cursor")?.style.setProperty("left", `${(100 * step) / slider.max}%`);
  for (const panel of element.querySelectorAll("[data-values]")) {
    panel.querySelector(".now").textContent = JSON.parse(panel.dataset.values)[frame];
    if (panel.dataset.boxes) {
      const [x, y, x1, y1] = JSON.parse(panel.dataset.boxes)[frame];
      const box = panel.querySelector(".moving");
      for (const [name, number] of Object.entries({ x, y, width: x1 - x, height: y1 - y })) box.setAttribute(name, number);
    } else {
      panel.querySelector(".rise").style.maskPosition = `0 ${(100 * frame) / (panel.dataset.frames - 1)}%`;
    }
  }
}

function stop() {
  clearInterval(timer);
  timer = 0;
  element.querySelector(".steps button")?.setAttribute("aria-pressed", "false");
}

function play() {
  const slider = element.querySelector(".steps input");
  if (Number(slider.value) >= Number(slider.max)) show(0);
  element.querySelector(".steps button").setAttribute("aria-pressed", "true");
  timer = setInterval(() => {
    const current = element.querySelector(".steps input");
    if (!current || Number(current.value) >= Number(current.max)) return stop();
    show(Number(current.value) + Number(current.step));
  }, PACE * slider.step);
}

// New panels: those with steps begin to play, or stand at the end where the visitor wants no motion.
watch("value", () => {
  stop();
  const slider = element.querySelector(".steps input");
  if (!slider) return;
  show(0);
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) show(Number(slider.max));
  else play();
});
element.addEventListener("click", (event) => {
  if (event.target.closest(".steps button")) timer ? stop() : play();
});
element.addEventListener("input", (event) => {
  if (!event.target.matches(".steps input")) return;
  stop();
  show(Number(event.target.value));
});
