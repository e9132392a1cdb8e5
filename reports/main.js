// Starts the page: every plot in its place, again for another width; then filters and sorting.

const KINDS = { front: drawFront, lines: drawLines, dots: drawDots };

function redraw(name) {
  const host = document.getElementById(`plot-${name}`);
  if (!host || !DATA.plots[name]) return;
  hideTip();
  KINDS[DATA.plots[name].type](host, DATA.plots[name]);
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
startSorting();
// A marker that the keyboard scrolled to keeps its tip; under a pointer the page has moved away.
const onScroll = () => (active && document.activeElement?.closest(".plot") ? activate(...active) : hideTip());
addEventListener("scroll", onScroll, { passive: true });
addEventListener("keydown", (event) => event.key === "Escape" && hideTip());
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
