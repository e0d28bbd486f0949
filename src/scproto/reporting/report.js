"use strict";
const VIRIDIS = ["#440154", "#3b528b", "#21918c", "#5ec962", "#fde725"];
const NO_CODE = 255, MOST_SHARES = 8, MOST_SUGGESTED = 40;
const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const column = (key) => data.table.values[data.table.keys.indexOf(key)];
const metacellNames = column("metacell");
const sizes = column("n_cells");
const state = { color: "", gene: -1, lastGene: -1, selected: -1, sort: { key: "n_cells", down: true } };

function bytes(text, Type) {
  return new Type(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
}

// Create an element with properties and children; text is never read as HTML.
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

const percent = (share) => (share === null ? "" : `${Math.round(100 * share)} %`);
const short = (value) => Number(value.toPrecision(3)).toLocaleString("en");
const places = (text) => Float32Array.from(bytes(text, Uint16Array), (code) => code / 65535);

// Genes

const geneCodes = bytes(data.genes.codes, Uint8Array);

// log1p CP10k as a share of the gene's maximum, from 0 to 1.
const level = (gene, i) => geneCodes[gene * metacellNames.length + i] / 255;
const cp10k = (gene, i) => Math.expm1(level(gene, i) * data.genes.high[gene]);

function viridis(share) {
  const place = Math.min(1, Math.max(0, share)) * (VIRIDIS.length - 1), k = Math.min(VIRIDIS.length - 2, Math.floor(place));
  const channel = (hex, n) => parseInt(hex.slice(1 + 2 * n, 3 + 2 * n), 16);
  const mixed = [0, 1, 2].map((n) => Math.round(channel(VIRIDIS[k], n) * (k + 1 - place) + channel(VIRIDIS[k + 1], n) * (place - k)));
  return `rgb(${mixed.join(",")})`;
}

// Colours

// Colour schemes: each sets the colours of cells and metacells, and the legend.
function schemes() {
  const found = {};
  if (data.labels) found.label = { name: data.labels.key, set: colorByLabel };
  found.batch = { name: "batch", set: colorByBatch };
  for (const [key, name] of [["batch_entropy", "batch entropy"], ["confidence", "confidence"]]) {
    if (column(key)) found[key] = { name, set: () => colorByNumber(name, column(key)) };
  }
  return found;
}

function paintCells(codes, colors) {
  const read = bytes(codes, Uint8Array);
  return (k) => (read[k] === NO_CODE ? null : colors[read[k]]);
}

function colorByLabel() {
  const { names, colors } = data.labels;
  map.paint = { cells: paintCells(data.cells.label, colors), fill: (data.metacells.label || []).map((code) => colors[code]), pies: null };
  swatches(names, colors);
}

function colorByBatch() {
  const { shown, colors } = data.batches;
  map.paint = { cells: paintCells(data.cells.batch, colors), fill: metacellNames.map((_, i) => colors[largestBatch(i)]), pies };
  swatches(shown, colors);
}

// Share of each colour in a metacell.
function sharesByColor(i) {
  const shares = new Array(data.batches.colors.length).fill(0);
  data.batches.place.forEach((place, b) => { shares[place] += data.batches.shares[b][i]; });
  return shares;
}

function largestBatch(i) {
  const shares = sharesByColor(i);
  return shares.indexOf(Math.max(...shares));
}

function pies(i) {
  let end = 0;
  return sharesByColor(i).map((share, b) => [data.batches.colors[b], end, (end += share)]).filter(([, from, to]) => to > from);
}

function colorByNumber(name, values) {
  map.paint = { cells: null, fill: values.map((value) => (value === null ? null : viridis(value))), pies: null };
  scale(name, "0", "1");
}

function colorByGene(gene) {
  map.paint = { cells: null, fill: metacellNames.map((_, i) => viridis(level(gene, i))), pies: null };
  const kind = gene < data.genes.decoded ? "decoded" : "mean over the cells; the decoder does not know the gene";
  scale(`${data.genes.names[gene]} (CP10k, ${kind})`, "0", short(Math.expm1(data.genes.high[gene])));
}

function swatches(names, colors) {
  $("legend").replaceChildren(...names.map((name, i) => {
    const dot = make("i", { className: "swatch" });
    dot.style.background = colors[i];
    return make("span", {}, dot, name);
  }));
}

function scale(name, low, high) {
  const bar = make("i", { className: "scale" });
  bar.style.background = `linear-gradient(90deg, ${VIRIDIS.join(", ")})`;
  $("legend").replaceChildren(make("span", {}, name), make("span", {}, low, bar, high));
}

function recolor() {
  state.gene >= 0 ? colorByGene(state.gene) : all[state.color].set();
  map.draw();
  const leaves = $("leaves").children;
  data.tree.order.forEach((i, place) => { leaves[place].style.fill = map.paint.fill[i] || ""; });
}

function chooseGene(gene) {
  state.gene = state.lastGene = gene;
  $("color").querySelector("[value=gene]")?.remove();
  $("color").append(make("option", { value: "gene", textContent: data.genes.names[gene] }));
  $("color").value = "gene";
  $("gene-query").value = data.genes.names[gene];
  recolor();
  const best = metacellNames.map((_, i) => i).sort((a, b) => level(gene, b) - level(gene, a))[0];
  say(`Coloured by ${data.genes.names[gene]}; highest in ${metacellNames[best]}.`);
  details(state.selected);
}

// Details of one metacell

function describe(i) {
  const label = data.metacells.majority?.[i];
  return (label ?? null) !== null ? `${label} (${percent(data.metacells.labelShare[i])})` : "";
}

function details(i) {
  const panel = $("details");
  if (i < 0) {
    panel.replaceChildren(make("p", { className: "quiet" }, "Point at a metacell, or search for one, to see its genes, its label and its batches."));
    return;
  }
  const doubts = data.doubts[metacellNames[i]];
  panel.replaceChildren(
    make("h3", {}, metacellNames[i]),
    ...(describe(i) ? [make("p", {}, describe(i))] : []),
    make("p", {}, `${sizes[i].toLocaleString("en")} cells`),
    ...(doubts ? [make("p", {}, `Doubtful: ${doubts.join(", ")}`)] : []),
    ...(state.gene >= 0 ? [make("p", {}, `${data.genes.names[state.gene]}: ${short(cp10k(state.gene, i))} CP10k`)] : []),
    ...genePart("Genes higher than in the rest", data.genes.rest[i]),
    ...genePart("Genes higher than in the nearest metacells", data.genes.siblings[i]),
    make("h3", {}, "Batches"),
    shareList(i),
  );
}

function genePart(title, top) {
  if (!top.length) return [];
  const items = top.map(([gene, fold]) => {
    const button = make("button", { type: "button", className: "link", title: "Colour the map by this gene" }, data.genes.names[gene]);
    button.addEventListener("click", () => chooseGene(gene));
    return make("li", {}, button, make("b", { title: "log2 fold change" }, `+${fold.toFixed(1)}`));
  });
  return [make("h3", {}, title), make("ul", { className: "genes" }, ...items)];
}

function shareList(i) {
  const { names, place, shares, colors } = data.batches;
  const order = names.map((_, b) => b).filter((b) => shares[b][i] > 0).sort((a, b) => shares[b][i] - shares[a][i]);
  const items = order.slice(0, MOST_SHARES).map((b) => {
    const bar = make("i");
    bar.style.cssText = `width:${100 * shares[b][i]}%;background:${colors[place[b]]}`;
    return make("li", {}, make("span", {}, names[b]), bar, make("b", {}, percent(shares[b][i])));
  });
  const rest = order.length - items.length;
  return make("ul", { className: "shares" }, ...items, ...(rest > 0 ? [make("li", {}, `and ${rest} more`)] : []));
}

// Choosing and finding

const say = (text) => { $("status").textContent = text; };

function hover(i, x, y) {
  const tip = $("tip");
  tip.hidden = i < 0;
  details(i < 0 ? state.selected : i);
  if (i < 0) return;
  tip.textContent = `${metacellNames[i]} ${describe(i)}`;
  const right = x > map.canvas.clientWidth / 2;
  tip.style.cssText = `${right ? "right" : "left"}:${(right ? map.canvas.clientWidth - x : x) + 12}px;top:${Math.max(0, y - 12)}px`;
}

// Scroll a box, but not the page, until a place in the box is visible.
function reveal(box, x, y) {
  if (x < box.scrollLeft || x > box.scrollLeft + box.clientWidth) box.scrollLeft = x - box.clientWidth / 2;
  if (y < box.scrollTop || y > box.scrollTop + box.clientHeight - 40) box.scrollTop = y - box.clientHeight / 2;
}

function select(i) {
  state.selected = i;
  map.select(i);
  details(i);
  for (const row of document.querySelectorAll("#metacells tbody tr")) row.classList.toggle("selected", Number(row.dataset.i) === i);
  const mark = $("leaf-mark");
  mark.setAttribute("visibility", i < 0 ? "hidden" : "visible");
  if (i < 0) return say("");
  const x = data.tree.order.indexOf(i) * data.tree.step, row = document.querySelector("#metacells tr.selected");
  mark.setAttribute("x", x);
  reveal($("tree").parentElement, x, 0);
  reveal(row.closest(".scroll"), 0, row.offsetTop);
  const genes = data.genes.rest[i].slice(0, 3).map(([gene]) => data.genes.names[gene]);
  say([`${metacellNames[i]}`, describe(i), `${sizes[i]} cells`, genes.length ? `top genes ${genes.join(", ")}` : ""].filter(Boolean).join("; ") + ".");
}

// Metacells that match a text: by name, by the number in the name, or by a part of the name or the label.
function matching(text) {
  const query = text.trim().toLowerCase();
  const all = metacellNames.map((name, i) => [name.toLowerCase(), (data.metacells.majority?.[i] || "").toLowerCase(), i]);
  const tests = [([name]) => name === query, ([name]) => name.split("_")[1] === query, ([name, label]) => name.includes(query) || label.includes(query)];
  for (const test of tests) {
    const found = all.filter(test).map(([, , i]) => i);
    if (query && found.length) return found.sort((a, b) => sizes[b] - sizes[a]);
  }
  return [];
}

function findMetacell(event) {
  event.preventDefault();
  const text = $("metacell-query").value, found = matching(text);
  map.matches = new Set(found.length > 1 ? found : []);
  if (!found.length) {
    select(-1);
    if (text.trim()) say(`No metacell or label has “${text.trim()}” in its name.`);
    return;
  }
  const place = (found.indexOf(state.selected) + 1) % found.length;
  select(found[place]);
  if (found.length > 1) say(`Match ${place + 1} of ${found.length}. ${$("status").textContent} Press Enter for the next one.`);
}

// Genes that match a text: first the whole name, then names that start with the text, then names that contain it.
function suggest(text) {
  const query = text.trim().toLowerCase(), rank = (name) => (name === query ? 0 : name.startsWith(query) ? 1 : 2);
  const found = data.genes.names.map((name, gene) => [name.toLowerCase(), gene]).filter(([name]) => query && name.includes(query));
  return found.sort((a, b) => rank(a[0]) - rank(b[0]) || a[1] - b[1]).map(([, gene]) => gene);
}

function findGene(event) {
  event.preventDefault();
  const text = $("gene-query").value, [gene] = suggest(text);
  if (gene === undefined) {
    if (text.trim()) say(`No gene on this page has “${text.trim()}” in its name.`);
    return;
  }
  chooseGene(gene);
}

const options = (names) => [...names].map((value) => make("option", { value }));

// Table

function sorted(key, down) {
  const values = column(key), numeric = data.table.numeric[data.table.keys.indexOf(key)];
  const empty = (value) => value === null || value === "";
  const compare = (a, b) => (numeric ? a - b : a.localeCompare(b, "en", { numeric: true }));
  return metacellNames.map((_, i) => i).sort((a, b) =>
    empty(values[a]) - empty(values[b]) || (down ? compare(values[b], values[a]) : compare(values[a], values[b])) || a - b);
}

function sortBy(key) {
  const numeric = data.table.numeric[data.table.keys.indexOf(key)];
  state.sort = { key, down: state.sort.key === key ? !state.sort.down : numeric };
  const body = document.querySelector("#metacells tbody");
  const rows = new Map([...body.rows].map((row) => [Number(row.dataset.i), row]));
  body.append(...sorted(key, state.sort.down).map((i) => rows.get(i)));
  document.querySelectorAll("#metacells thead th").forEach((head, k) => {
    if (data.table.keys[k] === key) head.setAttribute("aria-sort", state.sort.down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  });
}

function toCsv() {
  const quote = (value) => (/[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  const { names, shares } = data.batches;
  const head = [...data.table.keys, ...names.map((name) => `share_${name}`)];
  const columns = [...data.table.values, ...shares];
  const lines = sorted(state.sort.key, state.sort.down).map((i) => columns.map((values) => values[i] ?? ""));
  return [head, ...lines].map((line) => line.map((value) => quote(String(value))).join(",")).join("\r\n") + "\r\n";
}

function exportCsv() {
  const address = URL.createObjectURL(new Blob([toCsv()], { type: "text/csv" }));
  make("a", { href: address, download: "metacells.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

// Let the arrow keys select one metacell after another while the box has the focus.
function walk(box, back, forth, listed) {
  box.addEventListener("keydown", (event) => {
    if (event.target !== box || event.ctrlKey || event.metaKey || event.altKey) return;
    const order = listed(), at = order.indexOf(state.selected), last = order.length - 1;
    const to = { [back]: at < 0 ? last : Math.max(0, at - 1), [forth]: Math.min(last, at + 1), Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    select(order[to]);
  });
}

// Start

const spread = sizes.reduce((sum, size) => sum + size, 0), most = Math.max(...sizes);
const dots = (at) => ({ x: places(at.x), y: places(at.y), n: places(at.x).length });
const map = new MetacellMap(
  $("map"),
  { ...dots(data.cells), behind: data.background && dots(data.background) },
  // All circles together take at most 6 % of the map, and each circle at most 0.15 %.
  { x: places(data.metacells.x), y: places(data.metacells.y), area: sizes.map((n) => n * Math.min(0.06 / spread, 0.0015 / most) / Math.PI) },
  { onHover: hover, onSelect: select },
);
const all = schemes();
state.color = Object.keys(all)[0];
$("color").append(...Object.entries(all).map(([value, { name }]) => make("option", { value, textContent: name })));
$("color").addEventListener("change", () => {
  if ($("color").value === "gene") return chooseGene(state.lastGene);
  [state.color, state.gene] = [$("color").value, -1];
  recolor();
  say("");
  details(state.selected);
});
$("metacell-list").append(...options(new Set([...(data.metacells.majority || []).filter(Boolean), ...metacellNames])));
$("gene-query").addEventListener("input", () => $("gene-list").replaceChildren(...options(suggest($("gene-query").value).slice(0, MOST_SUGGESTED).map((gene) => data.genes.names[gene]))));
$("find-metacell").addEventListener("submit", findMetacell);
$("find-gene").addEventListener("submit", findGene);
document.querySelectorAll("[data-zoom]").forEach((button) => button.addEventListener("click", () => (Number(button.dataset.zoom) ? map.zoomBy(Number(button.dataset.zoom)) : map.showAll())));
document.querySelectorAll("[data-metacell]").forEach((button) => button.addEventListener("click", () => {
  select(metacellNames.indexOf(button.dataset.metacell));
  $("map-title").scrollIntoView();
}));
document.querySelectorAll("#metacells thead button").forEach((button, k) => button.addEventListener("click", () => sortBy(data.table.keys[k])));
document.querySelector("#metacells tbody").addEventListener("click", (event) => select(Number(event.target.closest("tr").dataset.i)));
$("tree").addEventListener("click", (event) => {
  const place = Math.floor(event.offsetX / data.tree.step);
  if (place >= 0 && place < data.tree.order.length) select(data.tree.order[place]);
});
walk($("tree").parentElement, "ArrowLeft", "ArrowRight", () => data.tree.order);
walk($("metacells").parentElement, "ArrowUp", "ArrowDown", () => [...document.querySelectorAll("#metacells tbody tr")].map((row) => Number(row.dataset.i)));
$("export").addEventListener("click", exportCsv);
recolor();
details(-1);
