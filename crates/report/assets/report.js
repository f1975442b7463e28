"use strict";
(function () {
  // Filters: `#method=lora&status=done&search=cat&metric=distance&axis=log&layer=…&quantity=…&section=table1-mini`.
  const CHART = { width: 1000, height: 420, left: 74, right: 16, top: 12, bottom: 48 };
  const DASHES = ["", "9 4", "2 3", "12 4 2 4", "5 5", "14 3", "2 6", "9 3 2 3 2 3"];
  const MANY = 60;
  const FORMAT = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });

  function element(name, attributes, text) {
    const svg = ["svg", "polyline", "line", "text", "g", "path"].includes(name);
    const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
    for (const key in attributes) made.setAttribute(key, attributes[key]);
    if (text !== undefined) made.textContent = text;
    return made;
  }

  // ---- charts ----

  function linearTicks(low, high, wanted) {
    const rough = (high - low) / wanted;
    const power = Math.pow(10, Math.floor(Math.log10(rough)));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough);
    const ticks = [];
    for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step) ticks.push(Math.abs(at) < step * 1e-9 ? 0 : at);
    return ticks;
  }

  function logTicks(low, high) {
    const ticks = [];
    const narrow = Math.log10(high / low) < 2;
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
      for (const factor of narrow ? [1, 2, 5] : [1]) {
        const at = factor * Math.pow(10, power);
        if (at >= low * 0.999 && at <= high * 1.001) ticks.push(at);
      }
    }
    return ticks;
  }

  function range(values) {
    let low = Infinity, high = -Infinity;
    for (const value of values) { low = Math.min(low, value); high = Math.max(high, value); }
    return [low, high];
  }

  // Each line: {points: [[x, y], …], colour, dash, title, detail}.
  function draw(host, lines, yTitle, log) {
    host.replaceChildren();
    const kept = lines
      .map((line) => ({ ...line, points: line.points.filter((point) => point[1] !== null && (!log || point[1] > 0)) }))
      .filter((line) => line.points.length > 0);
    host.setAttribute("data-lines", kept.length);
    if (kept.length === 0) {
      host.append(element("p", { class: "note" }, "Nothing to draw with this choice."));
      return;
    }
    let [x0, x1] = range(kept.flatMap((line) => line.points.map((point) => point[0])));
    let [y0, y1] = range(kept.flatMap((line) => line.points.map((point) => point[1])));
    if (x0 > 0 && x0 < x1 / 10) x0 = 0;
    if (x0 === x1) { x0 -= 1; x1 += 1; }
    if (log) { if (y0 === y1) { y0 /= 2; y1 *= 2; } } else {
      if (y0 > 0 && y0 < y1 / 2) y0 = 0;
      const pad = (y1 - y0) * 0.04 || Math.abs(y1) * 0.1 || 1;
      y1 += pad;
      if (y0 !== 0) y0 -= pad;
    }
    const scale = log ? Math.log10 : (value) => value;
    const x = (value) => CHART.left + (value - x0) / (x1 - x0) * (CHART.width - CHART.left - CHART.right);
    const y = (value) => CHART.height - CHART.bottom -
      (scale(value) - scale(y0)) / (scale(y1) - scale(y0)) * (CHART.height - CHART.top - CHART.bottom);
    const svg = element("svg", { viewBox: "0 0 " + CHART.width + " " + CHART.height, role: "img", "aria-label": yTitle + " over steps, " + kept.length + " lines" });
    const text = { "font-size": 14, fill: "#333", "font-family": "inherit" };
    for (const tick of log ? logTicks(y0, y1) : linearTicks(y0, y1, 6)) {
      svg.append(element("line", { x1: CHART.left, x2: CHART.width - CHART.right, y1: y(tick), y2: y(tick), stroke: "#e4e4e4" }));
      svg.append(element("text", { ...text, x: CHART.left - 8, y: y(tick) + 5, "text-anchor": "end" }, FORMAT.format(tick)));
    }
    for (const tick of linearTicks(x0, x1, 8)) {
      svg.append(element("line", { x1: x(tick), x2: x(tick), y1: CHART.height - CHART.bottom, y2: CHART.height - CHART.bottom + 5, stroke: "#666" }));
      svg.append(element("text", { ...text, x: x(tick), y: CHART.height - CHART.bottom + 21, "text-anchor": "middle" }, FORMAT.format(tick)));
    }
    svg.append(element("line", { x1: CHART.left, x2: CHART.width - CHART.right, y1: CHART.height - CHART.bottom, y2: CHART.height - CHART.bottom, stroke: "#666" }));
    svg.append(element("text", { ...text, x: (CHART.left + CHART.width) / 2, y: CHART.height - 6, "text-anchor": "middle" }, "step"));
    svg.append(element("text", { ...text, transform: "translate(15 " + (CHART.height - CHART.bottom) / 2 + ") rotate(-90)", "text-anchor": "middle" }, yTitle));
    for (const line of kept) {
      line.places = line.points.map((point) => [x(point[0]), y(point[1])]);
      const places = line.places.length > 1 ? line.places : [line.places[0], [line.places[0][0] + 3, line.places[0][1]]];
      line.drawn = element("polyline", {
        points: places.map((place) => place[0].toFixed(1) + "," + place[1].toFixed(1)).join(" "),
        stroke: line.colour, "stroke-dasharray": line.dash, class: kept.length > MANY ? "many" : "",
      });
      svg.append(line.drawn);
    }
    host.append(svg, legend(kept));
    pointAt(host, svg, kept);
  }

  function legend(lines) {
    const list = element("ul", { class: "legend" });
    for (const title of [...new Set(lines.map((line) => line.title))]) {
      const line = lines.find((candidate) => candidate.title === title);
      const entry = element("li", {});
      const sample = element("svg", { viewBox: "0 0 46 10", "aria-hidden": "true" });
      sample.append(element("line", { x1: 0, x2: 46, y1: 5, y2: 5, stroke: line.colour, "stroke-width": 2.5, "stroke-dasharray": line.dash }));
      entry.append(sample, title + " (" + lines.filter((candidate) => candidate.title === title).length + ")");
      list.append(entry);
    }
    return list;
  }

  function pointAt(host, svg, lines) {
    const tip = element("div", { class: "tip", hidden: "" });
    host.append(tip);
    const clear = () => {
      tip.hidden = true;
      for (const line of lines) line.drawn.classList.remove("faded", "picked");
    };
    svg.addEventListener("pointerleave", clear);
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const at = [(event.clientX - box.left) * CHART.width / box.width, (event.clientY - box.top) * CHART.height / box.height];
      let best = null, least = 900;
      for (const line of lines) {
        line.places.forEach((place, index) => {
          const distance = (place[0] - at[0]) ** 2 + (place[1] - at[1]) ** 2;
          if (distance < least) { least = distance; best = [line, index]; }
        });
      }
      clear();
      if (best === null) return;
      const [line, index] = best;
      for (const other of lines) other.drawn.classList.toggle("faded", other !== line);
      line.drawn.classList.add("picked");
      const [step, value] = line.points[index];
      tip.replaceChildren(element("b", {}, line.title), element("div", {}, line.detail), element("div", {}, "step " + FORMAT.format(step) + ": " + FORMAT.format(value)));
      tip.hidden = false;
      const left = line.places[index][0] / CHART.width * box.width;
      tip.style.left = Math.min(left + 12, box.width - tip.offsetWidth) + "px";
      tip.style.top = Math.max(0, line.places[index][1] / CHART.height * box.height - tip.offsetHeight - 12) + "px";
    });
  }

  // ---- tables ----

  function makeSortable(table) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = element("button", { type: "button" });
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        sort(table, column, down);
      });
    });
  }

  // Empty cells come last either way.
  function sort(table, column, down) {
    const key = (row) => row.cells[column].textContent.trim();
    const number = (text) => parseFloat(text.replace(/−/g, "-").replace(/^[^0-9.-]+/, ""));
    const rows = [...table.tBodies[0].rows];
    const numeric = rows.every((row) => key(row) === "" || /^[≥≤+−-]?\s*[0-9]/.test(key(row)) && !isNaN(number(key(row))));
    rows.sort((left, right) => {
      const [a, b] = [key(left), key(right)];
      if (a === "" || b === "") return (a === "") - (b === "");
      return (numeric ? number(a) - number(b) : a.localeCompare(b)) * (down ? -1 : 1);
    });
    table.tBodies[0].append(...rows);
  }

  // ---- one experiment ----

  function setUp(section) {
    const data = JSON.parse(section.querySelector("script.data").textContent);
    const rows = [...section.querySelectorAll("table.trials tbody tr")];
    const count = section.querySelector(".filter output");
    const names = Object.keys(data.methods);
    const dash = (method) => DASHES[names.indexOf(method) % DASHES.length];
    const choice = { method: "", status: "", search: "", metric: "", axis: "linear", quantity: "distance", layer: "" };
    const controls = [...section.querySelectorAll(".controls select, .controls input")];
    const layers = section.querySelector("select[name=layer]");
    if (layers && data.telemetry) {
      layers.replaceChildren(...data.telemetry.layers.map((layer) => element("option", { value: layer }, layer)));
      if (data.telemetry.layers.includes(data.tracked)) layers.value = data.tracked;
    }
    for (const control of controls) {
      if (control.value !== "") choice[control.name] = control.value;
      control.addEventListener("input", () => { choice[control.name] = control.value; show(); });
      control.form.addEventListener("submit", (event) => event.preventDefault());
    }

    function show() {
      for (const control of controls) control.value = choice[control.name];
      const shown = new Set();
      for (const row of rows) {
        const fits = (choice.method === "" || row.dataset.method === choice.method) &&
          (choice.status === "" || row.dataset.status === choice.status) &&
          row.textContent.toLowerCase().includes(choice.search.toLowerCase());
        row.hidden = !fits;
        if (fits) shown.add(Number(row.dataset.trial));
      }
      if (count) count.textContent = shown.size === rows.length ? rows.length + " trials" : shown.size + " of " + rows.length + " trials";
      drawCurves(shown);
      drawLayers();
    }

    function drawCurves(shown) {
      const host = section.querySelector("[data-chart=curves]");
      if (!host) return;
      const lines = (data.curves[choice.metric] || []).filter((curve) => shown.has(curve[0])).map(([index, steps, values]) => {
        const trial = data.trials[index];
        const status = trial.status === "done" ? "" : ", " + trial.status;
        return {
          points: steps.map((step, at) => [step, values[at]]), colour: data.methods[trial.method].colour, dash: dash(trial.method),
          title: data.methods[trial.method].title, detail: trial.settings + status + " (" + trial.id + ")",
        };
      });
      const option = section.querySelector("select[name=metric] option[value='" + CSS.escape(choice.metric) + "']");
      draw(host, lines, option ? option.textContent : choice.metric, choice.axis === "log");
    }

    function drawLayers() {
      const host = section.querySelector("[data-chart=layers]");
      if (!host || !data.telemetry) return;
      const layer = data.telemetry.layers.indexOf(choice.layer);
      const groups = data.telemetry.groups.filter((group) => choice.method === "" || group.method === choice.method);
      const lines = groups.map((group) => {
        const values = (group[choice.quantity] || [])[layer] || [];
        return {
          points: values.map((value, at) => [group.steps[at], value]), colour: data.methods[group.method].colour, dash: dash(group.method),
          title: data.methods[group.method].title, detail: (group.settings ? group.settings + ", " : "") + "mean of " + group.n + " trials",
        };
      });
      const option = section.querySelector("select[name=quantity] option[value='" + choice.quantity + "']");
      draw(host, lines, option ? option.textContent : choice.quantity, choice.axis === "log");
    }

    return { id: section.id, apply(wanted) { Object.assign(choice, wanted); show(); }, show };
  }

  // ---- the page ----

  const sections = [];

  function applyFragment() {
    const fragment = location.hash.slice(1);
    if (!fragment.includes("=")) return;
    const wanted = Object.fromEntries(new URLSearchParams(fragment));
    const target = wanted.section;
    delete wanted.section;
    for (const section of sections) if (!target || section.id === target) section.apply(wanted);
    if (target && document.getElementById(target)) document.getElementById(target).scrollIntoView();
  }

  document.querySelectorAll("table.sortable").forEach(makeSortable);
  document.querySelectorAll("section.experiment").forEach((section) => sections.push(setUp(section)));
  sections.forEach((section) => section.show());
  applyFragment();
  addEventListener("hashchange", applyFragment);
  document.documentElement.setAttribute("data-ready", "true");
})();
