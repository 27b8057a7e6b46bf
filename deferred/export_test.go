package deferred

// Owners returns how many credentials the Worker remembers.
func (w *Worker) Owners() int {
	w.limits.mu.Lock()
	defer w.limits.mu.Unlock()
	return len(w.limits.owners)
}

// Marked returns of how many scripts the Runner remembers their first line.
func (r *Runner) Marked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.marked)
}
