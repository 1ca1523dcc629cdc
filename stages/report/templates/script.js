"use strict";
(() => {
  const make = (tag, text, kind) => {
    const node = document.createElement(tag);
    if (text !== undefined) node.textContent = text;
    if (kind) node.className = kind;
    return node;
  };

  // The value under the pointer in any chart.
  const tip = make("div", "", "tip");
  tip.hidden = true;
  document.body.append(tip);
  const points = new WeakMap();
  const read = (path) => {
    if (!points.has(path)) {
      const numbers = path.getAttribute("d").match(/-?[\d.]+/g).map(Number);
      points.set(path, numbers);
    }
    return points.get(path);
  };
  for (const svg of document.querySelectorAll("svg.chart")) {
    const [x0, x1, y0, y1] = svg.dataset.range.split(" ").map(Number);
    const box = svg.viewBox.baseVal;
    const left = 62, wide = box.width - 74, top = 10, high = box.height - 50;
    svg.addEventListener("pointermove", (event) => {
      const size = svg.getBoundingClientRect();
      const x = (event.clientX - size.left) * box.width / size.width;
      const lines = [];
      let at = null;
      for (const path of svg.querySelectorAll("path.line")) {
        const xy = read(path);
        let best = -1, gap = 25;
        for (let i = 0; i < xy.length; i += 2) {
          const far = Math.abs(xy[i] - x);
          if (far < gap) { gap = far; best = i; }
        }
        if (best < 0) continue;
        at = at === null ? x0 + (x1 - x0) * (xy[best] - left) / wide : at;
        const y = y1 - (y1 - y0) * (xy[best + 1] - top) / high;
        lines.push(path.dataset.name + ": " + Number(y.toPrecision(4)));
      }
      tip.hidden = lines.length === 0;
      if (tip.hidden) return;
      const head = svg.dataset.x + " " + Math.round(at).toLocaleString("en");
      tip.textContent = [head, ...lines.slice(0, 12)].join("\n");
      tip.style.left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8) + "px";
      tip.style.top = Math.max(8, event.clientY - tip.offsetHeight - 10) + "px";
    });
    svg.addEventListener("pointerleave", () => { tip.hidden = true; });
  }

  // Rows of a table by a word of theirs.
  const filter = document.getElementById("filter");
  if (filter) {
    const said = document.getElementById("filtered");
    filter.closest("p").hidden = false;
    filter.addEventListener("input", () => {
      const word = filter.value.trim().toLowerCase();
      let shown = 0;
      for (const body of document.querySelectorAll("[data-task]")) {
        body.hidden = !body.dataset.task.includes(word);
        shown += body.hidden ? 0 : 1;
      }
      said.textContent = word ? shown + " rows or groups" : "";
    });
  }

  // The samples.
  const home = document.getElementById("browser");
  const data = JSON.parse(document.getElementById("samples-data").textContent);
  if (!home || data.cells.length === 0) return;
  home.hidden = false;
  const percent = new Map([...data.codes].map((code, i) => [code, i]));
  for (const cell of data.cells) cell.scores = cell.scores.map((text) => [...text].map((c) => percent.get(c)));
  const choose = (name, options) => {
    const wrap = make("label", name + " ");
    const list = make("select");
    options.forEach(([value, text]) => {
      const option = make("option", text);
      option.value = value;
      list.append(option);
    });
    wrap.append(list);
    home.append(wrap);
    list.addEventListener("change", show);
    return list;
  };
  const unique = (values) => [...new Set(values)];
  const task = choose("task", unique(data.cells.map((c) => c.task)).map((t) => [t, t]));
  const length = choose("tokens", unique(data.cells.map((c) => c.length)).sort((a, b) => a - b).map((l) => [l, l]));
  const names = data.variants;
  const kinds = [["text", "some, with their text"], ["all", "all"], ["none", "nobody right"]];
  if (data.pair.length === 2) {
    const [a, b] = data.pair;
    kinds.push(["a", names[a] + " right, " + names[b] + " wrong"], ["b", names[b] + " right, " + names[a] + " wrong"]);
  }
  names.forEach((name, i) => kinds.push(["r" + i, name + " right"], ["w" + i, name + " wrong"]));
  const kind = choose("show", kinds);
  const count = make("p", "");
  count.setAttribute("role", "status");
  const out = make("div");
  home.append(count, out);
  const right = (cell, v, i) => cell.scores[v][i] >= 50;
  const fits = (cell, i) => {
    const [a, b] = data.pair, k = kind.value, v = Number(k.slice(1));
    if (k === "all") return true;
    if (k === "text") return cell.texts.some((t) => t.i === i);
    if (k === "none") return names.every((_, n) => !right(cell, n, i));
    if (k === "a") return right(cell, a, i) && !right(cell, b, i);
    if (k === "b") return right(cell, b, i) && !right(cell, a, i);
    return right(cell, v, i) === (k[0] === "r");
  };
  const most = 100;
  function show() {
    out.replaceChildren();
    const cell = data.cells.find((c) => c.task === task.value && c.length === Number(length.value));
    if (!cell) { count.textContent = "This task was not measured at this length."; return; }
    const found = [...Array(cell.n).keys()].filter((i) => fits(cell, i));
    count.textContent = found.length + " of " + cell.n + " samples" + (found.length > most ? ", the first " + most + " of them" : "");
    for (const i of found.slice(0, most)) {
      const id = cell.ids ? cell.ids[i] : cell.task + "-" + cell.length + "-" + String(i).padStart(4, "0");
      const scores = names.map((name, v) => name + " " + cell.scores[v][i]).join(", ");
      const text = cell.texts.find((t) => t.i === i);
      const head = id + ": " + scores;
      if (!text) { out.append(make("p", head, "plain")); continue; }
      const fold = make("details", undefined, "sample");
      fold.append(make("summary", head));
      const facts = ["wanted: " + (text.want || []).join(" | ")];
      if (typeof text.depth === "number") facts.push("depth " + Math.round(100 * text.depth) + " %");
      fold.append(make("p", facts.join("; ")));
      const prompt = make("p", undefined, "prompt");
      for (const [what, piece] of text.parts || []) {
        if (what === 2) prompt.append(make("span", " [… " + piece.toLocaleString("en") + " characters …] ", "gap"));
        else if (what === 1) prompt.append(make("mark", piece));
        else prompt.append(make("span", piece, what === 3 ? "asked" : ""));
      }
      fold.append(prompt);
      const answers = make("ul");
      text.said.forEach((said, v) => {
        const line = make("li", names[v] + " (" + cell.scores[v][i] + "): ");
        line.append(make("code", said));
        answers.append(line);
      });
      fold.append(answers);
      out.append(fold);
    }
  }
  show();
})();
