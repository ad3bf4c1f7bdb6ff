"use strict";

// Without this script the page shows the first rows of each table. The script has all rows as JSON,
// and makes elements only for those that it shows.
const MORE_ROWS = 500;
const collator = new Intl.Collator(undefined, { numeric: true });
const number = (count) => count.toLocaleString("en");

// Return an element with a text, which is never parsed as HTML, or with other elements.
const element = (tag, content, attributes) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...[content].flat());
  return made;
};
const name = (text) => element("bdi", text, { title: text });
const time = (utc, length) =>
  element("time", utc.slice(0, length).replace("T", " "), { datetime: utc, title: utc });

// The content of a cell by its column's kind, as in page.html.jinja.
const contents = {
  name,
  tag: ([repository, tag]) => [name(repository), " ", name(tag)],
  count: number,
  size: ([bytes, text]) => element("span", text, { title: `${number(BigInt(bytes))} bytes` }),
  digest: (digest) =>
    element("code", (digest.slice(digest.indexOf(":") + 1) || digest).slice(0, 12), { title: digest }),
  day: (utc) => (utc ? time(utc, 10) : ""),
  time: (utc) => time(utc, 16),
};

const compareTexts = (a, b) => (a < b ? -1 : Number(a > b));
const comparisons = {
  name: collator.compare,
  tag: (a, b) => collator.compare(a[0], b[0]) || collator.compare(a[1], b[1]),
  count: (a, b) => a - b,
  size: ([a], [b]) => a - b,
  digest: compareTexts,
  day: compareTexts,
  time: compareTexts,
};

for (const table of document.querySelectorAll("table.sortable")) {
  const section = table.closest("section");
  const body = table.tBodies[0];
  const headers = [...table.tHead.rows[0].cells];
  const kinds = headers.map((header) => header.className);
  const input = section.querySelector(".filter input");
  const output = section.querySelector(".filter output");
  const rest = section.querySelector(".rest");
  const firstRows = body.rows.length;

  const rows = JSON.parse(document.getElementById(table.id.replace("table", "rows")).textContent);
  // The rows that the filter matches, of which the body shows the first.
  let matching = rows;

  // The names in a row; those of a tag as in an image's name: repository:tag.
  const namesIn = (row) =>
    row
      .filter((_, column) => ["name", "tag"].includes(kinds[column]))
      .map((cell) => [cell].flat().join(":"))
      .join("\n");

  const rowOf = (cells) => {
    const row = document.createElement("tr");
    cells.forEach((cell, column) => {
      const content = contents[kinds[column]](cell);
      row.append(element(column ? "td" : "th", content, { class: kinds[column] }));
    });
    row.cells[0].scope = "row";
    return row;
  };

  const showRest = () => {
    if (!rest) return;
    const shown = body.rows.length;
    rest.hidden = shown === matching.length;
    rest.querySelector("span").textContent = `The first ${number(shown)} of ${number(matching.length)}.`;
  };
  const showMore = (count) => {
    const shown = body.rows.length;
    body.append(...matching.slice(shown, shown + count).map(rowOf));
    showRest();
  };
  const show = () => {
    const wanted = input.value.trim().toLowerCase();
    matching = wanted ? rows.filter((row) => namesIn(row).toLowerCase().includes(wanted)) : rows;
    output.value = wanted ? `${number(matching.length)} of ${number(rows.length)}` : "";
    body.replaceChildren();
    showMore(firstRows);
    table.parentElement.scrollTop = 0;
  };
  const sort = (header, column) => {
    const other = { ascending: "descending", descending: "ascending" };
    const direction = other[header.ariaSort] ?? header.dataset.first;
    const sign = direction === "ascending" ? 1 : -1;
    const compare = comparisons[kinds[column]];
    rows.sort((a, b) => sign * compare(a[column], b[column]));
    for (const each of headers) each.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", direction);
    show();
  };

  headers.forEach((header, column) => {
    const button = element("button", header.textContent, { type: "button" });
    button.addEventListener("click", () => sort(header, column));
    header.replaceChildren(button);
  });
  if (rest) {
    const button = element("button", "Show more", { type: "button" });
    button.addEventListener("click", () => showMore(MORE_ROWS));
    rest.prepend(button);
  }
  input.addEventListener("input", show);
  section.querySelector(".filter").hidden = false;
}
