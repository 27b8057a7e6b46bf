package realm

import (
	"github.com/dop251/goja"

	"example.com/callback/internal/ecma"
)

// exception is the slot of a DOMException.
type exception struct{ name, message string }

// codes are the names of exceptions that have a code; codes count from 1. The
// constants have the names that the standard used first.
var codes = []struct{ name, constant string }{
	{"IndexSizeError", "INDEX_SIZE_ERR"}, {"", "DOMSTRING_SIZE_ERR"}, {"HierarchyRequestError", "HIERARCHY_REQUEST_ERR"},
	{"WrongDocumentError", "WRONG_DOCUMENT_ERR"}, {"InvalidCharacterError", "INVALID_CHARACTER_ERR"},
	{"", "NO_DATA_ALLOWED_ERR"}, {"NoModificationAllowedError", "NO_MODIFICATION_ALLOWED_ERR"},
	{"NotFoundError", "NOT_FOUND_ERR"}, {"NotSupportedError", "NOT_SUPPORTED_ERR"},
	{"InUseAttributeError", "INUSE_ATTRIBUTE_ERR"}, {"InvalidStateError", "INVALID_STATE_ERR"},
	{"SyntaxError", "SYNTAX_ERR"}, {"InvalidModificationError", "INVALID_MODIFICATION_ERR"},
	{"NamespaceError", "NAMESPACE_ERR"}, {"InvalidAccessError", "INVALID_ACCESS_ERR"}, {"", "VALIDATION_ERR"},
	{"TypeMismatchError", "TYPE_MISMATCH_ERR"}, {"SecurityError", "SECURITY_ERR"}, {"NetworkError", "NETWORK_ERR"},
	{"AbortError", "ABORT_ERR"}, {"URLMismatchError", "URL_MISMATCH_ERR"}, {"QuotaExceededError", "QUOTA_EXCEEDED_ERR"},
	{"TimeoutError", "TIMEOUT_ERR"}, {"InvalidNodeTypeError", "INVALID_NODE_TYPE_ERR"}, {"DataCloneError", "DATA_CLONE_ERR"},
}

func (e *exception) code() int {
	for i := range codes {
		if codes[i].name == e.name && e.name != "" {
			return i + 1
		}
	}
	return 0
}

var exceptionClass = Class[*exception]{
	Name:  "DOMException",
	Error: true,
	New: func(r *Realm, call goja.FunctionCall) *exception {
		e := &exception{name: "Error"}
		if v := call.Argument(0); !ecma.IsUndefined(v) {
			e.message = ecma.ToString(r.VM, v).String()
		}
		if v := call.Argument(1); !ecma.IsUndefined(v) {
			e.name = ecma.ToString(r.VM, v).String()
		}
		return e
	},
	Members: []Member[*exception]{
		Getter("name", func(_ *Realm, e *exception) goja.Value { return Text(e.name) }),
		Getter("message", func(_ *Realm, e *exception) goja.Value { return Text(e.message) }),
		Getter("code", func(r *Realm, e *exception) goja.Value { return r.VM.ToValue(e.code()) }),
	},
}

// Exceptions is the class DOMException.
func (r *Realm) Exceptions() *Made {
	if r.exceptions == nil {
		class := exceptionClass
		for i := range codes {
			class.Static = append(class.Static, Static{Name: codes[i].constant, Number: i + 1})
		}
		r.exceptions = Make(r, &class)
		if errors := r.VM.NewTypeError("").Prototype().Prototype(); errors != nil {
			must(r.exceptions.Prototype.SetPrototype(errors))
		}
	}
	return r.exceptions
}

// errorLike makes an object with a stack.
func (r *Realm) errorLike(prototype *goja.Object) *goja.Object {
	object := r.VM.NewTypeError("")
	_ = object.Delete("message") // so that the prototype's getter is visible
	must(object.SetPrototype(prototype))
	return object
}

// Exception makes a DOMException.
func (r *Realm) Exception(name, message string) *goja.Object {
	object := r.errorLike(r.Exceptions().Prototype)
	r.SetSlot(object, &exception{name, message})
	return object
}

// Throw throws a DOMException.
func (r *Realm) Throw(name, message string) { panic(r.Exception(name, message)) }

// AsException returns the slot of a DOMException.
func (r *Realm) AsException(v goja.Value) (name, message string, ok bool) {
	e, ok := Is[*exception](r, v)
	if !ok {
		return "", "", false
	}
	return e.name, e.message, true
}
