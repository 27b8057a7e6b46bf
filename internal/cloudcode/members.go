package cloudcode

import (
	_ "embed"
	"maps"
	"slices"
	"strings"
	"sync"
)

//go:embed members.txt
var membersText string

// members are the members of members.txt by class, read on the first use.
var members = sync.OnceValue(func() map[string][]string {
	classes := map[string][]string{}
	class := ""
	for line := range strings.Lines(membersText) {
		names := strings.Fields(line)
		switch {
		case len(names) == 0 || names[0] == "#":
		case line[0] == '\t':
			classes[class] = append(classes[class], names...)
		default:
			class = names[0]
		}
	}
	return classes
})

// Members lists the members that the original system documented for a class and
// this library does not carry, sorted.
func Members(class string) []string { return slices.Clone(members()[class]) }

// Has reports whether the original documented the member and this library does
// not carry it.
func Has(class, name string) bool {
	_, ok := slices.BinarySearch(members()[class], name)
	return ok
}

// Classes lists the classes that have Members, sorted.
func Classes() []string { return slices.Sorted(maps.Keys(members())) }
