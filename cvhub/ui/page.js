// Runs once when a page opens: light and dark, the language of the document, downloads, the link.
() => {
  const stored = localStorage.getItem("cvhub-theme");
  if (stored) document.body.classList.toggle("dark", stored === "dark");

  document.addEventListener("click", (event) => {
    if (!event.target.closest("#theme-switch")) return;
    const dark = document.body.classList.toggle("dark");
    localStorage.setItem("cvhub-theme", dark ? "dark" : "light");
  });

  // Typing in a long list searches for what is typed, not for what stood there with it appended.
  document.addEventListener("focusin", ({ target }) => {
    if (target.matches("#heat-class input, #true-class input, #layer input, #model input")) setTimeout(() => target.select());
  });

  // Arrow keys move in a group of radio buttons. (Gradio gives each a name of its own, so browsers see no group.)
  document.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (!step || !event.target.matches("input[type=radio]")) return;
    const group = [...event.target.closest("fieldset").querySelectorAll("input[type=radio]")];
    const next = group[(group.indexOf(event.target) + step + group.length) % group.length];
    event.preventDefault();
    next.focus();
    next.click();
  });

  // A link to a place in the page leads there, and unfolds it. (By itself it would open the page anew: Gradio's base address has no query.)
  document.addEventListener("click", (event) => {
    const place = document.getElementById(event.target.closest("a[href^='#']")?.hash.slice(1));
    if (!place) return;
    event.preventDefault();
    if ("open" in place) place.open = true;
    place.tabIndex = -1;
    place.focus({ preventScroll: true });
    place.scrollIntoView({ block: "center" });
  });

  window.cvhub = {
    // The language of the document, for screen readers, hyphenation and fonts.
    speak(language) {
      document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
      return language;
    },

    // Who trains here: made once, kept by the browser, known to no other page.
    visitor() {
      const bytes = crypto.getRandomValues(new Uint8Array(16));
      const made = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
      const known = localStorage.getItem("cvhub-visitor") ?? made;
      localStorage.setItem("cvhub-visitor", known);
      return known;
    },

    // The heat maps' opacity follows its slider without asking the server.
    fade(percent) {
      document.documentElement.style.setProperty("--opacity", percent / 100);
    },

    // When a picture is removed, Gradio also says "input", and still hands over the picture that was there.
    removed: -Infinity,
    removePicture() {
      cvhub.removed = performance.now();
    },
    async withoutRemoved([session, picture, ...rest]) {
      await new Promise((done) => setTimeout(done));
      return [session, performance.now() - cvhub.removed < 200 ? null : picture, ...rest];
    },

    // The last value of a question says when it was asked: of two that wait for their turn, the later counts.
    stamped(values) {
      return [...values.slice(0, -1), performance.now()];
    },

    save(text, name, type) {
      if (!text) return;
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([text], { type }));
      link.download = name;
      link.click();
      URL.revokeObjectURL(link.href);
    },

    // The link goes to the address bar and to the clipboard; a refusal is said in place of the success.
    async copyLink(query, place = "#note") {
      const url = new URL(window.location.href);
      url.search = query;
      window.history.replaceState(null, "", url);
      try {
        await navigator.clipboard.writeText(url.href);
      } catch {
        const note = document.querySelector(`${place} [data-denied]`);
        if (note) note.textContent = note.dataset.denied;
      }
    },
  };
  cvhub.speak(document.documentElement.lang || "en");
}
