// Runs: the live list, its filters, and one run beside it. The list draws only
// the rows in sight, so that ten thousand are as quick as ten.
import * as api from "./api.js";
import { h, fill, ms, clock, outcomeTag, credentialName, notice } from "./dom.js";
import { store } from "./store.js";
import { runDetail, compare } from "./run.js";

const rowHeight = 30;
const ranges = { "": Infinity, "5 minutes": 5, "1 hour": 60, "1 day": 1440 };
let filter = { text: "", outcome: "", range: "" };
let shown = []; // the runs that pass the filter
let page = null;
let openID = "";

export async function showRuns(view, { path, query, changed }) {
  if (query.has("credential")) filter.text = query.get("credential");
  if (changed || !page) {
    build(view);
    const end = store.onChange(apply);
    apply();
    await open(path[0] || "");
    return () => { end(); page = null; openID = ""; };
  }
  await open(path[0] || "");
  return null;
}

function build(view) {
  const text = h("input", { type: "search", placeholder: "Credential, run, script, error", "aria-label": "Filter", value: filter.text, oninput: (e) => { filter.text = e.target.value; apply(); } });
  const outcome = h("select", { "aria-label": "Outcome", onchange: (e) => { filter.outcome = e.target.value; apply(); } });
  const range = h("select", { "aria-label": "Time", onchange: (e) => { filter.range = e.target.value; apply(); } },
    Object.keys(ranges).map((name) => h("option", { value: name }, name ? "Last " + name : "Any time")));
  const count = h("span.dim.small");
  const space = h(".space", { role: "listbox", "aria-label": "Runs" });
  const list = h(".list", { tabindex: "0", "aria-label": "Runs, newest first" }, space);
  const detail = h(".detail", { hidden: true });
  const box = h(".runs", h("div", list), detail);
  list.addEventListener("scroll", () => requestAnimationFrame(draw));
  new ResizeObserver(() => draw()).observe(list);
  const bar = h(".bar", text, outcome, range, count);
  text.style.maxWidth = "18rem"; outcome.style.width = range.style.width = "auto";
  page = { text, outcome, range, count, list, space, detail, box };
  outcome.value = filter.outcome; range.value = filter.range;
  fill(view, bar, box);
}

function apply() {
  if (!page) return;
  const outcomes = [...new Set(store.runs.map((run) => run.outcome))].sort();
  if (page.outcomes !== outcomes.join()) {
    page.outcomes = outcomes.join();
    fill(page.outcome, h("option", { value: "" }, "Any outcome"), outcomes.map((o) => h("option", { value: o }, o.replaceAll("_", " "))));
    page.outcome.value = filter.outcome;
  }
  const words = filter.text.toLowerCase().split(/\s+/).filter(Boolean);
  const since = Date.now() - (ranges[filter.range] ?? Infinity) * 60000;
  shown = store.runs.filter((run) => (!filter.outcome || run.outcome === filter.outcome)
    && (since === -Infinity || Date.parse(run.time) >= since)
    && words.every((word) => (run.id + " " + credentialName(run.credential) + " " + run.apiKey + " " + run.script + " " + run.message).toLowerCase().includes(word)));
  page.count.textContent = shown.length === store.runs.length ? shown.length + " runs" : shown.length + " of " + store.runs.length + " runs";
  draw();
}

function draw() {
  if (!page) return;
  const { list, space } = page;
  space.style.height = shown.length * rowHeight + "px";
  if (!shown.length) {
    space.style.height = "";
    fill(space, h("p.empty", store.runs.length ? "No run matches the filter." : "No runs yet. Call a script, or try one."));
    return;
  }
  const first = Math.max(0, Math.floor(list.scrollTop / rowHeight) - 5);
  const last = Math.min(shown.length, first + Math.ceil(list.clientHeight / rowHeight) + 10);
  fill(space, shown.slice(first, last).map((run, i) => {
    const item = h("a.item", {
      href: "#/runs/" + encodeURIComponent(run.id), role: "option", tabindex: "-1", "aria-selected": String(run.id === openID), title: run.message || run.outcome,
    },
      h("span.mono.dim.at", clock(run.time)), h("span", credentialName(run.credential)), h("span.num.mono", run.status || ""),
      h("span", outcomeTag(run.outcome)), h("span.dim.why", run.message || ""), h("span.num.dim.ms", ms(run.ms)));
    item.style.top = (first + i) * rowHeight + "px";
    return item;
  }));
}

async function open(id) {
  openID = id;
  page.box.classList.toggle("open", id !== "");
  page.detail.hidden = id === "";
  draw();
  if (!id) return;
  try {
    const run = await api.getRun(id);
    if (openID !== id || !page) return;
    fill(page.detail, runDetail(run, { onReplay: () => replayRun(run) }));
    page.detail.scrollTop = 0;
  } catch (error) {
    fill(page.detail, h(".panel", h(".fault", error.message)));
  }
}

async function replayRun(run) {
  try {
    const now = await api.replay(run.id);
    const back = h("button", { onclick: () => open(run.id) }, "← The recorded run");
    fill(page.detail, h(".bar", back), compare(run, now), runDetail(now));
    page.detail.scrollTop = 0;
  } catch (error) {
    notice(error.message);
  }
}

// runsKey handles a key of this view and reports whether the key has a meaning.
export function runsKey(key) {
  const at = shown.findIndex((run) => run.id === openID);
  switch (key) {
    case "j": return go(at + 1);
    case "k": return go(at < 0 ? 0 : at - 1);
    case "Enter": return openID === "" && go(0);
    case "Escape": if (openID) location.hash = "#/runs"; return true;
    case "/": page.text.focus(); return true;
  }
  return false;
}

function go(i) {
  if (i < 0 || i >= shown.length) return true;
  const top = i * rowHeight;
  if (top < page.list.scrollTop) page.list.scrollTop = top;
  if (top + rowHeight > page.list.scrollTop + page.list.clientHeight) page.list.scrollTop = top + rowHeight - page.list.clientHeight;
  location.hash = "#/runs/" + encodeURIComponent(shown[i].id);
  return true;
}
