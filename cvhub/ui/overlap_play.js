// Plays what descent found: all numbers came with the panels, here they are only shown in turn.
const PACE = 45; // milliseconds a step
let timer = 0;

function show(step) {
  const slider = element.querySelector(".steps input");
  slider.value = step;
  element.querySelector(".steps output").textContent = step;
  element.querySelector(".cursor")?.style.setProperty("left", `${(100 * step) / slider.max}%`);
  for (const panel of element.querySelectorAll("[data-boxes]")) {
    const [x0, y0, x1, y1] = JSON.parse(panel.dataset.boxes)[step];
    const box = panel.querySelector(".moving");
    for (const [name, number] of Object.entries({ x: x0, y: y0, width: x1 - x0, height: y1 - y0 })) box.setAttribute(name, number);
    panel.querySelector(".now").textContent = JSON.parse(panel.dataset.agreements)[step];
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
    show(Number(current.value) + 1);
  }, PACE);
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
