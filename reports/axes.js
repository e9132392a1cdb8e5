// The page's data, and what all plots share: SVG elements and axes.
// Ranges, texts and shapes were decided when the page was made; text is set as text, never as HTML.
"use strict";

const DATA = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { left: 46, right: 22, top: 30, bottom: 46 };

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
  const svg = draw(host, "svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", tabindex: 0 });
  const [left, right] = [MARGIN.left, width - MARGIN.right];
  const [top, bottom] = [MARGIN.top, height - MARGIN.bottom];
  const x = axis(plot.x, left, right, 60);
  const y = axis(plot.y, bottom, top, 44);
  svg.setAttribute("aria-label", `${y.label} against ${x.label}; arrow keys go through the markers`);
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
