// One model's problems: which there are, what became of every answer, and what the model wrote.
const held = JSON.parse(document.getElementById("problems").textContent);
const VERDICTS = { c: "correct", w: "wrong", u: "unparsed", t: "timeout", e: "error", m: "missing", p: "partly right", "-": "not drawn" };
const SIGNS = { c: "✓", w: "✗", u: "?", t: "t", e: "e", m: "m", p: "½", "-": "·" };
const percent = (share) => (share === null ? "unscored" : `${Math.round(100 * share)}%`);

const begins = (entry) => (entry.question ? ` · ${entry.question.slice(0, 80)}` : "");

// A model's entries: [id, question, gold], its marks, and its place among the texts.
const entries = (key) => held.models[key].marks.map((mark, place) => {
  const [id, question, gold] = held.problems[held.models[key].at[place]];
  return { id, question, gold, place, ...mark };
});

// Texts lie in the page, or in files that are loaded when somebody wants to read in them.
const waiting = new Map();
function arrived(key, part, texts) { waiting.get(`${key} ${part}`)(texts); }
const files = new Map();
function load(key, part) {
  const name = `${key} ${part}`;
  if (!files.has(name)) {
    files.set(name, new Promise((resolve) => {
      waiting.set(name, resolve);
      const script = make("script");
      script.src = held.models[key].parts[part][0];
      script.addEventListener("error", () => resolve(null));
      document.head.append(script);
    }));
  }
  return files.get(name);
}
// The chains of a problem; none where the run holds no texts, null where their file is not there.
async function chainsOf(key, place) {
  const model = held.models[key];
  if (model.texts) return model.texts[place] ?? [];
  let first = 0;
  for (const [part, [, count]] of (model.parts ?? []).entries()) {
    if (place < first + count) return (await load(key, part))?.[place - first] ?? null;
    first += count;
  }
  return [];
}

// A row of signs a level, one sign a sample.
function strip(entry, levels) {
  const table = make("table", "strip");
  levels.forEach((level, at) => {
    const row = make("tr"), signs = make("td");
    for (const letter of entry.verdicts[at]) {
      const sign = make("span", VERDICTS[letter].split(" ")[0], SIGNS[letter]);
      sign.title = VERDICTS[letter];
      signs.append(sign);
    }
    const counts = Object.entries(VERDICTS).map(([letter, word]) => [entry.verdicts[at].split(letter).length - 1, word]).filter(([count]) => count);
    signs.setAttribute("aria-label", counts.map(([count, word]) => `${count} ${word}`).join(", "));
    const head = make("th", "", level);
    head.scope = "row";
    row.append(head, signs, make("td", "", percent(entry.right[at])));
    table.append(row);
  });
  const box = make("div", "scroll");
  box.append(table);
  return box;
}

// A tool's result, closed until somebody wants to read it.
function folded(title, words) {
  const part = make("details", "result");
  part.append(make("summary", "", title), words);
  return part;
}

function chainPart(item, index) {
  const part = make("details"), last = item.answers.at(-1);
  part.open = index === 0;
  const summary = make("summary", "", `Sample ${item.sample}` + (item.tokens === null ? "" : `: ${item.tokens.toLocaleString("en")} thinking tokens`) + (item.finish ? `, ${item.finish}` : "") + ", ");
  summary.append(make("span", `verdict ${last.verdict}`, last.verdict));
  part.append(summary);
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
}

// A list of problems beside the one that is read: filled, walked and remembered in the same way everywhere.
function walkable(root, name, show) {
  const list = root.querySelector(".list"), count = root.querySelector(".count");
  let current = null;
  const open = (button, told) => {
    all("button", list).forEach((b) => b.setAttribute("aria-current", String(b === button)));
    current = button.dataset.id;
    if (told) remember(name, current);
    show(current);
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
      if (next) { open(next, true); list.scrollTop += next.getBoundingClientRect().top - list.getBoundingClientRect().top - 40; }
    });
  }
  window.addEventListener("hashchange", () => {
    const wanted = address().get(name), button = all("button", list).find((b) => b.dataset.id === wanted);
    if (button && wanted !== current && root.checkVisibility()) { open(button, false); root.scrollIntoView(); }
  });
  // items: [id, words under it]; of: how many there are in all
  return (items, of) => {
    list.replaceChildren(...items.map(([id, words]) => {
      const button = make("button", "", id);
      button.type = "button";
      button.dataset.id = id;
      button.append(make("small", "", words));
      button.addEventListener("click", () => open(button, true));
      return button;
    }));
    count.textContent = `${items.length} of ${of}`;
    const wanted = current ?? address().get(name), buttons = all("button", list);
    const first = buttons.find((b) => b.dataset.id === wanted) ?? buttons[0];
    if (first) open(first, false);
    else show(null);
  };
}

function openBrowser(root) {
  const key = root.dataset.model, levels = held.models[key].levels, problems = entries(key);
  const search = root.querySelector("input[type=search]"), detail = root.querySelector(".detail");
  const [which, verdict, level] = ["which", "verdict", "level"].map((name) => root.querySelector(`select.${name}`));
  level.append(...["anywhere", ...levels].map((word, at) => new Option(at ? `at ${word}` : word, at - 1)));
  const turned = (p, from, to) => [...p.verdicts[0]].some((v, s) => v === from && p.verdicts.at(-1)[s] === to);
  const changed = (p) => p.votes?.some((row, at) => at && [...row].some((v, s) => v !== "-" && p.votes[at - 1][s] !== "-" && v !== p.votes[at - 1][s]));
  const keep = { all: () => true, none: (p) => p.right.at(-1) === 0, some: (p) => p.right.at(-1) > 0 && p.right.at(-1) < 1, every: (p) => p.right.at(-1) === 1,
    changed, gained: (p) => turned(p, "w", "c"), lost: (p) => turned(p, "c", "w") };
  const judged = (p) => !verdict.value || p.verdicts.some((row, at) => [-1, at].includes(Number(level.value)) && [...verdict.value].some((v) => row.includes(v)));
  let texts = null; // what a search looks through, once somebody searches

  const show = async (id) => {
    const problem = problems.find((p) => p.id === id);
    if (!problem) { detail.replaceChildren(make("p", "omitted", "No problem matches.")); return; }
    const head = [make("h3", "", problem.id)];
    if (problem.question) head.push(make("div", "text question", problem.question));
    if (problem.gold) head.push(make("p", "", `Right answer: ${problem.gold}`));
    detail.replaceChildren(...head, strip(problem, levels));
    const chains = await chainsOf(key, problem.place);
    if (detail.firstChild?.textContent !== id) return; // another problem was opened meanwhile
    if (chains) detail.append(...chains.filter((c) => c.segments.length || c.answers.some((a) => a.text)).map(chainPart));
    else detail.append(make("p", "omitted", "The folder data, which holds the texts, is not beside this page."));
  };
  const fillList = walkable(root, "problem", show);
  const fill = async () => {
    const wanted = search.value.trim().toLowerCase();
    if (wanted && !texts) {
      texts = await Promise.all(problems.map(async (p) => [p.id, p.question, p.gold, JSON.stringify((await chainsOf(key, p.place))?.map((c) => [c.segments, c.answers.map((a) => a.text)]))].join("\n").toLowerCase()));
    }
    const inJson = JSON.stringify(wanted).slice(1, -1);
    const matches = (p) => !wanted || texts[p.place].includes(wanted) || texts[p.place].includes(inJson);
    const kept = problems.filter((p) => keep[which.value](p) && judged(p) && matches(p));
    fillList(kept.map((p) => [p.id, `${percent(p.right.at(-1))} right at ${levels.at(-1)}${begins(p)}`]), problems.length);
  };
  search.addEventListener("input", fill);
  [which, verdict, level].forEach((select) => select.addEventListener("change", fill));
  fill();
}
all(".browser[data-model]").forEach(openBrowser);
