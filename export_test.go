package callback

// Stuck returns how many runs g has abandoned that have not ended yet.
func (g *GojaRunner) Stuck() int64 { return g.stuck.Load() }
