// The console's server, as functions. A failed call throws an Error whose
// message can be shown.

async function call(path, options) {
  let response;
  try {
    response = await fetch(path, { headers: { Accept: "application/json" }, ...options });
  } catch {
    throw new Error("the server does not answer");
  }
  if (!response.ok) {
    let message = response.status + " " + response.statusText;
    try { message = (await response.json()).error || message; } catch { /* no JSON: keep the status */ }
    throw new Error(message);
  }
  return response;
}

const json = async (path, options) => (await call(path, options)).json();
const post = (path, body) => json(path, {
  method: "POST", headers: { "Content-Type": "application/json", Accept: "application/json" }, body: JSON.stringify(body),
});

export const getState = () => json("api/state");
export const getPresets = () => json("api/presets");
export const getSource = (apiKey, file) => json("api/source?" + new URLSearchParams({ apiKey, file }));
export const getRuns = () => json("api/runs");
export const getRun = (id) => json("api/runs/" + encodeURIComponent(id));
export const getCase = async (id) => (await call("api/runs/" + encodeURIComponent(id) + "/case")).text();
export const replay = (id) => post("api/runs/" + encodeURIComponent(id) + "/replay", {});
export const tryCall = (request) => post("api/try", request);
export const getQueue = () => json("api/queue");
export const getJob = (id) => json("api/queue/" + encodeURIComponent(id));
export const queueAction = (id, action) => post("api/queue/" + encodeURIComponent(id), { action });

// follow calls onRun for each new run until the page is closed. It calls onState
// with true when it is connected, and with false when it is not.
export function follow(onRun, onState) {
  const source = new EventSource("api/events");
  source.addEventListener("run", (event) => onRun(JSON.parse(event.data)));
  source.addEventListener("open", () => onState(true));
  source.addEventListener("error", () => onState(false));
}
