package callback

// Stuck returns how many runs g has abandoned that have not ended yet.
func (g *GojaRunner) Stuck() int64 { return g.engine.Stuck() }

// CountCompares has f called for each secret that h compares with a given one.
func (h *Handler) CountCompares(f func()) {
	h.equal = func(a, b Secret) int {
		f()
		return constantTimeEqual(a, b)
	}
}

// Held returns how many bytes of request bodies and of answers h holds.
func (h *Handler) Held() (bodies, answers int64) { return h.bodies.Bytes(), h.answers.Bytes() }
