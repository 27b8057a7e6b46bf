// One run: the answer, the error with its source, the log, and where the time
// went. Try, Runs and Replay show it alike.
import * as api from "./api.js";
import { h, ms, bytes, clock, moment, outcomeTag, credentialName, copy, pretty, notice, showText } from "./dom.js";
import { sourceLink, short } from "./scripts.js";

// runDetail shows a run. It has buttons only for what the server's record of the
// run allows.
export function runDetail(run, { onReplay } = {}) {
  return h("section", { "aria-label": "run " + run.id },
    h(".bar",
      outcomeTag(run.outcome), h("span.status", run.status || ""),
      h("span", credentialName(run.credential)), h("span.dim", ms(run.ms)), h("span.grow"),
      run.replayable && onReplay && h("button", { onclick: onReplay }, "Replay"),
      run.replayable && h("button", { onclick: () => saveCase(run) }, "Save as case"),
      run.curl && h("button", { onclick: () => copy(run.curl, "curl line") }, "Copy as curl"),
      onReplay && h("a.button", { href: "#/runs", "aria-label": "close the run" }, "Close")),
    run.error && errorPanel(run),
    run.answer && answerPanel(run.answer),
    run.log?.length > 0 && h(".panel", h("h2", "Log"), logLines(run)),
    h(".panel", h("h2", "Time"), waterfall(run)),
    h(".panel", h("h2", "Call"), facts(run)),
    run.request && requestPanel(run.request));
}

function errorPanel(run) {
  const e = run.error;
  const where = e.script ? e.script + (e.line ? ":" + e.line + ":" + e.column : "") : "";
  return h(".panel", h("h2", "Error"),
    h(".fault", e.message),
    where && h("p", h("a.mono", { href: sourceLink(run.apiKey, e.script) }, where)),
    e.excerpt && h(".source", e.excerpt.map((line) => h(line.hit ? "div.hit" : "div", h("i", line.n), line.text || " "))),
    e.stack && h("details", h("summary.small.dim", "Stack"), h("pre", e.stack)));
}

function answerPanel(answer) {
  const body = h("pre.wrap", { tabindex: "0", "aria-label": "body of the answer" }, answer.text);
  const indented = pretty(answer.text);
  let shown = answer.text;
  return h(".panel",
    h(".bar", h("h2", "Answer"), h("span.dim.small", bytes(answer.bytes)), h("span.grow"),
      indented !== answer.text && h("button.quiet", {
        onclick: (event) => {
          shown = shown === indented ? answer.text : indented;
          body.textContent = shown;
          event.target.textContent = shown === indented ? "As sent" : "Pretty";
        },
      }, "Pretty"),
      h("button.quiet", { onclick: () => copy(answer.text, "Body") }, "Copy")),
    answer.binary ? h("p.dim", "The body is not text: ", bytes(answer.bytes), ".") : answer.text === "" ? h("p.dim", "The body is empty.") : body,
    h("details", h("summary.small.dim", "Headers"), headerTable(answer.headers)));
}

function headerTable(headers) {
  return h("table", h("tbody", headers.map(([name, value]) => h("tr", h("td.mono", name), h("td.mono", value)))));
}

function requestPanel(request) {
  return h(".panel", h("h2", "Request"),
    h("h3", "Data"), h("pre.wrap", pretty(JSON.stringify(request.data))),
    request.headers.length > 0 && [h("h3", "Headers that the script saw"), headerTable(request.headers)]);
}

function logLines(run) {
  return h("ul.log", run.log.map((line) => h("li",
    h("span.dim", "+" + ms(line.ms)),
    h("span." + (line.level === "ERROR" ? "bad" : line.level === "WARN" ? "warn" : "dim"), line.level),
    h("span.text", line.message, line.attrs?.map(([k, v]) => [" ", h("span.dim", k + "="), v])),
    line.script && h("a", { href: sourceLink(run.apiKey, line.script) }, line.script + (line.line ? ":" + line.line : "")))));
}

// waterfall shows queue, computing, outbound requests and host functions on one
// line of time.
function waterfall(run) {
  const whole = Math.max(run.ms, 0.001);
  const rows = [["whole call", 0, run.ms, "c"]];
  if (run.queuedMs > 0) rows.push(["waited for a place", 0, run.queuedMs, "q"]);
  if (run.computedMs > 0) rows.push(["computed (in all)", run.queuedMs || 0, run.computedMs, "c"]);
  for (const o of run.outbound || []) rows.push([o.method + " " + o.host, o.startMs, o.ms, o.error ? "x" : "o", o.error || o.status + ", " + bytes(o.bytes)]);
  for (const f of run.functions || []) rows.push([f.name + "()", f.startMs, f.ms, f.error ? "x" : "h", f.error]);
  return h(".fall", rows.map(([name, start, length, kind, title]) => {
    const x = 100 * Math.min(Math.max(start, 0), whole) / whole;
    const width = Math.max(100 * length / whole, 0.4);
    const bar = h("rect." + kind, { x: Math.min(x, 99.6) + "%", y: 0, width: Math.min(width, 100 - Math.min(x, 99.6)) + "%", height: "100%", rx: 1.5 });
    return [h("span.name", { title: title || name }, name),
      h("span.track", h("svg", { "aria-hidden": "true", preserveAspectRatio: "none" }, bar)), h("span.num", ms(length))];
  }));
}

function facts(run) {
  const pairs = [
    ["Time", moment(run.time)], ["Run", run.id], ["API key", run.apiKey], ["Player", run.player], ["Client", run.client],
    ["Method", run.method], ["Script", run.script], ["Version", run.version && short(run.version)],
    ["Bytes in, out", bytes(run.bytesIn || 0) + ", " + bytes(run.bytesOut || 0)], ["Came by", run.origin],
    ["Child's CPU", run.childCpuMs ? ms(run.childCpuMs) : ""], ["Child's memory", run.childMemory ? bytes(run.childMemory) : ""],
  ];
  return h("dl.facts", pairs.filter(([, value]) => value).map(([name, value]) => [h("dt", name), h("dd.mono", value)]));
}

async function saveCase(run) {
  try {
    const text = await api.getCase(run.id);
    const link = h("a", { download: credentialName(run.credential) + "-" + run.id.slice(0, 8) + ".txtar", href: URL.createObjectURL(new Blob([text], { type: "text/plain" })) });
    link.click();
    URL.revokeObjectURL(link.href);
    showText("Case file", text);
  } catch (error) {
    notice(error.message);
  }
}

// compare shows two answers side by side, with the lines that differ marked.
export function compare(before, after) {
  const left = lines(before), right = lines(after);
  const same = common(left, right);
  const column = (title, all, kept, mark) => h("div", h("h3", title), h("pre", { tabindex: "0" },
    all.map((line, i) => h(kept.has(i) ? "div" : "div." + mark, line || " "))));
  return h(".panel", h("h2", left.join("\n") === right.join("\n") ? "The answer is the same" : "The answer differs"),
    h(".diff", column("Recorded", left, same.left, "del"), column("Now", right, same.right, "add")));
}

function lines(run) {
  const answer = run.answer || { headers: [], text: "" };
  return [String(run.status), ...answer.headers.map(([n, v]) => n + ": " + v), "", ...pretty(answer.text).split("\n")].slice(0, 2000);
}

// common finds a longest common subsequence and returns its indexes.
function common(a, b) {
  const size = b.length + 1;
  const table = new Uint16Array((a.length + 1) * size);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      table[i * size + j] = a[i] === b[j] ? table[(i + 1) * size + j + 1] + 1
        : Math.max(table[(i + 1) * size + j], table[i * size + j + 1]);
    }
  }
  const left = new Set(), right = new Set();
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    if (a[i] === b[j]) { left.add(i++); right.add(j++); }
    else if (table[(i + 1) * size + j] >= table[i * size + j + 1]) i++;
    else j++;
  }
  return { left, right };
}
