package deferred

// Owners returns how many credentials the Worker remembers.
func (w *Worker) Owners() int {
	w.limits.mu.Lock()
	defer w.limits.mu.Unlock()
	return len(w.limits.owners)
}

// Marked returns the number of scripts whose first lines the Runner remembers.
func (r *Runner) Marked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.marked)
}
