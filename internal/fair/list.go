package fair

// A list is a list of owners that have waiters. The first has waited longest.
type list struct{ first, last *owner }

// best returns the owner in the list that holds the fewest places. The search is
// short, because only as many owners hold something as there are places.
func (l *list) best() (best *owner) {
	for o := l.first; o != nil; o = o.next {
		if best == nil || o.held < best.held {
			best = o
		}
		if best.held == 0 {
			break
		}
	}
	return best
}

// append makes the owner the last of the list.
func (l *list) append(o *owner) {
	o.in, o.previous, o.next = l, l.last, nil
	if l.last != nil {
		l.last.next = o
	} else {
		l.first = o
	}
	l.last = o
}

// remove takes the owner out of the list.
func (l *list) remove(o *owner) {
	if o.previous != nil {
		o.previous.next = o.next
	} else {
		l.first = o.next
	}
	if o.next != nil {
		o.next.previous = o.previous
	} else {
		l.last = o.previous
	}
	o.in, o.previous, o.next = nil, nil, nil
}
