"use strict";
(() => {
  const UNITS = {
    ms: 1e-3, s: 1, min: 60, h: 3600, B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, "%": 1e-2,
  };
  const FIGURE = /^[<>]?\s*([+-]?\d[\d.]*(?:e[+-]?\d+)?)\s*(ms|min|[sh%]|B|KiB|MiB|GiB)?(?=\s|$|±)/;

  // The number with which a text begins, in seconds or bytes where it has a unit: "3 min 12 s".
  function figure(text) {
    let rest = text.replace(/[−–]/g, "-").replace(/,/g, "").trim();
    let sum = null;
    for (let found = FIGURE.exec(rest); found; found = found[2] && FIGURE.exec(rest)) {
      sum = (sum ?? 0) + Number(found[1]) * (UNITS[found[2]] ?? 1);
      rest = rest.slice(found[0].length).trim();
    }
    return sum;
  }

  function sort(table, column, ascending) {
    const body = table.tBodies[0];
    const keys = new Map([...body.rows].map((row) => [row, row.cells[column].textContent.trim()]));
    const figures = new Map([...keys].map(([row, text]) => [row, figure(text)]));
    const numeric = [...keys].every(([row, text]) => text === "" || figures.get(row) !== null);
    const compare = (a, b) =>
      (keys.get(a) === "") - (keys.get(b) === "") ||
      (ascending ? 1 : -1) *
        (numeric
          ? figures.get(a) - figures.get(b)
          : keys.get(a).localeCompare(keys.get(b), "en", { numeric: true }));
    body.append(...[...body.rows].sort(compare));
  }

  for (const table of document.querySelectorAll(".wide > table")) {
    if (table.tBodies[0].rows.length < 2) continue;
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const ascending = head.getAttribute("aria-sort") !== "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
        sort(table, column, ascending);
      });
    });
  }

  // Entries with scores are filtered by group, by which of two is higher, and by words.
  for (const browser of document.querySelectorAll(".browser")) {
    const form = browser.querySelector("form");
    const entries = [...browser.querySelectorAll(".entry")];
    const show = () => {
      const asked = Object.fromEntries(new FormData(form));
      const words = asked.words.toLowerCase();
      for (const entry of entries) {
        const scores = entry.dataset.scores.split(" ").map(Number);
        const some = (model) => (model === "" ? scores : [scores[model]]);
        entry.hidden = !(
          (asked.group === "" || entry.dataset.group === asked.group) &&
          some(asked.higher).some((high) => some(asked.lower).some((low) => high > low)) &&
          entry.textContent.toLowerCase().includes(words)
        );
      }
      const shown = entries.filter((entry) => !entry.hidden).length;
      form.querySelector("output").textContent = `${shown} of ${entries.length} shown`;
    };
    form.addEventListener("input", show);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.hidden = false;
    show();
  }

  // What is wider than the window can be reached, and moved, by keyboard.
  const wide = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const scrolls = target.scrollWidth > target.clientWidth + 1;
      const near = target.closest("details, figure, section");
      const name = near?.querySelector("figcaption, summary, h2")?.textContent.trim() ?? "table";
      const attributes = { tabindex: "0", role: "group", "aria-label": `scrolls sideways: ${name}` };
      for (const [key, value] of Object.entries(attributes))
        scrolls ? target.setAttribute(key, value) : target.removeAttribute(key);
    }
  });
  document.querySelectorAll(".wide").forEach((element) => wide.observe(element));
})();
