// Scripts: each credential with its URL's shape, version, problems and last
// outcomes.
import * as api from "./api.js";
import { h, fill, ms, outcomeClass, outcomeTag, credentialName, copy } from "./dom.js";
import { store } from "./store.js";

export async function showScripts(view, { path, changed }) {
  if (path.length === 2) {
    await showSource(view, path[0], path[1]);
    return null;
  }
  store.state = await api.getState();
  const draw = () => { if (location.hash.split("?")[0].split("/").length <= 2) drawList(view); };
  drawList(view);
  return changed ? store.onChange(draw) : null;
}

function drawList(view) {
  const keys = store.state.keys;
  if (!keys.length) {
    fill(view, h(".page", h(".panel", h("p.empty", "There are no scripts yet. Put one into callbacks/NAME.js of the folder of scripts."))));
    return;
  }
  fill(view, h(".page", keys.map((key) => h("section.panel",
    h("h2", key.apiKey || "All API keys", key.version && h("span.dim.small", "  version ", h("span.mono", short(key.version)))),
    key.error && h(".fault", key.error),
    h(".scroll", h("table.scripts",
      h("thead", h("tr", ["Credential", "URL", "Version", "Problems", "Last runs"].map((t) => h("th", { scope: "col" }, t)), h("th", { scope: "col" }, h("span.unseen", "Actions")))),
      h("tbody", key.scripts.map((script) => row(key, script))))),
    key.modules.length > 0 && [h("h3", "Modules"), h("p", key.modules.map((m) => [
      h("a.mono", { href: sourceLink(key.apiKey, m.file) }, m.name),
      m.problems.length ? h("span.tag." + worst(m.problems), m.problems.length) : null, " "]))],
  ))));
}

function row(key, script) {
  const runs = store.runs.filter((run) => run.credential === script.credential && (!key.apiKey || run.apiKey === key.apiKey)).slice(0, 40).reverse();
  const slowest = Math.max(...runs.map((run) => run.ms), 1);
  const spark = h("span.spark", { role: "group", "aria-label": "last runs" }, runs.map((run) => {
    const bar = h("a." + outcomeClass(run.outcome), {
      href: "#/runs/" + run.id, title: run.outcome + ", " + ms(run.ms), "aria-label": run.outcome + " in " + ms(run.ms), tabindex: "-1",
    });
    bar.style.height = Math.max(15, Math.round(100 * run.ms / slowest)) + "%";
    return bar;
  }));
  const last = runs[runs.length - 1];
  return h("tr",
    h("td", h("a", { href: sourceLink(key.apiKey, script.file) }, credentialName(script.credential))),
    h("td.mono.dim", script.url),
    h("td.mono.dim", short(script.version || "")),
    h("td", script.problems.length
      ? h("a", { href: sourceLink(key.apiKey, script.file) }, h("span.tag." + worst(script.problems), count(script.problems.length, "problem")))
      : h("span.dim", "none")),
    h("td", last && [spark, " "], last ? h("a", { href: "#/runs/" + last.id }, outcomeTag(last.outcome)) : h("span.dim", "no runs")),
    h("td.num", h("a.button", { href: "#/try?" + new URLSearchParams({ apiKey: key.apiKey, credential: script.credential }) }, "Try")));
}

async function showSource(view, apiKey, file) {
  const source = await api.getSource(apiKey, file);
  const at = new Map(source.problems.map((p) => [p.line, p]));
  fill(view, h(".page",
    h(".bar", h("a", { href: "#/scripts" }, "← Scripts"), h("h2.mono", file), h("span.grow"),
      h("button", { onclick: () => copy(source.text, "Source") }, "Copy")),
    source.problems.map((p) => h(p.fatal ? ".fault" : ".panel",
      h("span.mono", p.line ? p.line + ":" + p.column + "  " : ""), p.message)),
    h(".source", { tabindex: "0", "aria-label": "source of " + file },
      source.text.split("\n").map((text, i) => h(at.has(i + 1) ? "div.hit" : "div", h("i", i + 1), text || " ")))));
}

export function sourceLink(apiKey, file) {
  return "#/scripts/" + encodeURIComponent(apiKey) + "/" + encodeURIComponent(file);
}

function worst(problems) { return problems.some((p) => p.fatal) ? "bad" : "warn"; }
function count(n, what) { return n + " " + what + (n === 1 ? "" : "s"); }
export function short(version) { return version.length > 12 ? version.slice(0, 12) : version; }
