/* The closer look: plots that answer to the pointer and the keyboard, drawn by uPlot from `closer`, which the page
 * holds as JSON. It computes no statistic: every number that it writes stands there. Without it the page has its still figures.
 * Which servers are shown is said by the boxes of page.js alone, which also keeps in the address what is chosen here.
 */
"use strict";
(() => {
  const given = closer;
  const names = Object.keys(given.servers);
  const boxes = new Map([...document.querySelectorAll("#switches input")].map((box) => [box.value, box]));
  const section = document.getElementById("closer");
  const css = (role) => getComputedStyle(document.documentElement).getPropertyValue("--" + role).trim();
  const shown = (name) => !boxes.has(name) || boxes.get(name).checked;
  const make = (tag, what = {}) => Object.assign(document.createElement(tag), what);
  function shape(tag, attributes, within = []) {
    const found = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) found.setAttribute(name, value);
    found.append(...within);
    return found;
  }
  function picture(kind, width, height, within) {
    const found = make("span", { className: kind });
    found.append(shape("svg", { width, height, "aria-hidden": true }, within));
    return found;
  }
  const number = (value) => typeof value === "number";
  const metrics = [...new Set(given.by_load.map((one) => one.metric))], loads = given.over_time.map((one) => one.load);
  let log = false, metric = 0, load = 0, zoom = null, charts = [], passing = false;

  function write(value, unit) {
    const steps = given.steps[unit];
    const [factor, suffix] = steps.find((one) => Number((Math.abs(value) / one[0]).toPrecision(3)) >= 1) || steps[steps.length - 1];
    return Number((value / factor).toPrecision(3)).toLocaleString("en-US", { maximumFractionDigits: 10 }) + suffix;
  }

  function ticks(low, high) { // of a logarithmic axis: 1, 2 and 5 where there is room
    const found = [];
    const steps = high / low < 8 ? [1, 1.5, 2, 3, 4, 5, 7] : high / low < 300 ? [1, 2, 5] : [1];
    for (let decade = Math.floor(Math.log10(low)); decade <= Math.log10(high); decade++) {
      for (const step of steps) found.push(step * 10 ** decade);
    }
    return found.filter((one) => one >= low && one <= high);
  }

  function limits(plot, spans) { // of what is shown between the ends of the x axis, so that no peak is cut
    const [min, max] = [plot.scales.x.min ?? -Infinity, plot.scales.x.max ?? Infinity]; // before the first draw, all
    let [low, high] = [Infinity, -Infinity];
    names.filter((name) => shown(name) && spans[name]).forEach((name) => plot.data[0].forEach((x, at) => {
      const pair = spans[name](at);
      if (!pair || x < min || x > max) return;
      if (pair[0] > 0 || !log) low = Math.min(low, pair[0]);
      if (pair[1] > 0 || !log) high = Math.max(high, pair[1]);
    }));
    if (low > high) return log ? [1, 10] : [0, 1];
    return log ? [low / 1.1, high * 1.1] : [0, high * 1.05 || 1];
  }

  function drawn(name) {
    const style = given.servers[name];
    return {
      label: name, show: shown(name), stroke: () => css(style.role), width: 1.5, dash: style.dash, spanGaps: false,
      points: { show: false },
    };
  }

  /* `one` has: x, unit, series (a list of numbers by server), spans (its lowest and highest at a place, by server),
   * paint (draws those), said (words of a place), xAxis, xScale and label. */
  function chart(host, one) {
    const figure = host.appendChild(make("div", { className: "live" }));
    figure.append(make("h4", { textContent: one.label }));
    const readout = figure.appendChild(make("p", { className: "readout", textContent: "\u00a0" }));
    const stage = figure.appendChild(make("div", { className: "stage", tabIndex: 0 }));
    stage.setAttribute("role", "group");
    stage.setAttribute("aria-label", one.label + ". Left and right move along the axis, up and down from server to server.");
    const axis = { stroke: () => css("muted"), grid: { stroke: () => css("grid"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    const values = names.map((name) => (one.series[name] || one.x.map(() => null)).map((value) =>
      value === false ? undefined : !number(value) || (log && value <= 0) ? null : value));
    let focused = null;
    function tell(plot) {
      const at = plot.cursor.idx, name = names[focused];
      const words = name !== undefined && at !== null && at !== undefined && shown(name) ? one.said(name, at) : null;
      readout.replaceChildren(...(words ? [make("b", { textContent: name }), ...words] : ["\u00a0"]));
      if (words) readout.firstChild.style.color = css(given.servers[name].role);
    }
    const plot = new uPlot({
      width: stage.clientWidth || 600, height: one.height, legend: { show: false }, focus: { alpha: 0.25 },
      cursor: {
        y: false, focus: { prox: 1e6 }, drag: { x: one.zooms, y: false, setScale: one.zooms },
        points: { size: 7, fill: (self, series) => css(given.servers[names[series - 1]].role) },
        ...(one.sync && { sync: { key: one.sync, setSeries: true, filters: { pub: (kind) => kind === "mousemove" || kind === "mouseleave" } } }),
      },
      scales: {
        x: { time: false, ...one.xScale },
        y: { distr: log ? 3 : 1, range: (self) => limits(self, one.extent || one.spans) },
      },
      axes: [
        { ...axis, ...one.xAxis },
        {
          ...axis, size: 68, values: (self, splits) => splits.map((split) => (split === null ? "" : write(split, one.unit))),
          ...(log && { splits: (self, index, low, high) => ticks(low, high), filter: (self, splits) => splits }),
          ...(!log && one.unit === "size" && { incrs: [...Array(40).keys()].map((power) => 2 ** power) }),
        },
      ],
      series: [{}, ...names.map((name) => ({ ...drawn(name), ...one.look }))],
      hooks: {
        drawAxes: [(self) => names.forEach((name, index) => {
          if (!shown(name) || !one.spans[name]) return;
          const strength = focused === null ? 1 : focused === index ? 2 : 0.3;
          self.ctx.save();
          self.ctx.beginPath();
          self.ctx.rect(self.bbox.left, self.bbox.top, self.bbox.width, self.bbox.height);
          self.ctx.clip();
          self.ctx.fillStyle = self.ctx.strokeStyle = css(given.servers[name].role);
          one.paint(self, one.spans[name], strength);
          self.ctx.restore();
        })],
        setSeries: [(self, index) => { focused = index === null ? null : index - 1; tell(self); }],
        setCursor: [tell],
        setScale: [(self, key) => { if (key === "x" && one.zooms) pass(self); }],
      },
    }, [one.x, ...values], stage);
    stage.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!step) return;
      event.preventDefault();
      readout.setAttribute("aria-live", "polite");
      const seen = names.map((name, index) => index).filter((index) => shown(names[index]) && one.series[names[index]]);
      if (!seen.length) return;
      const place = Math.max(seen.indexOf(focused), 0) + (focused === null ? 0 : step[1]);
      const server = seen[(place + seen.length) % seen.length];
      const at = Math.min(Math.max((plot.cursor.idx ?? 0) + step[0], 0), one.x.length - 1);
      const top = plot.valToPos(values[server][at] ?? plot.scales.y.min, "y");
      plot.setCursor({ left: plot.valToPos(one.x[at], "x"), top });
      plot.setSeries(server + 1, { focus: true });
    });
    const resize = new ResizeObserver(() => plot.setSize({ width: stage.clientWidth, height: one.height }));
    resize.observe(stage);
    charts.push({ plot, zooms: one.zooms, end: () => { resize.disconnect(); plot.destroy(); } });
  }

  function band(plot, span, strength) { // from the lowest to the highest of each moment
    const { ctx } = plot, points = [];
    plot.data[0].forEach((x, at) => { const pair = span(at); if (pair) points.push([plot.valToPos(x, "x", true), ...pair]); });
    const y = (value) => plot.valToPos(log ? Math.max(value, plot.scales.y.min) : value, "y", true);
    ctx.globalAlpha = 0.12 * strength * (strength > 1 ? 1 : Math.min(1, 3 / names.filter(shown).length)); // many would be mud
    ctx.beginPath();
    points.forEach(([x, low]) => ctx.lineTo(x, y(low)));
    points.reverse().forEach(([x, low, high]) => ctx.lineTo(x, y(high)));
    ctx.fill();
  }

  function bars(plot, span, strength) { // the interval of each load
    const { ctx } = plot;
    ctx.globalAlpha = Math.min(0.5 * strength, 1);
    ctx.lineWidth = 2 * devicePixelRatio;
    plot.data[0].forEach((x, at) => {
      const pair = span(at), left = plot.valToPos(x, "x", true);
      if (!pair || pair[0] === pair[1]) return;
      ctx.beginPath();
      ctx.moveTo(left, plot.valToPos(log ? Math.max(pair[0], plot.scales.y.min) : pair[0], "y", true));
      ctx.lineTo(left, plot.valToPos(pair[1], "y", true));
      ctx.stroke();
    });
  }

  function strip(launches) { // each launch on the launches' own scale, so that groups are seen
    const known = launches.filter(number), [low, high] = [Math.min(...known), Math.max(...known)];
    const dots = known.map((value) => shape("circle", { cx: 6 + (high > low ? (value - low) / (high - low) : 0.5) * 108, cy: 7, r: 3.5 }));
    return picture("strip", 120, 14, dots);
  }

  const spanOf = (lows, highs) => (at) => (number(lows[at]) && number(highs[at]) ? [lows[at], highs[at]] : null);

  function measure(host, one, end) {
    const spans = {}, series = {};
    for (const [name, [lows, middles, highs]] of Object.entries(one.series)) [spans[name], series[name]] = [spanOf(lows, highs), middles];
    chart(host, {
      label: one.title, x: one.x, unit: one.unit, series, spans, paint: band, height: 190, zooms: true, sync: "time",
      xScale: { min: zoom ? zoom[0] : 0, max: zoom ? zoom[1] : end }, look: {},
      xAxis: { size: 28, values: (self, splits) => splits.map((split) => `${Number(split.toPrecision(4))} s`) },
      said: (name, at) => {
        const pair = spans[name] && spans[name](at);
        return pair && [` ${write(series[name][at], one.unit)} at ${Number(one.x[at].toPrecision(3))} s; lowest ${write(pair[0], one.unit)}, highest ${write(pair[1], one.unit)}`];
      },
    });
  }

  function panel(host, one) {
    const spans = {}, series = {}, extent = {}; // a very wide interval does not press all points flat
    const means = Object.values(one.series).flat().filter(Boolean).map((point) => point[0]);
    const [least, most] = [Math.min(...means) / 4, Math.max(...means) * 2];
    for (const [name, points] of Object.entries(one.series)) {
      series[name] = points.map((point) => point && point[0]);
      extent[name] = (at) => points[at] && [Math.max(points[at][1] ?? points[at][0], least), Math.min(points[at][2] ?? points[at][0], most)];
      spans[name] = (at) => points[at] && [points[at][1] ?? points[at][0], points[at][2] ?? points[at][0]];
    }
    const room = (one.x[one.x.length - 1] / one.x[0]) ** 0.06;
    chart(host, {
      label: one.caption ? `${one.title} (${one.caption})` : one.title, x: one.x, unit: one.unit, series, spans, extent, paint: bars, height: 340, zooms: false,
      xScale: { distr: 3, range: [one.x[0] / room, one.x[one.x.length - 1] * room] },
      look: { points: { show: true, size: 7, fill: (self, index) => css(given.servers[names[index - 1]].role) } },
      xAxis: { size: 28, splits: () => one.x, values: () => one.ticks, filter: (self, splits) => splits, label: one.setting, labelFont: "12px system-ui, sans-serif", labelSize: 20 },
      said: (name, at) => {
        const point = one.series[name] && one.series[name][at];
        if (!point) return null;
        const [mean, low, high, least, launches] = point;
        const interval = number(low) && number(high) ? ` (${write(low, one.unit)} to ${write(high, one.unit)})` : "";
        const count = launches.length === 1 ? "one launch" : `${launches.length} launches:`;
        return [` ${least ? "at least " : ""}${write(mean, one.unit)}${interval} ${one.where[at]}; ${count} `, ...(launches.length > 1 ? [strip(launches)] : [])];
      },
    });
  }

  function ends(measures) {
    return Math.max(...measures.map((one) => one.x[one.x.length - 1] + (one.x[0] || 0)));
  }

  function pass(from) { // the zoom of one plot over time to all of them, and to the fields
    if (passing || !from.scales.x) return;
    const { min, max } = from.scales.x;
    if (!number(min) || !number(max)) return;
    passing = true;
    for (const one of charts) if (one.zooms && one.plot !== from) one.plot.setScale("x", { min, max });
    passing = false;
    const whole = ends(given.over_time[load].measures);
    zoom = min <= 0 && max >= whole ? null : [min, max];
    chosen.keep({ zoom: zoom ? zoom.map((one) => Number(one.toPrecision(4))).join(",") : "" });
    [section.querySelector("#closer-from").value, section.querySelector("#closer-to").value] = [min, max].map((one) => Number(one.toPrecision(3)));
  }

  function look(range) {
    zoom = range;
    const first = charts.find((one) => one.zooms);
    if (first) first.plot.setScale("x", { min: zoom ? zoom[0] : 0, max: zoom ? zoom[1] : ends(given.over_time[load].measures) });
  }

  function build() {
    charts.forEach((one) => one.end());
    charts = [];
    const [ofLoad, ofTime] = ["closer-load", "closer-time"].map((id) => section.querySelector(`#${id} .charts`));
    ofLoad.replaceChildren();
    ofTime.replaceChildren();
    given.by_load.filter((one) => one.metric === metrics[metric]).forEach((one) => panel(ofLoad, one));
    if (given.over_time.length) {
      const { measures } = given.over_time[load], end = ends(measures);
      measures.forEach((one) => measure(ofTime, one, end));
      if (given.over_time[load].note) ofTime.append(make("p", { className: "muted", textContent: given.over_time[load].note }));
      look(zoom);
    }
  }

  function choice(name, id, entries) {
    const select = section.querySelector(id);
    select.append(...entries.map((text, index) => make("option", { value: index, textContent: text })));
    select.addEventListener("change", () => {
      chosen.keep({ [name]: select.value === "0" ? "" : entries[select.value], ...(name === "load" && { zoom: "" }) });
      adopt();
    });
  }

  function adopt() { // what the address says, as far as this run has it
    const look = chosen.look(), place = (entries, name) => Math.max(entries.indexOf(name), 0);
    log = look.scale === "log";
    metric = place(metrics, look.metric);
    load = place(loads, look.load);
    const range = (look.zoom || "").split(",").map(parseFloat);
    zoom = range.length === 2 && range[0] < range[1] ? range : null;
    section.querySelector(`[name=closer-scale][value=${log ? "log" : "linear"}]`).checked = true;
    section.querySelector("#closer-metric").value = metric;
    section.querySelector("#closer-at").value = load;
    build();
  }

  function refresh() {
    for (const chip of section.querySelectorAll(".chip")) chip.setAttribute("aria-pressed", shown(chip.dataset.server));
    for (const { plot } of charts) {
      plot.batch(() => names.forEach((name, index) => plot.setSeries(index + 1, { show: shown(name) })));
      plot.redraw(true, true);
    }
  }

  function chip(name) {
    const style = given.servers[name], button = make("button", { type: "button", className: "chip" });
    button.dataset.server = name;
    const line = shape("line", { x1: 0, x2: 26, y1: 4, y2: 4, stroke: `var(--${style.role})`, "stroke-width": 3, "stroke-dasharray": style.dash.join(" ") || "none" });
    button.append(picture("key", 26, 8, [line]), name);
    button.addEventListener("click", () => boxes.get(name).click());
    return button;
  }

  section.querySelector("#closer-servers").append(...[...boxes.keys()].filter((name) => name in given.servers).map(chip));
  choice("metric", "#closer-metric", metrics);
  choice("load", "#closer-at", loads);
  for (const radio of section.querySelectorAll("[name=closer-scale]")) {
    radio.addEventListener("change", () => { chosen.keep({ scale: radio.value === "log" ? "log" : "" }); adopt(); });
  }
  for (const field of section.querySelectorAll("#closer-from, #closer-to")) {
    field.addEventListener("change", () => {
      const [from, to] = ["from", "to"].map((one) => Number(section.querySelector(`#closer-${one}`).value));
      if (from < to) look([from, to]);
    });
  }
  section.querySelector("#closer-whole").addEventListener("click", () => look(null));
  section.querySelector("#closer-load").hidden = !given.by_load.length;
  section.querySelector("#closer-time").hidden = !given.over_time.length;
  section.hidden = document.getElementById("to-closer").hidden = !given.by_load.length && !given.over_time.length;
  document.addEventListener("change", (event) => { if (event.target.closest("#switches")) refresh(); });
  window.addEventListener("hashchange", () => { adopt(); refresh(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach(({ plot }) => plot.redraw()));
  adopt();
  refresh();
})();
