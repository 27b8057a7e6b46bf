package cloudcode

import "strings"

// Nearest finds the name in the lists that a misspelt name most likely means, or
// returns "".
func Nearest(name string, lists ...[]string) (near string) {
	best := 1 + min(len(name)/4, 3)
	for _, list := range lists {
		for _, known := range list {
			if max(len(name)-len(known), len(known)-len(name)) >= best {
				continue // the distance is at least as large
			}
			if d := distance(strings.ToLower(name), strings.ToLower(known)); d < best {
				best, near = d, known
			}
		}
	}
	return near
}

// distance is the number of bytes to insert, delete or replace to turn a into b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
