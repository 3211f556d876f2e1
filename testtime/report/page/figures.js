// Figures: the nearest point says what it is, to a pointer and to the arrow keys, and the legend hides and shows series.
const tip = document.querySelector(".tip");

function tips(drawing) {
  const marks = all(".mark", drawing).map((node) => [node, node.querySelector("title")]).filter(([, title]) => title);
  if (!marks.length) return;
  const texts = new Map(marks.map(([node, title]) => [node, title.textContent]));
  marks.forEach(([, title]) => title.remove());
  const shown = () => [...texts.keys()].filter((node) => node.checkVisibility());
  const leave = () => { tip.hidden = true; all(".near", drawing).forEach((node) => node.classList.remove("near")); };
  const tell = (node) => {
    leave();
    if (!node) return;
    node.classList.add("near");
    tip.textContent = texts.get(node);
    tip.hidden = false;
    const box = node.getBoundingClientRect(), room = document.documentElement.clientWidth - tip.offsetWidth - 8;
    tip.style.left = `${Math.max(8, Math.min(box.x + 10, room))}px`;
    tip.style.top = `${box.y > tip.offsetHeight + 14 ? box.y - tip.offsetHeight - 8 : box.bottom + 8}px`;
  };
  const point = (event) => {
    let near = null, least = 32 ** 2;
    for (const node of shown()) {
      const box = node.getBoundingClientRect();
      const far = (box.x + box.width / 2 - event.clientX) ** 2 + (box.y + box.height / 2 - event.clientY) ** 2;
      if (far <= least) [near, least] = [node, far];
    }
    tell(near);
  };
  drawing.addEventListener("pointermove", point);
  drawing.addEventListener("pointerdown", point);
  drawing.addEventListener("pointerleave", leave);
  drawing.tabIndex = 0;
  drawing.setAttribute("aria-description", "The arrow keys read its points.");
  drawing.addEventListener("blur", leave);
  drawing.addEventListener("keydown", (event) => {
    if (event.key === "Escape") leave();
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key], nodes = shown();
    if (!step || !nodes.length) return;
    event.preventDefault();
    const at = nodes.findIndex((node) => node.classList.contains("near"));
    tell(nodes[at < 0 ? 0 : (at + step + nodes.length) % nodes.length]);
  });
}
all("figure svg").forEach(tips);

for (const button of all(".legend button")) {
  const series = button.dataset.series, figure = button.closest("figure");
  const parts = all("svg [id]", figure).filter((node) => node.id === series || node.id.startsWith(`${series}.`));
  button.addEventListener("click", () => {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(on));
    parts.forEach((node) => { node.style.display = on ? "" : "none"; });
  });
}
