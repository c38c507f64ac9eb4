/* The page's own script: servers and the baseline are switched, rows are sorted and filtered,
 * and the address says what is chosen.
 * It draws nothing and computes nothing: the figures of all baselines are in the page. Without it the page shows all, so no sentence or number may depend on it.
 *
 * The fragment is `#off=a,b&to=c&sort=2-&only=words&at=cell-...`; a plain `#table` is an anchor as everywhere. What is
 * chosen in the closer look stands there too, as `&scale=log&metric=Memory&load=16 connections&zoom=0.4,0.7`: it is kept
 * here, and `closer.js` alone knows what it means.
 */
"use strict";
const chosen = (() => {
  const looks = ["scale", "metric", "load", "zoom"];
  const boxes = [...document.querySelectorAll("#switches input")];
  const table = document.getElementById("cells");
  const heads = [...table.tHead.rows[0].cells];
  const baselines = document.querySelector("#baselines select"); // null where there is one figure only
  const built = baselines ? baselines.options[0].value : "";
  const search = document.querySelector("#filter input");
  const rule = document.head.appendChild(document.createElement("style"));
  const planned = new Map([...table.tBodies].map((body) => [body, [...body.rows].slice(1)]));
  let state = { off: [], to: built, sort: null, only: "", at: "", look: {} };

  function read(hash) {
    const given = new URLSearchParams(hash);
    const sort = /^(\d+)([+-])$/.exec(given.get("sort") || "");
    const known = new Set(boxes.map((box) => box.value));
    return {
      off: (given.get("off") || "").split(",").map(decodeURIComponent).filter((name) => known.has(name)),
      to: baselines && [...baselines.options].some((one) => one.value === given.get("to")) ? given.get("to") : built,
      sort: sort && sort[1] < heads.length ? { column: Number(sort[1]), rising: sort[2] === "+" } : null,
      only: given.get("only") || "",
      at: given.get("at") || "",
      look: Object.fromEntries(looks.map((name) => [name, given.get(name) || ""])),
    };
  }

  function written() {
    const parts = [];
    if (state.off.length) parts.push("off=" + state.off.map((name) => encodeURIComponent(encodeURIComponent(name))).join(","));
    if (state.to !== built) parts.push("to=" + encodeURIComponent(state.to));
    if (state.sort) parts.push("sort=" + state.sort.column + (state.sort.rising ? "%2B" : "-"));
    if (state.only) parts.push("only=" + encodeURIComponent(state.only));
    for (const name of looks) if (state.look[name]) parts.push(`${name}=` + encodeURIComponent(state.look[name]));
    if (!parts.length) return state.at;
    if (state.at) parts.push("at=" + encodeURIComponent(state.at));
    return parts.join("&");
  }

  function keep(change) {
    state = { ...state, ...change };
    const hash = written();
    history.replaceState(null, "", hash ? "#" + hash : location.pathname + location.search);
    show();
  }

  function value(row, column) {
    const cell = row.cells[column];
    if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
    const text = cell.textContent.replace("\u2248", "").trim();
    return cell.classList.contains("missing") || text === "" ? null : /^\d/.test(text) ? parseFloat(text) : text;
  }

  function compare(one, other) {
    const [a, b] = [value(one, state.sort.column), value(other, state.sort.column)];
    if (a === null || b === null) return (a === null) - (b === null); // what is missing stands last either way
    return (a < b ? -1 : a > b ? 1 : 0) * (state.sort.rising ? 1 : -1);
  }

  function named(row) {
    return (" " + row.cells[0].textContent + " " + row.cells[row.cells.length - 1].textContent).toLowerCase();
  }

  function show() {
    for (const box of boxes) box.checked = !state.off.includes(box.value);
    const hidden = boxes.filter((box) => !box.checked).map((box) => "." + box.dataset.mark);
    if (state.sort || state.off.length || state.only) hidden.push(".level"); // it speaks of the row that was above
    rule.textContent = hidden.map((one) => `${one} { display: none; }`).join("\n");
    for (const one of document.querySelectorAll("[data-baseline]")) one.hidden = one.dataset.baseline !== state.to;
    if (baselines) baselines.value = state.to;
    heads.forEach((head, column) => {
      if (state.sort && state.sort.column === column) head.setAttribute("aria-sort", state.sort.rising ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
    const words = state.only.toLowerCase().split(/\s+/).filter(Boolean);
    if (search.value !== state.only) search.value = state.only;
    let shown = 0;
    for (const [body, rows] of planned) {
      body.append(...(state.sort ? [...rows].sort(compare) : rows));
      const written = body.rows[0].textContent.toLowerCase(), load = written + " " + written.replaceAll(",", ""); // 1,000 and 1000
      const kept = rows.filter((row) => !(row.hidden = !words.every((word) => (load + named(row)).includes(word))));
      body.rows[0].hidden = kept.length === 0;
      shown += kept.length;
    }
    document.querySelector("#filter [role=status]").textContent = words.length ? `${shown} ${shown === 1 ? "row" : "rows"}` : "";
    for (const row of table.querySelectorAll(".chosen")) row.classList.remove("chosen");
    const chosen = state.at && document.getElementById(state.at);
    if (chosen && chosen.tagName === "TR") chosen.classList.add("chosen");
  }

  function go() {
    const hash = location.hash.slice(1);
    if (hash.includes("=")) state = read(hash);
    else state.at = hash;
    show();
    const there = state.at && document.getElementById(state.at);
    if (there) {
      if (there.tagName === "DETAILS") there.open = true;
      there.scrollIntoView({ block: there.tagName === "TR" ? "center" : "start" });
    }
    const full = written();
    if (full && full !== hash) history.replaceState(null, "", "#" + full);
  }

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const now = state.sort && state.sort.column === column ? state.sort : null;
      keep({ sort: now && now.rising === false ? null : { column, rising: !now } });
    });
  });
  for (const box of boxes) box.addEventListener("change", () => keep({ off: boxes.filter((one) => !one.checked).map((one) => one.value) }));
  if (baselines) {
    baselines.addEventListener("change", () => keep({ to: baselines.value }));
    document.getElementById("baselines").hidden = false;
  }
  search.addEventListener("input", () => keep({ only: search.value }));
  document.getElementById("switches").addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("hashchange", go);
  document.getElementById("switches").hidden = boxes.length < 2; // a single server is not switched off
  document.getElementById("filter").hidden = false;
  go();
  return {
    look: () => state.look,
    keep: (look) => { if (looks.some((name) => (name in look) && look[name] !== (state.look[name] || ""))) keep({ look: { ...state.look, ...look } }); },
  };
})();
