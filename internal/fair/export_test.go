package fair

// Remembered returns how many credentials are remembered.
func (p *Places) Remembered() int { return len(p.owners) }
