"use strict";
// A map of cells (dots) and metacells (circles) on a canvas. It knows places, sizes and colours, but not their meaning.
class MetacellMap {
  // cells: {x, y, n, behind}, where behind has further cells, shown in grey, or is null; metacells: {x, y, area}; coordinates run from 0 to 1.
  constructor(canvas, cells, metacells, { onHover, onSelect }) {
    Object.assign(this, { canvas, cells, metacells, onHover, onSelect });
    this.paint = { cells: null, fill: [], pies: null };
    this.selected = -1;
    this.matches = new Set();
    this.showAll();
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    this.listen();
  }

  showAll() {
    this.zoom = 1;
    this.center = [0.5, 0.5];
    this.canvas.style.touchAction = "auto";
    this.draw();
  }

  // Zoom around a place on the screen, by default the selected metacell or the middle of the map.
  zoomBy(factor, at = this.selected < 0 ? this.toScreen(...this.center) : this.place(this.selected)) {
    const before = this.toMap(at);
    this.zoom = Math.min(40, Math.max(1, this.zoom * factor));
    const after = this.toMap(at);
    this.moveTo(this.center[0] + before[0] - after[0], this.center[1] + before[1] - after[1]);
  }

  moveTo(x, y) {
    const inside = (value) => Math.min(1, Math.max(0, value));
    this.center = this.zoom === 1 ? [0.5, 0.5] : [inside(x), inside(y)];
    this.canvas.style.touchAction = this.zoom === 1 ? "auto" : "none"; // without zoom, a finger scrolls the page
    this.draw();
  }

  // Pixels per unit of the map, and conversions between places on the screen and on the map.
  scale() { return Math.max(1, Math.min(this.canvas.clientWidth, this.canvas.clientHeight) - 40) * this.zoom; }
  toScreen(x, y) {
    const s = this.scale();
    return [this.canvas.clientWidth / 2 + (x - this.center[0]) * s, this.canvas.clientHeight / 2 - (y - this.center[1]) * s];
  }
  toMap([px, py]) {
    const s = this.scale();
    return [this.center[0] + (px - this.canvas.clientWidth / 2) / s, this.center[1] - (py - this.canvas.clientHeight / 2) / s];
  }
  place(i) { return this.toScreen(this.metacells.x[i], this.metacells.y[i]); }
  radius(i) { return Math.max(3, Math.sqrt(this.metacells.area[i]) * this.scale() / Math.sqrt(this.zoom)); }

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.drawNow());
  }

  drawNow() {
    const { canvas } = this, ratio = window.devicePixelRatio || 1;
    canvas.width = canvas.clientWidth * ratio;
    canvas.height = canvas.clientHeight * ratio;
    const context = canvas.getContext("2d"), style = getComputedStyle(canvas);
    const color = (name) => style.getPropertyValue(name).trim();
    context.scale(ratio, ratio);
    this.drawCells(context, color("--dot"));
    this.metacells.x.forEach((_, i) => this.drawMetacell(context, i, color("--ground"), color("--ink")));
    if (this.selected >= 0) this.drawMetacell(context, this.selected, color("--ground"), color("--ink"));
  }

  drawCells(context, plain) {
    const { cells } = this.paint, { behind } = this.cells;
    if (behind) this.drawDots(context, behind, 0.25, plain);
    this.drawDots(context, this.cells, cells ? 0.55 : 0.8, plain, cells);
  }

  drawDots(context, { x, y, n }, alpha, plain, colors = null) {
    const side = Math.min(4, Math.max(1.2, 110 / Math.sqrt(n))) * Math.sqrt(this.zoom);
    const s = this.scale(), [left, bottom] = this.toScreen(0, 0);
    context.globalAlpha = alpha;
    context.fillStyle = plain;
    for (let k = 0; k < n; k++) {
      if (colors) context.fillStyle = colors(k) || plain;
      context.fillRect(left + x[k] * s - side / 2, bottom - y[k] * s - side / 2, side, side);
    }
    context.globalAlpha = 1;
  }

  drawMetacell(context, i, ground, ink) {
    const [px, py] = this.place(i), r = this.radius(i), match = this.matches.has(i);
    const circle = (radius, from = 0, to = 1) => {
      context.beginPath();
      if (to - from < 1) context.moveTo(px, py);
      context.arc(px, py, radius, 2 * Math.PI * from, 2 * Math.PI * to);
    };
    const fill = (color) => { context.fillStyle = color || ground; context.fill(); };
    if (i === this.selected) { circle(r + 5); fill(ink); }
    circle(r + 2);
    fill(ground);
    for (const [color, from, to] of this.paint.pies ? this.paint.pies(i) : [[this.paint.fill[i], 0, 1]]) {
      circle(r, from, to);
      fill(color);
    }
    circle(match ? r + 1.5 : r);
    context.lineWidth = match ? 3 : 0.8;
    context.strokeStyle = ink;
    context.stroke();
  }

  // The metacell at a place on the screen; -1 if there is none.
  hit(px, py) {
    let best = -1, nearest = Infinity;
    this.metacells.x.forEach((_, i) => {
      const [x, y] = this.place(i);
      const distance = Math.hypot(x - px, y - py) - this.radius(i);
      if (distance < Math.min(6, nearest)) [best, nearest] = [i, distance];
    });
    return best;
  }

  // The metacell to the left or right of metacell i, or above or below it; i itself if there is none.
  neighbour(i, dx, dy) {
    let best = i, least = Infinity;
    this.metacells.x.forEach((x, j) => {
      const along = (x - this.metacells.x[i]) * dx + (this.metacells.y[j] - this.metacells.y[i]) * dy;
      const aside = Math.abs((x - this.metacells.x[i]) * dy) + Math.abs((this.metacells.y[j] - this.metacells.y[i]) * dx);
      if (along > 1e-6 && along + 2 * aside < least) [best, least] = [j, along + 2 * aside];
    });
    return best;
  }

  select(i) {
    this.selected = i;
    if (i >= 0 && this.zoom > 1) this.center = [this.metacells.x[i], this.metacells.y[i]];
    this.draw();
  }

  listen() {
    const { canvas } = this;
    let start = null, moved = false;
    canvas.addEventListener("pointerdown", (event) => { [start, moved] = [[event.offsetX, event.offsetY], false]; });
    canvas.addEventListener("pointermove", (event) => {
      const at = [event.offsetX, event.offsetY];
      if (start && event.buttons && this.zoom > 1) {
        const [dx, dy] = [at[0] - start[0], at[1] - start[1]];
        moved ||= Math.hypot(dx, dy) > 4;
        if (moved) [start] = [at, this.moveTo(this.center[0] - dx / this.scale(), this.center[1] + dy / this.scale())];
      }
      this.onHover(this.hit(...at), ...at);
    });
    canvas.addEventListener("pointerleave", () => { start = null; this.onHover(-1); });
    canvas.addEventListener("click", (event) => { if (!moved) this.onSelect(this.hit(event.offsetX, event.offsetY)); });
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return; // the plain wheel scrolls the page
      event.preventDefault();
      this.zoomBy(event.deltaY < 0 ? 1.2 : 1 / 1.2, [event.offsetX, event.offsetY]);
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => this.press(event));
  }

  press(event) {
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (arrow) this.onSelect(this.selected < 0 ? 0 : this.neighbour(this.selected, ...arrow));
    else if (event.key === "+" || event.key === "=") this.zoomBy(1.5);
    else if (event.key === "-") this.zoomBy(1 / 1.5);
    else if (event.key === "0") this.showAll();
    else if (event.key === "Escape") this.onSelect(-1);
    else return;
    event.preventDefault();
  }
}
