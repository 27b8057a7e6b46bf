package engine

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/dop251/goja"

	"example.com/callback/internal/cloudcode"
	"example.com/callback/internal/ecma"
	"example.com/callback/internal/lazy"
	"example.com/callback/internal/reserved"
	"example.com/callback/internal/web"
)

var sparkClass = lazy.Class[*run]{
	Name: "Spark",
	Members: []lazy.Member[*run]{
		lazy.Func("getRequestMethod", func(r *run, _ lazy.Call) goja.Value { return r.vm.ToValue(cmp.Or(r.request().Method, "GET")) }),
		lazy.Func("getRequestBytes", (*run).getRequestBytes),
		lazy.Func("parseXml", (*run).parseXML),
		lazy.Func("getData", func(r *run, _ lazy.Call) goja.Value { return r.getData() }),
		lazy.Value("data", (*run).getData),
		lazy.Func("setScriptData", func(r *run, call lazy.Call) goja.Value { return r.setField(&r.data, call) }),
		lazy.Func("getScriptData", func(r *run, call lazy.Call) goja.Value { return r.getField(&r.data, call) }),
		lazy.Func("removeScriptData", func(r *run, call lazy.Call) goja.Value { return r.removeField(&r.data, call) }),
		lazy.Func("removeAllScriptData", func(r *run, _ lazy.Call) goja.Value { return r.removeFields(&r.data) }),
		lazy.Func("setScriptError", func(r *run, call lazy.Call) goja.Value { return r.setField(&r.errors, call) }),
		lazy.Func("getScriptError", func(r *run, call lazy.Call) goja.Value { return r.getField(&r.errors, call) }),
		lazy.Func("removeScriptError", func(r *run, call lazy.Call) goja.Value { return r.removeField(&r.errors, call) }),
		lazy.Func("removeAllScriptErrors", func(r *run, _ lazy.Call) goja.Value { return r.removeFields(&r.errors) }),
		lazy.Func("hasScriptErrors", func(r *run, _ lazy.Call) goja.Value { return r.vm.ToValue(r.errors.len() > 0) }),
		lazy.Func("getLog", (*run).getLog),
		lazy.Func("getHttp", (*run).getHTTP),
		lazy.Func("getDigester", (*run).getDigester),
		lazy.Func("exit", (*run).exit),
		lazy.Func("getRemainingMilliseconds", func(r *run, _ lazy.Call) goja.Value { return r.vm.ToValue(r.remaining()) }),
		lazy.Func("currentStack", func(r *run, _ lazy.Call) goja.Value { return r.vm.ToValue(r.currentStack()) }),
		lazy.Func("getCredentialType", func(r *run, _ lazy.Call) goja.Value { return r.vm.ToValue(cloudcode.CredentialType(r.call.Credential)) }),
		lazy.Func("getSessionId", func(r *run, _ lazy.Call) goja.Value { return r.vm.ToValue(r.request().RunID) }),
		lazy.Func("getClientIp", func(r *run, _ lazy.Call) goja.Value { return r.vm.ToValue(r.request().ClientIP) }),
		lazy.Func("getPlayer", func(r *run, _ lazy.Call) goja.Value { return r.getPlayer() }),
		lazy.Value("player", (*run).player),
	},
	Override:      func(r *run, name string) goja.Value { return r.hostMember(r.call.Members, "Spark.", name) },
	OverrideNames: func(r *run) []string { return r.call.Members.Names() },
	Fallback:      documented("Spark"),
}

// Carried lists the members of a class that the library carries. For the empty
// class it lists the global names.
func Carried(class string) []string {
	switch class {
	case "":
		return web.Names()
	case sparkClass.Name:
		return sparkClass.Names()
	case httpClass.Name:
		return httpClass.Names()
	case responseClass.Name:
		return responseClass.Names()
	case logClass.Name:
		return logClass.Names()
	case digestClass.Name:
		return digestClass.Names()
	case playerClass.Name:
		return playerClass.Names()
	}
	return nil
}

// documented makes the function for a member that only a host can supply. Calling
// it throws an error that says so.
func documented(class string) func(*run, string) goja.Value {
	return func(r *run, name string) goja.Value {
		if !cloudcode.Has(class, name) {
			r.missed = &member{class, name}
			return nil
		}
		return lazy.Function(r.vm, name, func(goja.FunctionCall) goja.Value {
			ecma.Throw(r.vm, "%s.%s is not supplied: the host of these scripts can supply it", class, name)
			return nil
		})
	}
}

func (r *run) request() Request { return r.call.Host.Request() }

// getData makes the value of the call's data, once. It defines properties instead
// of assigning them, so that "__proto__" is a name like any other.
func (r *run) getData() goja.Value {
	if r.objects.data != nil {
		return r.objects.data
	}
	request := r.request()
	if request.Input != nil {
		r.objects.data = r.fromJSON(string(request.Input))
		return r.objects.data
	}
	data := r.params(request.Data)
	if request.Headers != nil {
		ecma.Define(data, reserved.RequestHeaders, r.params(request.Headers))
	}
	r.objects.data = data
	return data
}

func (r *run) params(params Params) *goja.Object {
	// On an object without a prototype, setting a property defines it, whatever
	// its name is and whatever the script has done to Object.prototype.
	object := r.vm.CreateObject(nil)
	for i := range params.Len() {
		name, values := params.At(i)
		value := r.vm.ToValue(values[0])
		if len(values) > 1 {
			value = r.strings(values)
		}
		_ = object.Set(name, value)
	}
	_ = object.SetPrototype(r.objects.prototype)
	return object
}

func (r *run) getRequestBytes(lazy.Call) goja.Value {
	return ecma.NewUint8Array(r.vm, r.requestBody())
}

// requestBody is a copy of the request's body, after inflation.
func (r *run) requestBody() []byte {
	request := r.request()
	if request.Body == nil && request.HasBody { // on GET, REQUEST_BODY is an ordinary parameter
		for i := range request.Data.Len() {
			if name, values := request.Data.At(i); name == reserved.RequestBody {
				return []byte(values[0])
			}
		}
	}
	return slices.Clone(request.Body)
}

// strings makes an array of strings.
func (r *run) strings(values []string) goja.Value {
	items := make([]any, len(values))
	for i := range values {
		items[i] = r.vm.ToValue(values[i])
	}
	return r.vm.NewArray(items...)
}

func (r *run) getLog(lazy.Call) goja.Value {
	if r.objects.log == nil {
		r.objects.log = lazy.New(r.vm, &logClass, r)
	}
	return r.objects.log
}

func (r *run) exit(lazy.Call) goja.Value {
	r.exited = true
	r.vm.Interrupt(nil) // because the engine may call the return method of iterators as it unwinds
	interrupt()
	return nil
}

// remaining is the time until the deadline, in milliseconds.
func (r *run) remaining() int64 {
	deadline, ok := r.ctx.Deadline()
	if !ok {
		return math.MaxInt32
	}
	return max(0, time.Until(deadline).Milliseconds())
}

// currentStack is the script's call stack, one frame a line, without the frame of
// Spark.currentStack itself.
func (r *run) currentStack() string {
	var e ScriptError
	e.setStack(r.vm.CaptureCallStack(0, nil))
	return e.Stack
}

var playerClass = lazy.Class[*run]{
	Name: "SparkPlayer",
	Members: []lazy.Member[*run]{
		lazy.Func("getPlayerId", func(r *run, _ lazy.Call) goja.Value { return r.vm.ToValue(r.request().PlayerID) }),
		lazy.Value("playerId", func(r *run) goja.Value { return r.vm.ToValue(r.request().PlayerID) }),
	},
	Fallback: documented("SparkPlayer"),
}

// getPlayer returns the player that the URL names, or null.
func (r *run) getPlayer() goja.Value {
	if r.request().PlayerID == "" {
		return goja.Null()
	}
	if r.objects.player == nil {
		r.objects.player = lazy.New(r.vm, &playerClass, r)
	}
	return r.objects.player
}

// player is Spark.player: the result of the host's getPlayer or, without one, of
// the library's.
func (r *run) player() goja.Value {
	if _, ok := r.call.Members.Script("getPlayer"); ok {
		if getPlayer, ok := goja.AssertFunction(r.objects.spark.Get("getPlayer")); ok {
			player, err := getPlayer(r.objects.spark)
			if err != nil {
				panic(err)
			}
			return player
		}
	}
	return r.getPlayer()
}
