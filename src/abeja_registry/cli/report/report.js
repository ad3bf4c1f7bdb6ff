
"use strict";

// Without this the tables are there all the same, the largest first.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const headers = [...table.tHead.rows[0].cells];
  const names = new Intl.Collator(undefined, { numeric: true });

  // A text is compared as text; a number by its value, and a time by its ISO form.
  const valueOf = (cell) =>
    cell.dataset.value ?? cell.querySelector("time")?.dateTime ?? cell.textContent;

  const sort = (header, column) => {
    const isNumber = header.classList.contains("number");
    // At first the direction that one asks for most: from the most, or what the header says.
    const next = { ascending: "descending", descending: "ascending" };
    const direction = next[header.ariaSort] ?? header.dataset.first ?? "descending";
    const sign = direction === "ascending" ? 1 : -1;
    const compare = isNumber ? (a, b) => Number(a) - Number(b) : names.compare;
    const rows = [...body.rows].map((row) => [valueOf(row.cells[column]), row]);
    rows.sort((a, b) => sign * compare(a[0], b[0]));
    body.append(...rows.map(([, row]) => row));
    table.parentElement.scrollTop = 0;
    for (const each of headers) each.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", direction);
  };

  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    button.addEventListener("click", () => sort(header, column));
    header.append(button);
  });

  const filter = table.closest("section").querySelector(".filter");
  const input = filter.querySelector("input");
  const output = filter.querySelector("output");
  const rows = [...body.rows].map((row) => [row.cells[0].textContent.toLowerCase(), row]);
  input.addEventListener("input", () => {
    const wanted = input.value.trim().toLowerCase();
    let shown = 0;
    for (const [name, row] of rows) {
      row.hidden = !name.includes(wanted);
      shown += row.hidden ? 0 : 1;
    }
    output.value = wanted ? `${shown.toLocaleString("en")} of ${rows.length.toLocaleString("en")}` : "";
  });
  filter.hidden = false;
}
