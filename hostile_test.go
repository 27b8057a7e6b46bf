package callback_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback/internal/testkit"
)

// These tests run the scripts of testdata/hostile, each in a server that is a
// process of its own: this test program, started once more. So the test names
// the script that ends its server. testdata/hostile/README.md describes the
// files and the environment variables.

const (
	hostileTimeout  = 100 * time.Millisecond // of a script that does not end
	hostileLate     = 500 * time.Millisecond // after that, an answer is late: by the server's Clock
	hostilePatience = 2 * time.Minute        // of a script that ends by itself
	hostileBurn     = 30 * time.Second       // a run that still computes so long after its answer is burning
	hostileData     = 3 << 20                // KiB that a server can allocate before it dies
	hostileHeap     = 192 << 20              // bytes that a server may retain of what it ran
)

// A hostileScript is a file of testdata/hostile.
type hostileScript struct {
	name, class string
	process     string // status from a callback.GojaRunner; "" if it cannot contain the script
	sandbox     string // status from a sandbox.Runner
	deep        bool   // too slow for the fast tier
	source      string
}

// status is the right status from a runner.
func (s *hostileScript) status(mode string) string {
	if mode == "sandbox" || s.process == "" {
		return s.sandbox
	}
	return s.process
}

// readHostile reads testdata/hostile.
func readHostile() ([]hostileScript, error) {
	files, err := filepath.Glob("testdata/hostile/*.js")
	if err != nil {
		return nil, err
	}
	scripts := make([]hostileScript, len(files))
	inClass := map[string]int{} // scripts that do not end
	for i, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		s := &scripts[i]
		s.name = strings.TrimSuffix(filepath.Base(file), ".js")
		if err := s.parse(string(text)); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if s.sandbox == "504" { // every fourth of these is enough for the fast tier
			s.deep = s.deep || inClass[s.class]%4 != 0
			inClass[s.class]++
		}
	}
	return scripts, nil
}

// parse takes the lines "// key: value" off the text. The rest is the source.
func (s *hostileScript) parse(text string) error {
	contained := true
	var made strings.Builder
head:
	for {
		line, rest, _ := strings.Cut(text, "\n")
		comment, ok := strings.CutPrefix(line, "// ")
		key, value, isPair := strings.Cut(comment, ": ")
		if !ok || !isPair {
			break
		}
		switch key {
		case "class":
			s.class = value
		case "expect":
			s.process, s.sandbox = value, value
		case "sandbox":
			s.sandbox = value
		case "needs":
			contained = value != "sandbox"
		case "tier":
			s.deep = value == "deep"
		case "repeat":
			if err := repeat(&made, value); err != nil {
				return err
			}
		default:
			break head // the script's own comment
		}
		text = rest
	}
	if !contained {
		s.process = ""
	}
	for _, status := range []string{s.status("process"), s.sandbox} {
		if n, err := strconv.Atoi(status); err != nil || http.StatusText(n) == "" {
			return fmt.Errorf("expects the status %q", status)
		}
	}
	if s.class == "" {
		return errors.New("has no class")
	}
	s.source = made.String() + text
	return nil
}

// repeat writes what a line such as `1000 "text {i}"` stands for.
func repeat(made *strings.Builder, value string) error {
	count, quoted, _ := strings.Cut(value, " ")
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	text, err := strconv.Unquote(quoted)
	if err != nil {
		return err
	}
	for i := range n {
		made.WriteString(strings.ReplaceAll(text, "{i}", strconv.Itoa(i)))
	}
	return nil
}

const (
	honestScript = `
		var parts = "a-b-c".split("-").map(function (s) { return s.toUpperCase() });
		Spark.setScriptData("honest", JSON.parse(JSON.stringify({ parts: parts, n: parts.length })));
	`
	honestAnswer = `{"honest":{"parts":["A","B","C"],"n":3}}`
)

// hostileOutcome is what became of one script.
type hostileOutcome struct {
	script              *hostileScript
	want                string // status
	answer              hostileAnswer
	dead, late, burning bool
	next                string // what was wrong with the answer to the next caller
	heap                uint64
	cause               string // of death
}

func (o *hostileOutcome) held() bool {
	return !o.dead && !o.late && !o.burning && o.next == "" && o.heap < hostileHeap && strconv.Itoa(o.answer.status) == o.want
}

func (o *hostileOutcome) String() string {
	text := fmt.Sprintf("%s: status %d, want %s, after %v, heap %d MiB", o.script.name, o.answer.status, o.want, o.answer.took, o.heap>>20)
	for name, is := range map[string]bool{"late": o.late, "burning": o.burning, "dead: " + o.cause: o.dead, o.next: o.next != ""} {
		if is {
			text += ", " + name
		}
	}
	return text
}

// try runs one hostile script, and then one that is not. If the hostile script was
// not contained, the server must not be used again.
func (s *hostileServer) try(script *hostileScript, mode string) *hostileOutcome {
	o := &hostileOutcome{script: script, want: script.status(mode)}
	path := "patient"
	if o.want == "504" {
		path = "hasty"
	}
	o.answer = s.call(path, script.name)
	o.late = path == "hasty" && o.answer.took > hostileTimeout+hostileLate
	if o.answer.status != 0 || !s.dead() {
		next := s.call("patient", "honest")
		if next.status != http.StatusOK || next.body != honestAnswer {
			o.next = fmt.Sprintf("next caller: %d %q", next.status, next.body)
		}
		state, settled := s.settle()
		o.heap, o.burning = state.Heap, !settled
	}
	if !o.held() && s.dead() {
		o.dead, o.late, o.burning, o.cause = true, false, false, s.cause()
	}
	return o
}

// heavyClasses are those whose memory or stacks the race detector multiplies.
var heavyClasses = []string{"growing-allocation", "single-allocation", "native-loops", "parser", "recursion", "regex"}

func TestHostileInProcess(t *testing.T) {
	t.Parallel()
	testHostile(t, "process")
}

func TestHostileInSandbox(t *testing.T) {
	t.Parallel()
	testHostile(t, "sandbox")
}

// testHostile runs the scripts that a runner must contain.
func testHostile(t *testing.T, mode string) {
	if runtime.GOOS != "linux" {
		t.Skip("the limit on a server's memory needs Linux")
	}
	filter, all := os.Getenv("CALLBACK_HOSTILE"), os.Getenv("CALLBACK_HOSTILE_ALL") != ""
	corpus, err := readHostile()
	require.NoError(t, err)
	corpus = slices.DeleteFunc(corpus, func(s hostileScript) bool { return !strings.Contains(s.name, filter) })
	require.NotEmpty(t, corpus, "no script has %q in its name", filter)

	servers := &hostileServers{mode: mode}
	t.Cleanup(servers.stop)
	tally := newHostileTally(mode)
	t.Cleanup(func() { t.Log(tally) })
	for _, script := range corpus {
		tally.count(&script)
		if mode == "process" && script.process == "" && !all {
			continue
		}
		t.Run(script.name, func(t *testing.T) {
			if script.deep && filter == "" && !all {
				testkit.SkipUnlessDeep(t)
			}
			if slices.Contains(heavyClasses, script.class) && !all {
				testkit.SkipUnderRace(t, "multiplies what scripts of class "+script.class+" allocate")
			}
			t.Parallel()
			server := servers.take(t)
			outcome := server.try(&script, mode)
			if outcome.held() {
				servers.put(server)
			} else {
				server.stop()
			}
			tally.add(outcome)
			switch {
			case all:
				t.Log(outcome)
			case !outcome.held():
				t.Error(outcome)
			}
		})
	}
}

// A hostileTally counts by class what became of the scripts.
type hostileTally struct {
	mode    string
	mu      sync.Mutex
	classes map[string]*hostileClass
}

type hostileClass struct{ scripts, needSandbox, ran, held, burning, dead int }

func newHostileTally(mode string) *hostileTally {
	return &hostileTally{mode: mode, classes: map[string]*hostileClass{}}
}

// count counts a script of the corpus.
func (c *hostileTally) count(script *hostileScript) {
	for _, name := range []string{script.class, "all"} {
		if c.classes[name] == nil {
			c.classes[name] = new(hostileClass)
		}
		c.classes[name].scripts++
		if script.process == "" {
			c.classes[name].needSandbox++
		}
	}
}

// add counts what became of a script that ran.
func (c *hostileTally) add(o *hostileOutcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range []string{o.script.class, "all"} {
		class := c.classes[name]
		class.ran++
		switch {
		case o.held():
			class.held++
		case o.dead:
			class.dead++
		case o.burning:
			class.burning++
		}
	}
}

// String is a table.
func (c *hostileTally) String() string {
	var table strings.Builder
	fmt.Fprintf(&table, "hostile scripts, runner: %s\n| class              | scripts | needs sandbox | ran | held | burning | dead |\n", c.mode)
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(c.classes)), func(name string) bool { return name == "all" })
	for _, name := range append(names, "all") {
		n := c.classes[name]
		fmt.Fprintf(&table, "| %-18s | %7d | %13d | %3d | %4d | %7d | %4d |\n", name, n.scripts, n.needSandbox, n.ran, n.held, n.burning, n.dead)
	}
	return table.String()
}
