// The frame of the page: routes, theme, keyboard, live runs.
import * as api from "./api.js";
import { h, fill, notice } from "./dom.js";
import { store } from "./store.js";
import { showScripts } from "./scripts.js";
import { showTry } from "./try.js";
import { showRuns, runsKey } from "./runs.js";
import { showQueue } from "./queue.js";

const view = document.getElementById("view");
const views = { scripts: showScripts, try: showTry, runs: showRuns, queue: showQueue };
let current = "";
let leave = null; // ends what the present view has begun

// route shows the view that the URL's fragment names: #/runs/ID?filter=x.
async function route() {
  const [path, query] = (location.hash.slice(1) || "/scripts").split("?");
  const [, name, ...rest] = path.split("/");
  const show = views[name];
  if (!show) { location.hash = "#/scripts"; return; }
  const changed = name !== current;
  if (changed) { leave?.(); leave = null; }
  current = name;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const title = name[0].toUpperCase() + name.slice(1);
  document.getElementById("title").textContent = title;
  document.title = title + " · callback console";
  try {
    const end = await show(view, { path: rest.map(decodeURIComponent), query: new URLSearchParams(query), changed });
    if (changed && end) leave = end;
  } catch (error) {
    fill(view, h(".page", h(".panel", h(".fault", error.message), h("p", h("button", { onclick: route }, "Try again")))));
  }
}

const themes = ["system", "dark", "light"];
const themeButton = document.getElementById("theme");
function setTheme(name) {
  if (name === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  themeButton.textContent = "Theme: " + name;
  themeButton.setAttribute("aria-label", "Theme: " + name);
  try { localStorage.setItem("callback-theme", name); } catch { /* storage is off: the choice lasts for the page */ }
}
themeButton.addEventListener("click", () => {
  const now = document.documentElement.dataset.theme || "system";
  setTheme(themes[(themes.indexOf(now) + 1) % themes.length]);
});
let theme = "system";
try { theme = localStorage.getItem("callback-theme") || theme; } catch { /* as above */ }
setTheme(themes.includes(theme) ? theme : "system");

const help = document.getElementById("help");
document.getElementById("keys").addEventListener("click", () => help.showModal());

let pending = ""; // the first key of a command of two keys
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const target = event.target;
  if (target.matches("input, textarea, select") || document.querySelector("dialog[open]")) {
    if (event.key === "Escape" && target.matches("input, textarea, select")) target.blur();
    return;
  }
  const key = pending + event.key;
  pending = "";
  switch (key) {
    case "g": pending = "g"; setTimeout(() => { pending = ""; }, 1200); return;
    case "gs": location.hash = "#/scripts"; break;
    case "gt": location.hash = "#/try"; break;
    case "gr": location.hash = "#/runs"; break;
    case "gq": if (store.state?.queue) location.hash = "#/queue"; break;
    case "?": help.showModal(); break;
    default:
      if (current !== "runs" || !runsKey(event.key)) return;
  }
  event.preventDefault();
});

const live = document.getElementById("live");
function follow() {
  api.follow((run) => store.add(run), (on) => {
    live.classList.toggle("on", on);
    live.setAttribute("aria-label", on ? "live" : "not connected");
    if (on) store.reload().catch((error) => notice(error.message));
  });
}

window.addEventListener("hashchange", route);
try {
  await store.reload();
  document.querySelector('nav a[data-view="queue"]').hidden = !store.state.queue;
} catch (error) {
  notice(error.message);
}
follow();
await route();
