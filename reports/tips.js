// What the pointer or the keyboard is at: a tip beside the marker, and the network's row in the table.

const REACH = 26; // pixels within which the pointer finds a marker
const tip = document.getElementById("tip");
let active = null; // the area and item that the tip belongs to

// Items of a run refer to the page's list of tips; others bring title, facts and network themselves.
const told = (item) => (item.tip === undefined ? item : DATA.tips[item.tip]);

function showTip(item, box) {
  const { title, facts, network } = told(item);
  tip.replaceChildren();
  write(tip, "b", title);
  const list = tip.appendChild(document.createElement("dl"));
  for (const [name, value] of facts) {
    write(list, "dt", name);
    write(list, "dd", value);
  }
  for (const line of network) write(tip, "p", line);
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const beside = box.right + 12 + width < innerWidth ? box.right + 12 : box.left - 12 - width;
  const left = Math.max(8, Math.min(beside, innerWidth - width - 8));
  const above = left < box.right && left + width > box.left; // no room beside: above or below
  const roomAbove = box.top - 12 - height > 0;
  const top = above ? (roomAbove ? box.top - 12 - height : box.bottom + 12) : box.top - 20;
  tip.style.transform = `translate(${left}px, ${Math.max(8, Math.min(top, innerHeight - height - 8))}px)`;
}

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
  tableRow(item)?.classList.add("is-active");
}

function tableRow(item) {
  if (item.row === undefined) return undefined;
  return [...document.querySelectorAll("tr[data-member]")].find((row) => row.dataset.member === item.row);
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
  area.svg.addEventListener("blur", hideTip);
  area.svg.addEventListener("keydown", (event) => step(event, area, items));
}

// Left and right go through the items from left to right.
function step(event, area, items) {
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!by || !items.length) return;
  event.preventDefault();
  const order = [...items].sort((a, b) => a.px - b.px || a.py - b.py);
  const at = active?.[0] === area ? order.indexOf(active[1]) : by > 0 ? -1 : order.length;
  activate(area, order[Math.max(0, Math.min(order.length - 1, at + by))]);
}

function focusable(area, node, item) {
  const { title, facts } = told(item);
  const spoken = [title, ...facts.map((fact) => fact.join(" "))].join(", ");
  for (const [name, value] of Object.entries({ tabindex: 0, role: "img", "aria-label": spoken })) {
    node.setAttribute(name, value);
  }
  node.addEventListener("focus", () => activate(area, item));
  node.addEventListener("blur", hideTip);
}
