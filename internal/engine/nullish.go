package engine

import (
	"reflect"
	"regexp"
	"strings"
	"unicode/utf16"

	"github.com/dop251/goja"
	"github.com/dop251/goja/file"

	"example.com/callback/internal/cloudcode"
	"example.com/callback/internal/compiler"
)

// The engine says undefined of null as well.
const (
	cannotRead  = "TypeError: Cannot read property '"
	ofUndefined = "' of undefined"
	orNull      = " or null"
)

// sayNull corrects the first line of an error's text, which the engine has made.
func sayNull(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	if !strings.HasPrefix(line, cannotRead) || !strings.HasSuffix(line, ofUndefined) {
		return text
	}
	return line + orNull + text[len(line):]
}

// decideNull says in an error's message whether the script has read a property of
// null or of undefined, if that can be known without running code of the script.
func (r *run) decideNull(e *ScriptError) {
	subject, ok := strings.CutSuffix(e.Message, ofUndefined+orNull)
	property, isRead := strings.CutPrefix(subject, cannotRead)
	source := r.sourceOf(e.Script)
	if !ok || !isRead || source == nil || r.stopped() {
		return
	}
	receiver, ok := compiler.ReceiverOf(property, source, isModule(e.Script), e.Line, e.Column)
	if !ok {
		return
	}
	value := goja.Null()
	switch {
	case receiver.Null:
	case r.mayHaveChanged(e.Script):
		return
	default:
		value = r.valueAt(receiver)
	}
	switch {
	case value == nil:
	case goja.IsNull(value):
		e.Message = subject + "' of null"
	case goja.IsUndefined(value):
		e.Message = subject + ofUndefined
	}
}

// sourceOf is the source of a script that has run, or nil.
func (r *run) sourceOf(script string) *file.File {
	if script == r.script && r.main != nil {
		return r.main.source
	}
	for code, program := range r.modules.ran {
		if script == cloudcode.Module(code) {
			return program.source
		}
	}
	return nil
}

// jobs matches scripts that may have promise jobs, and handlers those that may handle
// the error of a module and throw it again.
var (
	jobs     = regexp.MustCompile(`\b(async|then|queueMicrotask)\b|\.\s*(catch|finally)\b`)
	handlers = regexp.MustCompile(`(?s)\bfinally\b|\bcatch\b.*\bthrow\b`)
)

// mayHaveChanged reports whether variables may have changed after an error of the
// script, apart from what a try block of its own does.
func (r *run) mayHaveChanged(script string) bool {
	may := func(name string, source *file.File) bool {
		text := source.Source()
		return jobs.MatchString(text) || name != script && handlers.MatchString(text)
	}
	for code, program := range r.modules.ran {
		if may(cloudcode.Module(code), program.source) {
			return true
		}
	}
	return may(r.script, r.main.source)
}

// valueAt is the value of a receiver, or nil if it can only be read by running code.
func (r *run) valueAt(receiver compiler.Receiver) (value goja.Value) {
	defer func() {
		if recover() != nil { // by the engine, for a variable before its declaration
			value = nil
		}
	}()
	// A script cannot replace the functions of another runtime.
	descriptor, ok := goja.AssertFunction(goja.New().Get("Object").(*goja.Object).Get("getOwnPropertyDescriptor"))
	if !ok {
		return nil
	}
	value = r.vm.GlobalObject()
	path := receiver.Path
	if receiver.Lexical {
		value, path = r.vm.Get(path[0]), path[1:]
	}
	for _, name := range path {
		object, _ := value.(*goja.Object)
		value = dataProperty(descriptor, object, name)
	}
	return value
}

var plainObject = reflect.TypeFor[map[string]any]()

// dataProperty is the value of a property that is one of data, or nil if the object
// or one of its prototypes is not a plain object.
func dataProperty(descriptor goja.Callable, object *goja.Object, name string) goja.Value {
	for range 10 {
		if object == nil || object.ExportType() != plainObject {
			return nil
		}
		property, err := descriptor(goja.Undefined(), object, goja.StringFromUTF16(utf16.Encode([]rune(name))))
		if err != nil {
			return nil
		}
		if found, ok := property.(*goja.Object); ok {
			return found.Get("value") // nil for a getter
		}
		if object = object.Prototype(); object == nil {
			return goja.Undefined()
		}
	}
	return nil
}
