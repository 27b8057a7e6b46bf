// Try: a request by hand, or like a provider's with its signature.
import * as api from "./api.js";
import { h, fill, notice, credentialName } from "./dom.js";
import { store } from "./store.js";
import { runDetail } from "./run.js";

let draft = { target: "", method: "GET", query: "", contentType: "", headers: "", body: "", player: "", preset: "", key: "" };
let presets = [];

export async function showTry(view, { query }) {
  [store.state, presets] = await Promise.all([api.getState(), api.getPresets().then((p) => p.presets)]);
  const targets = store.state.keys.flatMap((key) => key.scripts.map((s) => ({ apiKey: key.apiKey, credential: s.credential })));
  if (query.has("credential")) draft.target = JSON.stringify([query.get("apiKey"), query.get("credential")]);
  if (!draft.target && targets.length) draft.target = JSON.stringify([targets[0].apiKey, targets[0].credential]);
  const result = h("div", { "aria-live": "polite" }, h("p.empty", "The answer will be here."));
  fill(view, h(".split", form(targets, result), result));
  return null;
}

function form(targets, result) {
  const field = (name, input) => {
    input.id = "try-" + name;
    input.value = draft[name];
    input.addEventListener("input", () => { draft[name] = input.value; });
    return input;
  };
  const methods = ["GET", "POST", ...store.state.methods];
  const target = field("target", h("select", targets.map((t) => h("option", { value: JSON.stringify([t.apiKey, t.credential]) },
    (t.apiKey ? t.apiKey + " / " : "") + credentialName(t.credential)))));
  const method = field("method", h("select", methods.map((m) => h("option", m))));
  const query = field("query", h("input.mono", { placeholder: "name=Ada&level=7", spellcheck: "false", autocomplete: "off" }));
  const contentType = field("contentType", h("input.mono", { list: "try-types", placeholder: "application/json", spellcheck: "false", autocomplete: "off" }));
  const headers = field("headers", h("textarea", { rows: 3, placeholder: "X-Signature: abc", spellcheck: "false" }));
  const body = field("body", h("textarea", { rows: 10, spellcheck: "false" }));
  const player = field("player", h("input.mono", { autocomplete: "off", spellcheck: "false" }));
  const key = field("key", h("input.mono", { autocomplete: "off", spellcheck: "false", type: "password" }));
  const keyLabel = h("span", "Signing key");
  const signing = h("fieldset", { hidden: true }, h("label", keyLabel, key));
  const preset = field("preset", h("select", h("option", { value: "" }, "None"), presets.map((p) => h("option", { value: p.name }, p.title))));
  const setPreset = () => {
    const p = presets.find((p) => p.name === preset.value);
    signing.hidden = !p;
    if (p) keyLabel.textContent = p.keyLabel;
  };
  preset.addEventListener("change", () => {
    const p = presets.find((p) => p.name === preset.value);
    setPreset();
    if (!p) return;
    for (const [input, name, value] of [[method, "method", "POST"], [contentType, "contentType", p.contentType], [headers, "headers", p.headers], [body, "body", p.body], [query, "query", ""], [key, "key", draft.key || p.key]]) {
      input.value = draft[name] = value;
    }
  });
  setPreset();
  const send = h("button.primary", { type: "submit" }, "Send");
  const submit = async (event) => {
    event?.preventDefault();
    if (send.disabled) return;
    send.disabled = true;
    const [apiKey, credential] = JSON.parse(draft.target || '["",""]');
    const { method, query, contentType, headers, body, player, preset, key } = draft;
    try {
      const run = await api.tryCall({ apiKey, credential, method, query, contentType, headers, body, player, preset, key });
      fill(result, runDetail(run));
    } catch (error) {
      notice(error.message);
    }
    send.disabled = false;
  };
  const element = h("form.panel", { onsubmit: submit, onkeydown: (e) => { if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) submit(e); } },
    h("h2", "Request"),
    h("fieldset", h("label", "Script", target)),
    h("fieldset", h("label", "Like a provider's webhook", preset)),
    signing,
    h("fieldset.row", h("label", "Method", method), h("label", "Query", query)),
    h("fieldset", h("label", "Content type", contentType)),
    h("datalist", { id: "try-types" }, ["application/json", "application/x-www-form-urlencoded", "text/plain; charset=utf-8", "text/xml"].map((t) => h("option", { value: t }))),
    h("fieldset", h("label", "Headers, one a line", headers)),
    h("fieldset", h("label", "Body", body)),
    h("fieldset", h("label", "Player id", player)),
    h(".bar", send, h("span.dim.small", h("kbd", "Ctrl"), " ", h("kbd", "Enter"))));
  return element;
}
