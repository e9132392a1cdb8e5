// The kinds of plots. Each is drawn as SVG at the width there is, and again on every resize.

// Networks that the filters hide are not drawn; axes and the front's line stay as they are.
function drawFront(host, plot) {
  const area = frame(host, plot, Math.round(Math.max(340, Math.min(560, host.clientWidth * 0.5))));
  const { svg, x, y } = area;
  const place = (item) => ({ ...item, px: x.at(item.x), py: y.at(item.y), shown: isShown(item.tags) });
  const trials = plot.trials.map((trial) => ({ ...place(trial), r: 3 })).filter((trial) => trial.shown);
  const all = plot.points.map(place);
  const points = all.filter((point) => point.shown);
  for (const trial of trials) draw(svg, "circle", { class: "trial", cx: trial.px, cy: trial.py, r: 3 });
  for (const stairs of plot.stairs) drawStairs(area, stairs);
  for (const point of points) drawBars(area, point);
  for (const point of [...points].reverse()) drawMarker(area, point);
  const taken = points.map((p) => ({ left: p.px - p.r, right: p.px + p.r, top: p.py - p.r, bottom: p.py + p.r }));
  for (const [a, b] of plot.ties) if (all[a].shown && all[b].shown) drawTie(svg, all[a], all[b], taken);
  for (const limit of plot.limits) drawLimit(area, limit, taken);
  for (const floor of plot.floors) drawFloor(area, floor, taken);
  for (const point of points) if (point.label) drawLabel(area, point, taken);
  listen(area, [...points, ...trials]);
}

// The same plot with bit cost as the horizontal axis: it is counted, so nothing is tied or uncertain.
function onBits(plot) {
  const moved = (item) => ({ ...item, x: item.bits, xRange: [item.bits, item.bits] });
  return { ...plot, ...plot.bits, ties: [], points: plot.points.map(moved), trials: plot.trials.map(moved) };
}

function drawStairs({ svg, x, y }, { kind, points }) {
  if (points.length < 2) return;
  const steps = points.slice(1).map(([sx, sy]) => `H${x.at(sx)}V${y.at(sy)}`);
  const start = `M${x.at(points[0][0])},${y.at(points[0][1])}`;
  draw(svg, "path", { class: `stairs ${kind}`, d: start + steps.join("") });
}

function drawTie(svg, a, b, taken) {
  draw(svg, "line", { class: "tie", x1: a.px, y1: a.py, x2: b.px, y2: b.py });
  const middle = { x: (a.px + b.px) / 2, y: (a.py + b.py) / 2 + 4, "text-anchor": "middle" };
  taken.push(boxOf(draw(svg, "text", { class: "label", ...middle }, "≈")));
}

function drawBars({ svg, x, y }, point) {
  const [low, high] = point.xRange.map(x.at);
  const [bottom, top] = point.yRange.map(y.at);
  const kind = `error ${point.kind}`;
  draw(svg, "line", { class: kind, x1: low, x2: high, y1: point.py, y2: point.py });
  draw(svg, "line", { class: kind, x1: point.px, x2: point.px, y1: bottom, y2: top });
  for (const end of [bottom, top]) {
    draw(svg, "line", { class: kind, x1: point.px - 3, x2: point.px + 3, y1: end, y2: end });
  }
  for (const end of [low, high]) {
    draw(svg, "line", { class: kind, x1: end, x2: end, y1: point.py - 3, y2: point.py + 3 });
  }
}

function drawMarker(area, point) {
  const at = `translate(${point.px} ${point.py})`;
  if (point.isKnee) {
    draw(area.svg, "circle", { class: "ring", cx: point.px, cy: point.py, r: point.r + 4 });
  }
  const mark = draw(area.svg, "path", {
    class: `mark ${point.kind}`, d: point.shape, transform: `${at} scale(${point.r})`,
  });
  focusable(area, mark, point);
  const toRow = () => tableRow(point)?.scrollIntoView({ block: "center", behavior: "smooth" });
  mark.addEventListener("click", toRow);
  mark.addEventListener("keydown", (event) => event.key === "Enter" && toRow());
}

function drawLimit({ svg, x, left, right, top, bottom }, limit, taken) {
  const at = x.at(limit.value);
  const isInside = at >= left && at <= right;
  if (isInside) draw(svg, "line", { class: "limit", x1: at, x2: at, y1: top, y2: bottom });
  const place = { x: isInside && at < (left + right) / 2 ? at + 6 : Math.min(at, right) - 6, y: top + 12 };
  const anchor = place.x > at ? "start" : "end";
  const text = isInside ? limit.text : `${limit.text} ${at > right ? "→" : "←"}`;
  const label = draw(svg, "text", { class: "label limit-text", ...place, "text-anchor": anchor }, text);
  taken.push(boxOf(label));
}

// What needs no learning.
function drawFloor({ svg, y, left, right, top, bottom }, floor, taken) {
  const at = y.at(floor.value);
  if (at < top || at > bottom) return;
  draw(svg, "line", { class: "limit", x1: left, x2: right, y1: at, y2: at });
  const place = { x: right - 6, y: at - 5, "text-anchor": "end" };
  taken.push(boxOf(draw(svg, "text", { class: "label limit-text", ...place }, floor.text)));
}

function boxOf(node) {
  const { x, y, width, height } = node.getBBox();
  return { left: x, right: x + width, top: y, bottom: y + height };
}

// The first place around the marker that hits nothing and stays inside; without one, no label.
function drawLabel({ svg, left, right, top, bottom }, point, taken) {
  const label = draw(svg, "text", { class: "label" }, point.label);
  const { width } = label.getBBox();
  const gap = point.r + (point.isKnee ? 8 : 5);
  const places = [
    [gap, 4], [-width / 2, -gap - 3], [-width / 2, gap + 11], [-gap - width, 4],
    [gap, -gap], [-gap - width, -gap], [gap, gap + 8], [-gap - width, gap + 8],
    [point.r - width, -gap - 3], [point.r - width, gap + 11],
  ];
  const fits = (box) =>
    box.left >= left && box.right <= right && box.top >= top - 12 && box.bottom <= bottom &&
    !taken.some((t) => box.left < t.right && box.right > t.left && box.top < t.bottom && box.bottom > t.top);
  for (const [dx, dy] of places) {
    label.setAttribute("x", point.px + dx);
    label.setAttribute("y", point.py + dy);
    if (fits(boxOf(label))) return taken.push(boxOf(label));
  }
  return label.remove();
}

function drawLines(host, plot) {
  const area = frame(host, plot, 260);
  const { svg, x, y } = area;
  for (const { kind, points } of plot.series) {
    const d = points.map(([px, py], i) => `${i ? "L" : "M"}${x.at(px).toFixed(1)},${y.at(py).toFixed(1)}`);
    draw(svg, "path", { class: `curve ${kind}`, d: d.join("") });
  }
  listen(area, plot.dots.map((dot) => ({ ...dot, px: x.at(dot.x), py: y.at(dot.y), r: 3 })));
}

function drawDots(host, plot) {
  const area = frame(host, plot, plot.height ?? 300);
  const { svg, x, y } = area;
  for (const stairs of plot.stairs ?? []) drawStairs(area, stairs);
  if (plot.hasDiagonal) {
    const [low, high] = plot.x.domain;
    draw(svg, "line", { class: "diagonal", x1: x.at(low), y1: y.at(low), x2: x.at(high), y2: y.at(high) });
  }
  const dots = plot.dots.map((dot) => ({ ...dot, px: x.at(dot.x), py: y.at(dot.y) }));
  for (const { px, py, r, kind, shape } of dots) {
    draw(svg, "path", { class: kind, d: shape, transform: `translate(${px} ${py}) scale(${r})` });
  }
  listen(area, dots);
}
