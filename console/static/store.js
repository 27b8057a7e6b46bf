// The runs that the page knows of, newest first, and the state of the host.
import * as api from "./api.js";

const listeners = new Set();

export const store = {
  runs: [],
  state: null,
  max: 10000,

  // reload reads everything anew, as at the start and after the connection
  // was lost.
  async reload() {
    const [state, runs] = await Promise.all([api.getState(), api.getRuns()]);
    this.state = state;
    this.runs = runs.runs;
    this.tell();
  },

  add(run) {
    if (this.runs.some((known, i) => i < 50 && known.id === run.id)) return;
    this.runs.unshift(run);
    if (this.runs.length > this.max) this.runs.length = this.max;
    this.tell(run);
  },

  // onChange calls f after each change and returns a function that ends that.
  onChange(f) {
    listeners.add(f);
    return () => listeners.delete(f);
  },

  tell(run) { for (const f of listeners) f(run); },
};
