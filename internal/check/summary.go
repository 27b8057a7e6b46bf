package check

import (
	"cmp"
	"slices"
	"strings"
)

// A Cause is a fault that is not the consequence of another one, with all places
// where it shows: a missing module, not each line that requires it.
type Cause struct {
	Problem          // at the first place
	Places  int      // number of all places
	Blocks  []string // scripts that cannot run because of it
}

// A Missing is a member of Spark that the host must supply. For members of
// players it is getPlayer, because the player of the library has only an id.
type Missing struct {
	Cause
	Scripts int            // that use it
	Uses    map[string]int // members called on its result, or requests that it gets to send, if that is plain
}

// A cause identifies the cause of problems.
type cause struct {
	kind    Kind
	name    string // a missing module, or a member
	script  string // for anything else, with its place and message
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

// supplying returns the member of Spark through which the host supplies a member.
// If the member belongs to that one's result, it returns the member, too.
func supplying(member string) (of, use string) {
	if class, name, _ := strings.Cut(member, "."); class != "Spark" {
		return "Spark.getPlayer", name
	}
	return member, ""
}

// summarize finds the causes of the problems.
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

// blockedBy lists the causes that keep the script from running.
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
