// Starts the page: every plot in its place, again for another width; then filters and sorting.

const KINDS = { front: drawFront, lines: drawLines, dots: drawDots };

let isOnBits = false; // whether bit cost is the front's horizontal axis

function redraw(name) {
  const host = document.getElementById(`plot-${name}`);
  const plot = DATA.plots[name];
  if (!host || !plot) return;
  hideTip();
  KINDS[plot.type](host, isOnBits && plot.bits ? onBits(plot) : plot);
}

function startAxes() {
  const bar = document.getElementById("axes");
  if (!bar) return;
  bar.hidden = false;
  bar.addEventListener("click", (event) => {
    const { axis } = event.target.dataset;
    if (axis === undefined) return;
    isOnBits = axis === "bits";
    for (const button of bar.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", button.dataset.axis === axis);
    }
    redraw("front");
  });
}

for (const name of Object.keys(DATA.plots)) {
  const host = document.getElementById(`plot-${name}`);
  if (!host) continue;
  let width = 0;
  new ResizeObserver(() => {
    if (host.clientWidth === width) return;
    width = host.clientWidth;
    redraw(name);
  }).observe(host);
}
startFilters();
startAxes();
startSorting();
// A marker that the keyboard scrolled to keeps its tip; under a pointer the page has moved away.
const onScroll = () => (active && document.activeElement?.closest(".plot") ? activate(...active) : hideTip());
addEventListener("scroll", onScroll, { passive: true });
addEventListener("keydown", (event) => event.key === "Escape" && hideTip());
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
