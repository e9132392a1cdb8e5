// Draws the plots from the page's JSON block, as SVG at the width there is, again on every resize.
// Ranges, texts and shapes were decided when the page was made; text is set as text, never as HTML.
"use strict";

const DATA = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { left: 46, right: 22, top: 30, bottom: 46 };
const REACH = 26; // pixels within which the pointer finds a marker
const tip = document.getElementById("tip");

function draw(parent, name, attributes = {}, text = null) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== null) node.textContent = text;
  return parent.appendChild(node);
}

function write(parent, name, text) {
  const node = document.createElement(name);
  node.textContent = text;
  return parent.appendChild(node);
}

// --- axes ---

function linearTicks([low, high], most) {
  const rough = (high - low) / Math.max(most, 2);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.999);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high * (1 + 1e-12); i++) ticks.push(i * step);
  return ticks;
}

function logTicks([low, high], most) {
  const decades = [];
  for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++) decades.push(10 ** e);
  const within = (steps) => decades.flatMap((d) => steps.map((s) => s * d)).filter((v) => v >= low && v <= high);
  const choices = [[1, 1.5, 2, 3, 4, 5, 7], [1, 2, 3, 5, 7], [1, 2, 5], [1, 3], [1]].map(within);
  return choices.find((ticks) => ticks.length <= most) ?? choices.at(-1);
}

function axis(spec, from, to, spacing) {
  const warp = spec.log ? Math.log : (v) => v;
  const [low, high] = spec.domain.map(warp);
  const most = Math.floor(Math.abs(to - from) / spacing);
  return {
    at: (v) => from + ((warp(v) - low) / (high - low)) * (to - from),
    ticks: (spec.log ? logTicks : linearTicks)(spec.domain, most),
    label: spec.label + (spec.log ? " (log scale)" : ""),
  };
}

const short = (value) => Number(value.toPrecision(6)).toLocaleString("en", { maximumSignificantDigits: 6 });

function frame(host, plot, height) {
  const width = Math.max(host.clientWidth, 240);
  host.replaceChildren();
  const svg = draw(host, "svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group" });
  const [left, right] = [MARGIN.left, width - MARGIN.right];
  const [top, bottom] = [MARGIN.top, height - MARGIN.bottom];
  const x = axis(plot.x, left, right, 60);
  const y = axis(plot.y, bottom, top, 44);
  svg.setAttribute("aria-label", `${y.label} against ${x.label}`);
  for (const tick of y.ticks) {
    draw(svg, "line", { class: "grid", x1: left, x2: right, y1: y.at(tick), y2: y.at(tick) });
    draw(svg, "text", { x: left - 8, y: y.at(tick) + 4, "text-anchor": "end" }, short(tick));
  }
  for (const tick of x.ticks) {
    draw(svg, "line", { class: "grid", x1: x.at(tick), x2: x.at(tick), y1: top, y2: bottom });
    draw(svg, "text", { x: x.at(tick), y: bottom + 18, "text-anchor": "middle" }, short(tick));
  }
  draw(svg, "line", { class: "base", x1: left, x2: right, y1: bottom, y2: bottom });
  draw(svg, "text", { class: "axis-title", x: 2, y: 14 }, y.label);
  draw(svg, "text", { class: "axis-title", x: right, y: height - 8, "text-anchor": "end" }, x.label);
  return { svg, x, y, left, right, top, bottom };
}

// --- what the pointer or the keyboard is at ---

function showTip(item, box) {
  tip.replaceChildren();
  write(tip, "b", item.title);
  const list = tip.appendChild(document.createElement("dl"));
  for (const [name, value] of item.facts) {
    write(list, "dt", name);
    write(list, "dd", value);
  }
  for (const line of item.network) write(tip, "p", line);
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const beside = box.right + 12 + width < innerWidth ? box.right + 12 : box.left - 12 - width;
  const left = Math.max(8, Math.min(beside, innerWidth - width - 8));
  const above = left < box.right && left + width > box.left; // no room beside: above or below
  const roomAbove = box.top - 12 - height > 0;
  const top = above ? (roomAbove ? box.top - 12 - height : box.bottom + 12) : box.top - 20;
  tip.style.transform = `translate(${left}px, ${Math.max(8, Math.min(top, innerHeight - height - 8))}px)`;
}

let active = null; // the area and item that the tip belongs to

function hideTip() {
  active = null;
  tip.hidden = true;
  for (const node of document.querySelectorAll(".halo")) node.remove();
  for (const row of document.querySelectorAll(".is-active")) row.classList.remove("is-active");
}

function activate(area, item) {
  hideTip();
  active = [area, item];
  const halo = draw(area.svg, "circle", { class: "halo", cx: item.px, cy: item.py, r: item.r + 4 });
  showTip(item, halo.getBoundingClientRect());
  if (item.row !== undefined) tableRow(item.row)?.classList.add("is-active");
}

function tableRow(index) {
  return document.querySelectorAll("tr[data-member]")[index];
}

// Items carry px, py, r in pixels; of two near ones the larger marker wins.
function listen(area, items) {
  const nearest = (event) => {
    const origin = area.svg.getBoundingClientRect();
    const [px, py] = [event.clientX - origin.left, event.clientY - origin.top];
    const distance = (item) => Math.hypot(item.px - px, item.py - py) - item.r;
    const best = items.reduce((a, b) => (distance(b) < distance(a) ? b : a), items[0]);
    return best && distance(best) < REACH ? best : null;
  };
  const follow = (event) => {
    const item = nearest(event);
    if (item) activate(area, item);
    else hideTip();
  };
  area.svg.addEventListener("pointermove", follow);
  area.svg.addEventListener("pointerdown", follow);
  area.svg.addEventListener("pointerleave", (event) => event.pointerType === "touch" || hideTip());
}

function focusable(area, node, item) {
  const spoken = [item.title, ...item.facts.map((fact) => fact.join(" "))].join(", ");
  for (const [name, value] of Object.entries({ tabindex: 0, role: "img", "aria-label": spoken })) {
    node.setAttribute(name, value);
  }
  node.addEventListener("focus", () => activate(area, item));
  node.addEventListener("blur", hideTip);
}

// --- the three plots ---

function drawFront(host, plot) {
  const area = frame(host, plot, Math.round(Math.max(340, Math.min(560, host.clientWidth * 0.5))));
  const { svg, x, y } = area;
  const place = (item) => ({ ...item, px: x.at(item.x), py: y.at(item.y) });
  const trials = plot.trials.map((trial) => ({ ...place(trial), r: 3 }));
  const points = plot.points.map(place);
  for (const trial of trials) draw(svg, "circle", { class: "trial", cx: trial.px, cy: trial.py, r: 3 });
  drawStairs(area, plot.stairs);
  for (const point of points) drawBars(area, point);
  for (const point of [...points].reverse()) drawMarker(area, point);
  const taken = points.map((p) => ({ left: p.px - p.r, right: p.px + p.r, top: p.py - p.r, bottom: p.py + p.r }));
  for (const [a, b] of plot.ties) drawTie(svg, points[a], points[b], taken);
  for (const limit of plot.limits) drawLimit(area, limit, taken);
  for (const point of points) if (point.label) drawLabel(area, point, taken);
  listen(area, [...points, ...trials]);
}

function drawStairs({ svg, x, y }, stairs) {
  if (stairs.length < 2) return;
  const steps = stairs.slice(1).map(([sx, sy]) => `H${x.at(sx)}V${y.at(sy)}`);
  const start = `M${x.at(stairs[0][0])},${y.at(stairs[0][1])}`;
  draw(svg, "path", { class: "stairs", d: start + steps.join("") });
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
  const row = tableRow(point.row);
  mark.addEventListener("click", () => row?.scrollIntoView({ block: "center", behavior: "smooth" }));
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

function drawTraining(host, plot) {
  const area = frame(host, plot, 260);
  const { svg, x, y, right } = area;
  plot.series.forEach((line, index) => {
    const d = line.points.map(([px, py], i) => `${i ? "L" : "M"}${x.at(px).toFixed(1)},${y.at(py).toFixed(1)}`);
    draw(svg, "path", { class: `curve curve${index % 3}`, d: d.join("") });
    const place = { x: right - 8, y: MARGIN.top + 14 + 18 * index };
    draw(svg, "line", { class: `curve curve${index % 3}`, x1: right - 22, x2: right, y1: place.y, y2: place.y });
    draw(svg, "text", { x: right - 28, y: place.y + 4, "text-anchor": "end" }, line.name);
  });
}

function drawProfile(host, plot) {
  const area = frame(host, plot, 260);
  const { svg, x, y } = area;
  const [low, high] = plot.x.domain;
  draw(svg, "line", { class: "diagonal", x1: x.at(low), y1: y.at(low), x2: x.at(high), y2: y.at(high) });
  const dots = plot.dots.map((dot) => ({ ...dot, px: x.at(dot.x), py: y.at(dot.y), r: dot.isHeldOut ? 4.5 : 3 }));
  for (const dot of dots) {
    const kind = dot.isHeldOut ? "dot held-out" : "dot";
    draw(svg, "circle", { class: kind, cx: dot.px, cy: dot.py, r: dot.r });
  }
  listen(area, dots);
}

const PLOTS = [["front", drawFront], ["training", drawTraining], ["profile", drawProfile]];
for (const [name, render] of PLOTS) {
  const host = document.getElementById(`plot-${name}`);
  if (!host || !DATA[name]) continue;
  let width = 0;
  new ResizeObserver(() => {
    if (host.clientWidth === width) return;
    width = host.clientWidth;
    hideTip();
    render(host, DATA[name]);
  }).observe(host);
}
// A marker that the keyboard scrolled to keeps its tip; under a pointer the page has moved away.
const onScroll = () => (active && document.activeElement?.closest(".plot") ? activate(...active) : hideTip());
addEventListener("scroll", onScroll, { passive: true });
addEventListener("keydown", (event) => event.key === "Escape" && hideTip());
