// Elements, text and numbers. Nothing here sets HTML from a string: whatever a
// script or a caller wrote is shown as text.

// h makes an element: h("a.tag", {href: "#"}, "text", child, [more]).
export function h(spec, ...rest) {
  const [name, ...classes] = spec.split(".");
  const el = name === "svg" || name === "rect"
    ? document.createElementNS("http://www.w3.org/2000/svg", name)
    : document.createElement(name || "div");
  if (classes.length) el.setAttribute("class", classes.join(" "));
  if (rest.length && isAttributes(rest[0])) {
    for (const [key, value] of Object.entries(rest.shift())) {
      if (value == null || value === false) continue;
      if (key.startsWith("on")) el.addEventListener(key.slice(2), value);
      else if (key === "value" || key === "checked" || key === "disabled") el[key] = value;
      else el.setAttribute(key, value === true ? "" : value);
    }
  }
  append(el, rest);
  return el;
}

function isAttributes(x) {
  return x != null && typeof x === "object" && !(x instanceof Node) && !Array.isArray(x);
}

function append(el, children) {
  for (const child of children) {
    if (child == null || child === false) continue;
    if (Array.isArray(child)) append(el, child);
    else el.append(child instanceof Node ? child : String(child));
  }
}

export function fill(el, ...children) {
  el.replaceChildren();
  append(el, children);
  return el;
}

let noticeTimer;
export function notice(text) {
  const el = document.getElementById("notice");
  el.textContent = text;
  el.classList.add("on");
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => el.classList.remove("on"), 2500);
}

export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    notice(what + " copied");
  } catch {
    showText(what, text);
  }
}

// showText shows a text to select, in a dialog.
export function showText(title, text) {
  const dialog = h("dialog.wide", { "aria-label": title },
    h("h2", title), h("pre.wrap", { tabindex: "0" }, text),
    h("form", { method: "dialog" }, h("button", "Close")));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

export function ms(value) {
  if (value == null) return "";
  if (value < 1) return value.toFixed(2) + " ms";
  if (value < 100) return value.toFixed(1) + " ms";
  if (value < 10000) return Math.round(value) + " ms";
  return (value / 1000).toFixed(1) + " s";
}

export function bytes(n) {
  if (n < 1024) return n + " B";
  if (n < 1024 * 1024) return (n / 1024).toFixed(1) + " KiB";
  return (n / 1024 / 1024).toFixed(1) + " MiB";
}

const two = (n) => String(n).padStart(2, "0");

export function clock(iso) {
  const t = new Date(iso);
  return `${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}.${String(t.getMilliseconds()).padStart(3, "0")}`;
}

export function moment(iso) {
  const t = new Date(iso);
  return `${t.getFullYear()}-${two(t.getMonth() + 1)}-${two(t.getDate())} ${clock(iso)}`;
}

export function outcomeClass(outcome) {
  if (outcome === "ok") return "ok";
  if (["script_error", "timeout", "panic", "internal", "unavailable"].includes(outcome)) return "bad";
  return "warn";
}

export function outcomeTag(outcome) {
  return h("span.tag." + outcomeClass(outcome), outcome.replaceAll("_", " "));
}

// credentialName is the name to show. The game's own script has the credential "".
export function credentialName(credential) { return credential || "server"; }

// pretty indents JSON and leaves any other text as it is.
export function pretty(text) {
  try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; }
}
