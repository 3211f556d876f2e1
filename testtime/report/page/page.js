// The page's movements: axis and model (kept in the address), and tables that sort. Text from models only ever becomes
// text nodes.
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
