package deferred

// Owners returns how many credentials the Worker remembers.
func (w *Worker) Owners() int {
	w.limits.mu.Lock()
	defer w.limits.mu.Unlock()
	return len(w.limits.owners)
}
