"use strict";
// The page's three movements: which axis, which model, which problem. Text from models only ever becomes text nodes.
const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));
const make = (tag, name, text) => {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== undefined) node.textContent = text;
  return node;
};

for (const field of all("fieldset[data-switch]")) {
  const show = (value) => all(`[data-of="${field.dataset.switch}"]`).forEach((part) => { part.hidden = part.dataset.value !== value; });
  field.addEventListener("change", (event) => show(event.target.value));
  const chosen = field.querySelector("input:checked"); // browsers keep the choice over a reload
  if (chosen) show(chosen.value);
}

function openBrowser(root) {
  const problems = JSON.parse(root.querySelector("script[type='application/json']").textContent);
  const list = root.querySelector(".list"), detail = root.querySelector(".detail");
  const search = root.querySelector("input[type=search]"), filter = root.querySelector("select"), count = root.querySelector(".count");
  const words = problems.map((p) => [p.id, p.question, p.gold, ...p.chains.flatMap((c) => [...c.segments.map((s) => s[1]), ...c.answers.map((a) => a.text)])].join("\n").toLowerCase());
  const keep = { all: () => true, none: (p) => p.solved === 0, some: (p) => p.solved > 0 && p.solved < 1, every: (p) => p.solved === 1 };
  let current = 0;

  const chain = (item) => {
    const part = make("div");
    part.append(make("h3", "", `Sample ${item.sample}` + (item.tokens === null ? "" : `: ${item.tokens.toLocaleString("en")} thinking tokens`) + (item.finish ? `, ${item.finish}` : "")));
    if (item.segments.length) {
      const text = make("div", "text");
      text.tabIndex = 0;
      for (const [end, words] of item.segments) {
        text.append(words);
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
      button.addEventListener("click", () => show(i));
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
  search.addEventListener("input", fill);
  filter.addEventListener("change", fill);
  fill();
}
all(".browser").forEach(openBrowser);
