package engine

import (
	"strings"

	"github.com/dop251/goja"

	"example.com/callback/internal/ecma"
	"example.com/callback/internal/lazy"
)

// requestsClass is SparkRequests: it has a constructor for each name of a request.
// The host's sendRequest and sendRequestAs decide what a request does.
var requestsClass = lazy.Class[*run]{Name: "SparkRequests", Fallback: (*run).requestConstructor}

// requestConstructor makes the constructor of a kind of request: its objects name
// the kind as their "@class", and the script sets the other properties.
func (r *run) requestConstructor(name string) goja.Value {
	if !strings.HasSuffix(name, "Request") {
		return nil
	}
	constructor := r.vm.ToValue(func(call goja.ConstructorCall) *goja.Object {
		ecma.Define(call.This, "@class", r.vm.ToValue("."+name))
		return nil
	}).(*goja.Object)
	_ = constructor.DefineDataProperty("name", r.vm.ToValue(name), goja.FLAG_FALSE, goja.FLAG_TRUE, goja.FLAG_FALSE)
	prototype := constructor.Get("prototype").(*goja.Object)
	for method, member := range map[string]string{
		"Send": "sendRequest", "Execute": "sendRequest",
		"SendAs": "sendRequestAs", "ExecuteAs": "sendRequestAs",
	} {
		lazy.Method(r.vm, prototype, method, func(call goja.FunctionCall) goja.Value {
			return r.callSpark(member, append([]goja.Value{call.This}, call.Arguments...))
		})
	}
	return constructor
}

// callSpark calls a member of Spark, which the host may have supplied.
func (r *run) callSpark(member string, args []goja.Value) goja.Value {
	spark := r.makeSpark()
	f, ok := goja.AssertFunction(spark.(*goja.Object).Get(member))
	if !ok {
		ecma.Throw(r.vm, "Spark.%s is not a function", member)
	}
	value, err := f(spark, args...)
	if err != nil {
		panic(err) // an error of the engine, for the engine
	}
	return value
}
