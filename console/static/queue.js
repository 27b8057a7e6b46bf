// Queue: runs that wait, are retried or are dead.
import * as api from "./api.js";
import { h, fill, moment, credentialName, notice, showText } from "./dom.js";

export async function showQueue(view, { changed }) {
  const draw = async () => {
    const queue = await api.getQueue();
    fill(view, h(".page",
      h(".bar", ["queued", "running", "retrying", "dead"].map((state) => h("span.tag" + (state === "dead" && queue.counts.dead ? ".bad" : ""), (queue.counts[state] || 0) + " " + state)),
        h("span.grow"), h("button", { onclick: () => draw().catch((e) => notice(e.message)) }, "Refresh")),
      queue.jobs.length === 0 ? h(".panel", h("p.empty", "Nothing waits, and nothing is dead.")) : h(".panel.scroll", table(queue.jobs, draw))));
  };
  await draw();
  if (!changed) return null;
  // The next draw begins five seconds after the previous one has ended, so that a slow queue gets one request at a time.
  let closed = false;
  let timer;
  const later = () => {
    timer = setTimeout(async () => {
      await draw().catch((e) => notice(e.message));
      if (!closed) later();
    }, 5000);
  };
  later();
  return () => {
    closed = true;
    clearTimeout(timer);
  };
}

function table(jobs, draw) {
  return h("table",
    h("thead", h("tr", ["State", "Credential", "Run", "Accepted", "Attempts", "Next", "Last error"].map((t) => h("th", { scope: "col" }, t)), h("th", { scope: "col" }, h("span.unseen", "Actions")))),
    h("tbody", jobs.map((job) => h("tr",
      h("td", h("span.tag." + (job.state === "dead" ? "bad" : job.state === "retrying" ? "warn" : "ok"), job.state)),
      h("td", (job.apiKey ? job.apiKey + " / " : "") + credentialName(job.credential)),
      h("td.mono.small", h("a", { href: "#/runs/" + job.run }, job.run)),
      h("td.small", moment(job.accepted)),
      h("td.num", job.attempts + " of " + job.maxAttempts),
      h("td.small", job.next ? moment(job.next) : ""),
      h("td.small", job.error || ""),
      h("td", details(job), actions(job).map((action) => act(job, action, draw)))))));
}

// details shows the errors of all attempts.
function details(job) {
  return h("button", {
    onclick: async () => {
      try {
        showText("Run " + job.run, JSON.stringify(await api.getJob(job.id), null, 2));
      } catch (error) {
        notice(error.message);
      }
    },
  }, "Details");
}

const retry = { name: "retry", label: "Retry", title: "Runs it again" };
const retryOwn = { name: "retry", label: "Retry", title: "Runs it again, with the version of the scripts that it was accepted with" };
const retryLive = { name: "retry-live", label: "Retry live", title: "Runs it again, with the version that is live now" };
const drop = { name: "drop", label: "Drop", title: "Gives it up" };

// actions are what an operator can do with a job. A job without a version always
// runs the live one, so it has a single Retry.
function actions(job) {
  if (job.state !== "dead" && job.state !== "retrying") return [];
  return job.version ? [retryOwn, retryLive, drop] : [retry, drop];
}

function act(job, action, draw) {
  return h("button", {
    title: action.title,
    onclick: async () => {
      try {
        await api.queueAction(job.id, action.name);
        await draw();
      } catch (error) {
        notice(error.message);
      }
    },
  }, action.label);
}
