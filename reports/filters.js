// Narrowing the front's plot and table down, and sorting the table.

const pressed = new Set(); // tags of the buttons that are pressed
const rows = [...document.querySelectorAll("tr[data-member]")];

// Any of the pressed precisions, and all pressed operators.
function isShown(tags) {
  if (tags === undefined) return true;
  const precisions = [...pressed].filter((tag) => tag.startsWith("precision:"));
  const operators = [...pressed].filter((tag) => tag.startsWith("operator:"));
  const fits = !precisions.length || precisions.some((tag) => tags.includes(tag));
  return fits && operators.every((tag) => tags.includes(tag));
}

function showPressed() {
  for (const button of document.querySelectorAll("button[data-tag]")) {
    button.setAttribute("aria-pressed", pressed.has(button.dataset.tag));
  }
  for (const row of rows) row.hidden = !isShown(JSON.parse(row.dataset.tags));
  const trials = DATA.plots.front.trials;
  const counts = [
    `${rows.filter((row) => !row.hidden).length} of ${rows.length} networks`,
    `${trials.filter((trial) => isShown(trial.tags)).length} of ${trials.length} trials`,
  ];
  document.getElementById("filter-status").textContent = `Shown: ${counts.join(", ")}`;
  document.getElementById("filter-reset").disabled = !pressed.size;
}

function startFilters() {
  const bar = document.getElementById("filters");
  if (!bar) return;
  bar.hidden = false;
  bar.addEventListener("click", (event) => {
    const { tag } = event.target.dataset;
    if (event.target.id === "filter-reset") pressed.clear();
    else if (tag === undefined) return;
    else if (!pressed.delete(tag)) pressed.add(tag);
    showPressed();
    redraw("front");
  });
  showPressed();
}

function sortBy(button) {
  const head = button.closest("th");
  const column = Number(button.dataset.column);
  const direction = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
  for (const other of document.querySelectorAll("th[aria-sort]")) other.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", direction);
  const value = (row) => row.children[column].dataset.sort;
  const sign = direction === "ascending" ? 1 : -1;
  const isText = rows.some((row) => value(row) !== undefined && Number.isNaN(Number(value(row))));
  const order = (a, b) => {
    const [one, two] = [value(a), value(b)];
    if (one === undefined || two === undefined) return (one === undefined) - (two === undefined);
    return sign * (isText ? one.localeCompare(two, "en") : Number(one) - Number(two));
  };
  const body = document.querySelector("#members tbody");
  body.classList.add("sorted");
  body.append(...[...rows].sort(order));
}

function startSorting() {
  for (const button of document.querySelectorAll("button.sorter")) {
    button.addEventListener("click", () => sortBy(button));
  }
}
