package check

import (
	"cmp"
	"slices"
	"strings"
)

// A Cause is a fault, at one place or at many, that is not another's
// consequence: a module that is missing, not the lines that require it.
type Cause struct {
	Problem          // at the first place
	Places  int      // all of them
	Blocks  []string // scripts that cannot run for it
}

// A Missing member of Spark is one that the host must supply. That of players is
// getPlayer: the library's player has none of their members but an id.
type Missing struct {
	Cause
	Scripts int            // that use it
	Uses    map[string]int // members called on what it returns, or requests that it is to send, as far as that is plain
}

// cause is what problems are counted by.
type cause struct {
	kind    Kind
	name    string // of a module that is missing, or of a member
	script  string // of anything else, with its place and message
	message string
	line    int
}

func causeOf(p Problem) cause {
	switch p.Kind {
	case Member:
		name, _ := supplying(p.Name)
		return cause{kind: Member, name: name}
	case Module:
		return cause{kind: Module, name: p.Name}
	case Unknown, Old, Foreign:
		return cause{kind: p.Kind, message: p.Message}
	}
	return cause{kind: p.Kind, script: p.Script, message: p.Message, line: p.Line}
}

// supplying is the member of Spark with which the host supplies a member, and
// the member if it is one of what that returns.
func supplying(member string) (of, use string) {
	if class, name, _ := strings.Cut(member, "."); class != "Spark" {
		return "Spark.getPlayer", name
	}
	return member, ""
}

// summarize finds what the problems come from.
func (c *checker) summarize() ([]Cause, []Missing) {
	causes := map[cause]*Cause{}
	scripts := map[cause]map[string]bool{}
	for _, s := range c.scripts {
		for _, p := range s.problems {
			if p.because != nil {
				continue
			}
			key := causeOf(p)
			if causes[key] == nil {
				causes[key], scripts[key] = &Cause{Problem: p}, map[string]bool{}
			}
			causes[key].Places++
			if of, use := supplying(p.Name); p.Kind == Member && use != "" {
				c.use(of, use)
			}
			causes[key].Fatal = causes[key].Fatal || p.Fatal
			scripts[key][s.name] = true
		}
	}
	for _, s := range c.scripts {
		for key := range s.blockedBy(map[*script]bool{}) {
			causes[key].Blocks = append(causes[key].Blocks, s.name)
		}
	}

	var all []Cause
	var missing []Missing
	for key, cause := range causes {
		if key.kind == Member {
			cause.Name = key.name
			missing = append(missing, Missing{*cause, len(scripts[key]), c.uses[key.name]})
		} else {
			all = append(all, *cause)
		}
	}
	slices.SortFunc(all, func(a, b Cause) int {
		return cmp.Or(-cmp.Compare(len(a.Blocks), len(b.Blocks)), -cmp.Compare(a.Places, b.Places),
			cmp.Compare(a.Script, b.Script), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	slices.SortFunc(missing, func(a, b Missing) int {
		return cmp.Or(-cmp.Compare(a.Places, b.Places), cmp.Compare(a.Name, b.Name))
	})
	return all, missing
}

// blockedBy lists the causes for which the script cannot run.
func (s *script) blockedBy(seen map[*script]bool) map[cause]bool {
	keys := map[cause]bool{}
	if seen[s] {
		return keys
	}
	seen[s] = true
	for _, p := range s.problems {
		switch {
		case !p.Fatal:
		case p.because == nil:
			keys[causeOf(p)] = true
		default:
			for key := range p.because.blockedBy(seen) {
				keys[key] = true
			}
		}
	}
	return keys
}
