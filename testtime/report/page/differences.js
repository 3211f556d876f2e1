// Two settings against each other: the paired difference, and the problems on which they disagree.
const differences = document.getElementById("differences");

function openDifferences(root) {
  const settings = Object.entries(held.models).flatMap(([key, model]) => model.settings.map(([at, what, shares], index) => ({ key, model, at, what, shares, index, level: model.levels[at] })));
  const [first, second, which] = ["a", "b", "which"].map((name) => root.querySelector(`select.${name}`));
  const said = root.querySelector(".verdict-of-pair"), detail = root.querySelector(".detail"), many = Object.keys(held.models).length > 1;
  const alone = new Set(settings.map((s) => s.what)).size === 1;
  const called = (s) => [...(many ? [s.model.name] : []), /^[\d,]+$/.test(s.level) ? `budget ${s.level}` : s.level, ...(alone ? [] : [s.what])].join(", ");
  const named = (s) => `${s.key}:${s.index}`;
  for (const select of [first, second]) select.append(...settings.map((s, index) => new Option(called(s), index)));
  const byName = (name) => settings.findIndex((s) => named(s) === address().get(name));
  const last = (key) => settings.findLastIndex((s) => s.key === key && s.what === settings[0].what), keys = Object.keys(held.models);
  first.value = byName("a") >= 0 ? byName("a") : many ? last(keys[0]) : 0;
  second.value = byName("b") >= 0 ? byName("b") : last(keys[many ? 1 : 0]);

  const points = (share) => `${share < 0 ? "−" : "+"}${Math.abs(100 * share).toFixed(1)}`;
  // b - a as [difference, lower, upper, problems]; null where they share no problem
  const paired = (a, b) => {
    if (a === b) return null;
    const found = held.pairs[Math.min(a, b)][Math.abs(a - b) - 1];
    if (!found || b < a) return found;
    const [value, lo, hi, count] = found;
    return [-value, hi === null ? null : -hi, lo === null ? null : -lo, count];
  };
  let rows = [];
  const side = (s, entry) => {
    const part = make("div"), shown = { right: [entry.right[s.at]], verdicts: [entry.verdicts[s.at]] };
    const link = make("a", "", "Read its samples"), here = document.querySelector(`.browser[data-model="${CSS.escape(s.key)}"]`);
    link.href = `${here ? "" : `models/${s.key}.html`}#${new URLSearchParams({ ...(here ? { model: s.key } : {}), problem: entry.id })}`;
    part.append(make("h3", "", called(s)), strip(shown, [s.level]), make("p"));
    part.lastChild.append(link);
    chainsOf(s.key, entry.place).then((chains) => {
      const own = (answer) => answer.labels.includes(s.level) || (!answer.labels.length && s.level === "as it comes");
      const answers = (chains ?? []).map((c) => ({ ...c, answers: c.answers.filter(own) })).filter((c) => c.answers.some((a) => a.text));
      part.append(...answers.map((c) => {
        const box = make("p", "", `Sample ${c.sample}: `), answer = c.answers[0];
        box.append(make("span", `verdict ${answer.verdict}`, answer.verdict), ` ${answer.text.trim()}`);
        return box;
      }));
    });
    return part;
  };
  const show = (id) => {
    const row = rows.find((r) => r.id === id);
    if (!row) { detail.replaceChildren(make("p", "omitted", "No problem of that kind.")); return; }
    const sides = make("div", "sides");
    sides.append(side(settings[first.value], row.a), side(settings[second.value], row.b));
    detail.replaceChildren(make("h3", "", id), ...(row.a.question ? [make("div", "text question", row.a.question)] : []), ...(row.a.gold ? [make("p", "", `Right answer: ${row.a.gold}`)] : []), sides);
  };
  const fillList = walkable(root, "pair", show);
  const fill = () => {
    const a = settings[first.value], b = settings[second.value], others = new Map(entries(b.key).map((e) => [e.id, e]));
    const both = entries(a.key).filter((e) => others.has(e.id)).map((e) => ({ id: e.id, a: e, b: others.get(e.id), left: a.shares[e.place], right: b.shares[others.get(e.id).place] }));
    rows = both.filter((r) => r.left !== null && r.right !== null).sort((r, s) => Math.abs(s.right - s.left) - Math.abs(r.right - r.left));
    const solves = (share) => share >= 0.5;
    const keep = { a: (r) => solves(r.left) && !solves(r.right), b: (r) => solves(r.right) && !solves(r.left), all: () => true };
    keep.apart = (r) => keep.a(r) || keep.b(r);
    const told = paired(Number(first.value), Number(second.value));
    const mean = (name) => 100 * rows.reduce((sum, r) => sum + r[name], 0) / rows.length;
    said.textContent = !told ? "Choose two different settings that share problems."
      : `${called(a)}: ${mean("left").toFixed(1)}%. ${called(b)}: ${mean("right").toFixed(1)}%. Difference ${points(told[0])} points`
        + (told[1] === null ? "" : ` [${points(told[1])}, ${points(told[2])}]`) + `, ${told[3]} problems. `
        + `The second alone solves ${rows.filter(keep.b).length}, the first alone ${rows.filter(keep.a).length} (solved: at least half the time).`;
    fillList(rows.filter(keep[which.value]).map((r) => [r.id, `${percent(r.left)} → ${percent(r.right)}${begins(r.a)}`]), rows.length);
  };
  [first, second].forEach((select, index) => select.addEventListener("change", () => { remember("ab"[index], named(settings[select.value])); fill(); }));
  which.addEventListener("change", fill);
  fill();
}
if (differences) openDifferences(differences);
