"use strict";
const INTERVAL = 2000;
const byId = (id) => document.getElementById(id);
let token = "";
let timer = 0;

async function get(path) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const response = await fetch(path, { headers, cache: "no-store" });
  if (!response.ok) throw response;
  return response.json();
}

const shown = {};

// textContent only: a path or a header is text that a client has chosen.
function show(id, rows) {
  // Replaced rows would lose the reader's selection.
  const text = JSON.stringify(rows);
  if (shown[id] === text) return;
  shown[id] = text;
  byId(id).replaceChildren(
    ...rows.map((cells) => {
      const row = document.createElement("tr");
      for (const text of cells) {
        const cell = row.insertCell();
        cell.textContent = text;
        if (text.startsWith("/")) cell.className = "path";
      }
      return row;
    }),
  );
  byId(`no-${id}`).hidden = rows.length > 0;
}

function request({ method, path, query, headers }) {
  return [method, query ? `${path}?${query}` : path, headers["user-agent"] ?? ""];
}

const EFFECTS = ["status", "retry_after", "work_done", "drop", "latency", "limit_max", "skip"];

function fault(row) {
  const target = [row.operation ?? "each operation"];
  if (row.repository_id !== null) target.push(`repository ${row.repository_id}`);
  const effects = EFFECTS.filter((name) => row[name]).map((name) => `${name}=${row[name]}`);
  const remaining = row.remaining ?? "all";
  return [String(row.number), target.join(", "), effects.join(", "), String(remaining)];
}

function report(text, isBad) {
  const status = byId("status");
  if (status.textContent !== text) status.textContent = text;
  status.className = isBad ? "bad" : "quiet";
}

async function refresh() {
  clearTimeout(timer);
  try {
    const [{ requests }, { faults }] = await Promise.all([
      get("/_sandbox/requests?limit=20"),
      get("/_sandbox/faults"),
    ]);
    show("requests", requests.reverse().map(request));
    show("faults", faults.map(fault));
    byId("unlock").hidden = true;
    report("Running. This page refreshes every 2 seconds.", false);
  } catch (problem) {
    const isLocked = problem.status === 401;
    byId("unlock").hidden = !isLocked;
    if (isLocked) report(token ? "The token is wrong." : "The control token is needed.", true);
    else report("The sandbox does not respond.", true);
  }
  if (!document.hidden) timer = setTimeout(refresh, INTERVAL);
}

byId("unlock").addEventListener("submit", (event) => {
  event.preventDefault();
  token = byId("token").value.trim();
  refresh();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refresh();
});
refresh();
