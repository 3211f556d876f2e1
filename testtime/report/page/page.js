"use strict";
// The page's movements: axis, model and problem (kept in the address), sorting, tool tips, reading. Text from models
// only ever becomes text nodes.
const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));
const make = (tag, name, text) => {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== undefined) node.textContent = text;
  return node;
};

// What is shown stands in the address: #model=...&axis-...=...&problem=...; a link to a section has no "=".
const address = () => new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
const remember = (name, value) => {
  const state = address();
  state.set(name, value);
  history.replaceState(null, "", `#${state}`);
};

const showPart = (name, value) => all(`[data-of="${CSS.escape(name)}"]`).forEach((part) => { part.hidden = part.dataset.value !== value; });
const followAddress = (first) => {
  for (const field of all("fieldset[data-switch]")) {
    const name = field.dataset.switch, wanted = address().get(name);
    const asked = wanted !== null && all("input", field).find((input) => input.value === wanted && !input.disabled);
    if (asked) asked.checked = true;
    const chosen = field.querySelector("input:checked"); // browsers keep the choice over a reload
    if (chosen) showPart(name, chosen.value);
    if (asked && !first && name === "model") field.scrollIntoView();
  }
};
for (const field of all("fieldset[data-switch]")) {
  field.addEventListener("change", (event) => { showPart(field.dataset.switch, event.target.value); remember(field.dataset.switch, event.target.value); });
}
followAddress(true);
window.addEventListener("hashchange", () => followAddress(false));

// Tables sort by a press on a heading: numbers as numbers, unknown last.
function sortable(table) {
  const body = table.tBodies[0];
  all("thead th", table).forEach((head, column) => {
    const button = make("button", "", head.textContent);
    button.type = "button";
    head.replaceChildren(button);
    const key = (row) => {
      const cell = row.cells[column], told = cell.dataset.sort ?? cell.textContent.replace(/[,%]/g, "");
      return told === "" || told === "-" ? null : Number.isNaN(Number(told)) ? told.toLowerCase() : Number(told);
    };
    button.addEventListener("click", () => {
      const numbers = typeof key(body.rows[0]) === "number";
      const down = head.getAttribute("aria-sort") ? head.getAttribute("aria-sort") === "ascending" : numbers;
      all("th", table).forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = Array.from(body.rows).map((row) => [key(row), row]);
      rows.sort(([a], [b]) => (a === null) - (b === null) || (a < b ? -1 : a > b ? 1 : 0) * (down ? -1 : 1));
      body.append(...rows.map(([, row]) => row));
    });
  });
}
all("table.sortable").filter((table) => table.tBodies[0]?.rows.length > 1).forEach(sortable);

for (const input of all(".filter")) {
  const part = input.closest("section"), rows = all("tbody tr", part), count = part.querySelector(".count");
  input.addEventListener("input", () => {
    const wanted = input.value.trim().toLowerCase();
    rows.forEach((row) => { row.hidden = !row.textContent.toLowerCase().includes(wanted); });
    count.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
  });
}

// The nearest point of a figure says what it is.
const tip = document.querySelector(".tip");
for (const drawing of all("figure svg")) {
  const marks = all(".mark", drawing).map((node) => [node, node.querySelector("title")]).filter(([, title]) => title);
  if (!marks.length) continue;
  const texts = new Map(marks.map(([node, title]) => [node, title.textContent]));
  marks.forEach(([, title]) => title.remove());
  const leave = () => { tip.hidden = true; all(".near", drawing).forEach((node) => node.classList.remove("near")); };
  const point = (event) => {
    let near = null, least = 32 ** 2;
    for (const node of texts.keys()) {
      const box = node.getBoundingClientRect();
      const far = (box.x + box.width / 2 - event.clientX) ** 2 + (box.y + box.height / 2 - event.clientY) ** 2;
      if (far <= least) [near, least] = [node, far];
    }
    leave();
    if (!near) return;
    near.classList.add("near");
    tip.textContent = texts.get(near);
    tip.hidden = false;
    const box = near.getBoundingClientRect(), room = document.documentElement.clientWidth - tip.offsetWidth - 8;
    tip.style.left = `${Math.max(8, Math.min(box.x + 10, room))}px`;
    tip.style.top = `${box.y > tip.offsetHeight + 14 ? box.y - tip.offsetHeight - 8 : box.bottom + 8}px`;
  };
  drawing.addEventListener("pointermove", point);
  drawing.addEventListener("pointerdown", point);
  drawing.addEventListener("pointerleave", leave);
}

// Whether some chain's verdict changes so between its first answer and its last.
const turned = (problem, from, to) => problem.chains.some((c) => c.answers.length > 1 && c.answers[0].verdict === from && c.answers.at(-1).verdict === to);

// A tool's result, closed until somebody wants to read it.
function folded(title, words) {
  const part = make("details", "result");
  part.append(make("summary", "", title), words);
  return part;
}

function openBrowser(root) {
  const problems = JSON.parse(root.querySelector("script[type='application/json']").textContent);
  const list = root.querySelector(".list"), detail = root.querySelector(".detail");
  const search = root.querySelector("input[type=search]"), filter = root.querySelector("select"), count = root.querySelector(".count");
  const words = problems.map((p) => [p.id, p.question, p.gold, ...p.chains.flatMap((c) => [...c.segments.map((s) => s[1]), ...c.answers.map((a) => a.text)])].join("\n").toLowerCase());
  const keep = { all: () => true, none: (p) => p.solved === 0, some: (p) => p.solved > 0 && p.solved < 1, every: (p) => p.solved === 1,
    gained: (p) => turned(p, "wrong", "correct"), lost: (p) => turned(p, "correct", "wrong"),
    unparsed: (p) => p.chains.some((c) => c.answers.some((a) => a.verdict !== "correct" && a.verdict !== "wrong")) };
  let current = Math.max(0, problems.findIndex((p) => p.id === address().get("problem")));

  const chain = (item) => {
    const part = make("div");
    part.append(make("h3", "", `Sample ${item.sample}` + (item.tokens === null ? "" : `: ${item.tokens.toLocaleString("en")} thinking tokens`) + (item.finish ? `, ${item.finish}` : "")));
    if (item.segments.length) {
      const text = make("div", "text");
      text.tabIndex = 0;
      for (const [end, words] of item.segments) {
        const used = item.tools.find((t) => t.at < end && end <= t.until);
        text.append(used ? folded(`${used.name}, ${used.status}, ${used.seconds.toPrecision(2)} s`, words) : words);
        for (const answer of item.answers.filter((a) => a.forced && a.tokens === end)) text.append(make("span", `cut ${answer.verdict}`, `✂ ${answer.labels.join(", ")}: ${answer.key ?? answer.verdict}`));
      }
      part.append(text);
    }
    const box = make("div", "scroll"), table = make("table"), head = make("tr");
    for (const name of ["budget", "tokens", "verdict", "answer"]) head.append(make("th", "", name));
    table.append(head);
    for (const answer of item.answers) {
      const row = make("tr");
      row.append(make("td", "", answer.labels.join(", ") || "as it comes"), make("td", "", answer.tokens === null ? "" : `${answer.tokens.toLocaleString("en")}${answer.forced ? " (cut)" : ""}`));
      row.append(make("td", `verdict ${answer.verdict}`, answer.verdict), make("td", "", answer.text.trim() || "(empty)"));
      table.append(row);
    }
    box.append(table);
    part.append(box);
    return part;
  };

  const show = (index) => {
    current = index;
    const problem = problems[index];
    all("button", list).forEach((b) => b.setAttribute("aria-current", String(Number(b.dataset.index) === index)));
    detail.replaceChildren(make("h3", "", problem.id), make("div", "text question", problem.question), make("p", "", `Right answer: ${problem.gold}`), ...problem.chains.map(chain));
  };

  const fill = () => {
    const wanted = search.value.trim().toLowerCase();
    const found = problems.map((p, i) => i).filter((i) => keep[filter.value](problems[i]) && words[i].includes(wanted));
    list.replaceChildren(...found.map((i) => {
      const button = make("button", "", problems[i].id), rate = problems[i].solved;
      button.type = "button";
      button.dataset.index = i;
      button.append(make("small", "", `${rate === null ? "unscored" : Math.round(100 * rate) + "% right"} · ${problems[i].question.slice(0, 80)}`));
      button.addEventListener("click", () => { show(i); remember("problem", problems[i].id); });
      return button;
    }));
    count.textContent = `${found.length} of ${problems.length}`;
    if (found.length) show(found.includes(current) ? current : found[0]);
    else detail.replaceChildren(make("p", "omitted", "No problem matches."));
  };

  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    const next = step && document.activeElement[step];
    if (next) { event.preventDefault(); next.focus(); next.click(); }
  });
  for (const step of all(".step", root)) {
    step.addEventListener("click", () => {
      const buttons = all("button", list), at = buttons.findIndex((b) => b.getAttribute("aria-current") === "true");
      const next = buttons[at + Number(step.dataset.step)];
      if (next) { next.click(); next.scrollIntoView({ block: "nearest" }); }
    });
  }
  search.addEventListener("input", fill);
  filter.addEventListener("change", fill);
  fill();
}
all(".browser").forEach(openBrowser);
