
"use strict";
(() => {
  const ROW = 26, THIN = 5, READABLE = 72, FIRST = 80, STEP = 200;
  const { layers, images } = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const root = document.documentElement, grid = byId("grid"), panel = byId("panel");
  root.classList.remove("static");

  // Elements, always by their text: nothing from the data is ever read as HTML.
  const make = (name, text, attributes = {}) => {
    const made = document.createElement(name);
    if (text) made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };

  const human = (size) => {
    const units = ["B", "kB", "MB", "GB", "TB", "PB"];
    let unit = 0;
    while (size >= 1000 && unit < units.length - 1) { size /= 1000; unit += 1; }
    return Number(size.toPrecision(3)) + units[unit];
  };
  const count = (number, what) => `${number.toLocaleString("en")} ${what}${number === 1 ? "" : "s"}`;
  const sharing = (layer) => (layer.users > 1 ? `shared by ${layer.users} images` : "in one image only");
  const told = (layer) => layer.by || "(no instruction is recorded)";

  // --- where blocks are: neighbours that begin with the same layers have them in common

  const blocksOf = (shown) => {
    const rows = [];
    shown.forEach((image, row) => {
      const before = rows[row - 1] || [];
      const own = [];
      let isCommon = true;
      image.layers.forEach((layer, depth) => {
        const above = before[depth];
        isCommon = isCommon && above !== undefined && above.layer === layer;
        if (isCommon) { above.rows += 1; own.push(above); } else own.push({ layer, depth, row, rows: 1 });
      });
      rows.push(own);
    });
    return rows;
  };

  // Widths to scale, but none thinner than can be hit; the widest image takes all the room.
  const widthOf = (rows, room, isEven) => {
    const deepest = Math.max(1, ...rows.map((row) => row.length));
    if (isEven) return () => room / deepest;
    const least = Math.min(THIN, room / deepest);
    const widest = (scale) =>
      Math.max(...rows.map((row) => row.reduce((sum, { layer }) => sum + Math.max(least, layers[layer].size * scale), 0)));
    let low = 0, high = room / Math.max(1, ...images.map((image) => image.size));
    while (widest(high) < room && high < room) high *= 2;
    for (let turn = 0; turn < 40; turn += 1) {
      const middle = (low + high) / 2;
      if (widest(middle) > room) high = middle; else low = middle;
    }
    return (layer) => Math.max(least, layers[layer].size * low);
  };

  // --- drawing

  let shown = images, limit = FIRST, rows = [], at = null, row = 0, chosen = null;

  const inMap = (fraction) => `calc(var(--label) + (100% - var(--label)) * ${fraction.toFixed(5)})`;
  const ofMap = (fraction) => `calc((100% - var(--label)) * ${fraction.toFixed(5)})`;

  const drawBlock = (block, room) => {
    const layer = layers[block.layer];
    const cell = make("div", "", {
      role: "gridcell", tabindex: "-1", "aria-colindex": block.depth + 2, "aria-selected": "false",
      "aria-label": `${told(layer)}, ${human(layer.size)}, ${sharing(layer)}`,
    });
    if (block.rows > 1) cell.setAttribute("aria-rowspan", block.rows);
    cell.className = layer.users > 1 ? "shared" : "own";
    cell.style.top = `${block.row * ROW}px`;
    cell.style.height = `${block.rows * ROW}px`;
    cell.style.left = inMap(block.x / room);
    cell.style.width = ofMap(block.width / room);
    const inner = make("div");
    if (block.width < 12) cell.classList.add("thin");
    if (block.rows > 1) cell.classList.add("tall");
    if (block.width >= READABLE) {
      const label = make("p");
      const text = make("span", told(layer).slice(0, 160));
      text.style.setProperty("--lines", Math.max(1, Math.min(6, Math.floor((block.rows * ROW - 10) / 18) - 1)));
      const users = block.width > 150 ? ` · shared by ${layer.users}` : ` ×${layer.users}`;
      const size = human(layer.size) + (layer.users > 1 && block.rows > 1 ? users : "");
      label.append(text, " ", make("small", size));
      inner.append(label);
    }
    cell.append(inner);
    cell.block = block;
    block.cell = cell;
    return cell;
  };

  const drawHead = (image, number) => {
    const head = make("div", "", { role: "rowheader", "aria-colindex": "1" });
    const name = image.told
      ? make("a", image.label, { href: `#image-${image.id.slice(0, 12)}` })
      : make("span", image.label);
    name.tabIndex = -1;
    name.title = [...image.names, image.id.slice(0, 12)].join("\n");
    head.append(name, make("span", human(image.size), { class: "n soft" }));
    head.style.top = `${number * ROW}px`;
    head.image = image;
    return head;
  };

  const draw = () => {
    const drawn = shown.slice(0, limit);
    rows = blocksOf(drawn);
    const even = document.querySelector('input[name="width"]:checked').value === "even";
    const label = parseFloat(getComputedStyle(root).fontSize) * (innerWidth <= 672 ? 8.5 : 15);
    const room = Math.max(grid.clientWidth - label, 60);
    const width = widthOf(rows, room, even);
    grid.replaceChildren();
    grid.setAttribute("aria-rowcount", shown.length);
    grid.setAttribute("aria-colcount", Math.max(0, ...rows.map((blocks) => blocks.length)) + 1);
    grid.style.height = `${drawn.length * ROW}px`;
    rows.forEach((blocks, number) => {
      const line = make("div", "", { role: "row", "aria-rowindex": number + 1 });
      line.append(drawHead(drawn[number], number));
      let x = 0;
      for (const block of blocks) {
        if (block.row === number) {
          block.x = x;
          block.width = width(block.layer);
          line.append(drawBlock(block, room));
        }
        x = block.x + block.width;
      }
      grid.append(line);
    });
    byId("count").textContent = shown.length === images.length
      ? count(images.length, "image") : `${shown.length.toLocaleString("en")} of ${count(images.length, "image")}`;
    const rest = shown.length - drawn.length;
    byId("more").hidden = rest <= 0;
    byId("more").textContent = `${Math.min(rest, STEP).toLocaleString("en")} more of ${rest.toLocaleString("en")} images`;
    row = 0;
    at = rows.flat().find((block) => block.layer === chosen) || rows.flat()[0] || null;
    if (at) { at.cell.tabIndex = 0; row = at.row; }
    mark(chosen);
  };

  const mark = (layer) => {
    for (const cell of grid.querySelectorAll('[role="gridcell"]')) {
      cell.classList.toggle("same", cell.block.layer === layer);
      cell.setAttribute("aria-selected", String(cell.block.layer === chosen));
    }
    for (const head of grid.querySelectorAll('[role="rowheader"]'))
      head.classList.toggle("has", layer !== null && head.image.layers.includes(layer));
  };

  // --- the panel

  const hint = byId("keys");
  const show = (number) => {
    chosen = number;
    mark(number);
    if (number === null) { panel.replaceChildren(hint); return; }
    const layer = layers[number];
    const owners = images.filter((image) => image.layers.includes(number));
    const facts = make("dl");
    const fact = (name, value) => facts.append(make("dt", name), make("dd", value));
    fact("Size", `${human(layer.size)} (${layer.size.toLocaleString("en")} bytes)`);
    if (layer.stored) fact("Stored as", `${human(layer.stored)}, once`);
    fact("Images", layer.users > 1 ? `${layer.users}: sharing saves ${human(layer.size * (layer.users - 1))}` : "1");
    fact("Layer", layer.id);
    const parts = [make("h3", told(layer)), facts, make("h4", "Who has it")];
    const list = make("ul");
    for (const image of owners.slice(0, 12)) {
      const item = make("li");
      item.append(image.told ? make("a", image.label, { href: `#image-${image.id.slice(0, 12)}` }) : make("span", image.label));
      list.append(item);
    }
    if (layer.users > 12) list.append(make("li", `and ${(layer.users - 12).toLocaleString("en")} more`));
    parts.push(list);
    if (layer.files.length) {
      const files = make("ul");
      for (const [path, size] of layer.files) {
        const item = make("li");
        item.append(make("code", `/${path}`), make("span", human(size), { class: "n" }));
        files.append(item);
      }
      parts.push(make("h4", "Its largest files"), files);
    }
    panel.replaceChildren(...parts, hint);
  };

  // --- the keyboard: one stop for Tab, arrows inside

  const go = (block) => {
    if (!block) return;
    if (at) at.cell.tabIndex = -1;
    at = block;
    at.cell.tabIndex = 0;
    at.cell.focus({ preventScroll: true });
    const { top, bottom } = at.cell.getBoundingClientRect();
    if (top < 0 || bottom > innerHeight) {
      scrollBy({ top: row * ROW + grid.getBoundingClientRect().top - innerHeight / 2, behavior: "instant" });
    }
  };
  const across = (to) => {
    const blocks = rows[to];
    if (!blocks || !blocks.length) return null;
    const middle = at.x + at.width / 2;
    row = to;
    return blocks.find((block) => block.x + block.width > middle) || blocks[blocks.length - 1];
  };
  // A base image's own row ends with it: then what goes on is in the first row below that does.
  const onward = () => {
    if (!rows[row][at.depth + 1]) {
      for (let next = at.row; next < at.row + at.rows; next += 1) if (rows[next][at.depth + 1]) { row = next; break; }
    }
    return rows[row];
  };
  const keys = {
    ArrowRight: () => go(onward()[at.depth + 1]),
    ArrowLeft: () => (at.depth ? go(rows[row][at.depth - 1]) : grid.querySelectorAll('[role="rowheader"]')[row].firstChild.focus()),
    ArrowDown: () => go(across(at.row + at.rows)),
    ArrowUp: () => go(across(at.row - 1)),
    Home: () => go(rows[row][0]),
    End: () => go(onward().at(-1)),
    Enter: () => show(at.layer),
    " ": () => show(at.layer),
    Escape: () => show(null),
  };
  grid.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || !at) return;
    const head = event.target.closest('[role="rowheader"]');
    if (head) {
      if (event.key === "ArrowRight") { event.preventDefault(); go(rows[row][0]); }
      return; // Enter follows the link
    }
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
  });
  grid.addEventListener("focusin", (event) => { if (event.target.block) mark(event.target.block.layer); });
  grid.addEventListener("focusout", () => mark(chosen));
  grid.addEventListener("pointerover", (event) => {
    const cell = event.target.closest('[role="gridcell"]');
    mark(cell ? cell.block.layer : chosen);
  });
  grid.addEventListener("pointerleave", () => mark(chosen));
  grid.addEventListener("click", (event) => {
    const cell = event.target.closest('[role="gridcell"]');
    if (!cell || !getSelection().isCollapsed) return; // text was selected
    row = cell.block.row;
    go(cell.block);
    show(cell.block.layer);
    panel.scrollIntoView({ block: "nearest" }); // in a narrow window it stands below
  });

  // --- what is chosen on the page

  byId("filter").addEventListener("input", (event) => {
    const wanted = event.target.value.trim().toLowerCase();
    const fits = (image) => [...image.names, image.id].some((name) => name.toLowerCase().includes(wanted));
    shown = images.filter(fits);
    limit = FIRST;
    const ids = new Set(shown.map((image) => image.id));
    for (const part of document.querySelectorAll("details.image")) part.hidden = !ids.has(part.dataset.image);
    draw();
  });
  for (const input of document.querySelectorAll('input[name="width"]')) input.addEventListener("change", draw);
  byId("more").addEventListener("click", () => { limit += STEP; draw(); });
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; draw(); } });

  const reveal = (hash) => {
    const target = hash.length > 1 && byId(hash.slice(1));
    if (target && target.tagName === "DETAILS") { target.hidden = false; target.open = true; target.scrollIntoView(); }
  };
  addEventListener("hashchange", () => reveal(location.hash));
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#image-"]');
    if (link) reveal(link.hash);
  });

  const themes = ["auto", "dark", "light"];
  const words = { auto: "as the system has them", dark: "dark", light: "light" };
  const button = byId("theme");
  const paint = (theme) => {
    if (theme === "auto") delete root.dataset.theme; else root.dataset.theme = theme;
    button.textContent = theme[0].toUpperCase() + theme.slice(1);
    button.setAttribute("aria-label", `Colours: ${words[theme]}`);
    button.value = theme;
  };
  let kept = null;
  try { kept = localStorage.getItem("minidock-theme"); } catch { /* some browsers keep nothing for files */ }
  paint(themes.includes(kept) ? kept : "auto");
  button.addEventListener("click", () => {
    const next = themes[(themes.indexOf(button.value) + 1) % themes.length];
    paint(next);
    try { localStorage.setItem("minidock-theme", next); } catch { /* likewise */ }
  });

  byId("tables").open = false;
  const newest = [...document.querySelectorAll("details.image")].sort((a, b) => (b.dataset.built > a.dataset.built ? 1 : -1))[0];
  if (newest) newest.open = true;
  draw();
  reveal(location.hash);
})();
