package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"

	"example.com/callback"
)

var (
	//go:embed members/loadPlayer.js
	loadPlayerScript string
	//go:embed members/getPlayer.js
	getPlayerScript string
	//go:embed members/collection.js
	collectionScript string
)

// Members returns what the store adds to Spark.
func (s *Store) Members() callback.Members {
	return callback.Members{
		"loadPlayer": {Script: loadPlayerScript, Funcs: s.functions("SparkPlayer", functions{
			"load": func(ctx context.Context, _ *callback.Call, args callback.Args) (any, error) {
				var id string
				if err := scan(args, &id); err != nil {
					return nil, err
				}
				return s.Player(ctx, id)
			},
			"getScriptData": func(ctx context.Context, _ *callback.Call, args callback.Args) (any, error) {
				var id, name string
				if err := scan(args, &id, &name); err != nil {
					return nil, err
				}
				return s.playerData(ctx, id, name)
			},
			"setScriptData": func(ctx context.Context, _ *callback.Call, args callback.Args) (any, error) {
				var id, name string
				var value json.RawMessage
				if err := scan(args, &id, &name, &value); err != nil {
					return nil, err
				}
				return nil, s.setPlayerData(ctx, id, name, value)
			},
		})},
		// Spark.player is what this returns, too.
		"getPlayer": {Script: getPlayerScript, Funcs: functions{
			"id": func(_ context.Context, call *callback.Call, _ callback.Args) (any, error) {
				return call.PlayerID, nil
			},
		}},

		"runtimeCollection": {Script: collectionScript, Funcs: s.collectionFunctions("runtime", true)},
		"metaCollection":    {Script: collectionScript, Funcs: s.collectionFunctions("meta", false)},
	}
}

type functions = map[string]callback.HostFunc

// collectionFunctions are the same for each kind of collection, but that scripts
// only read those of kind "meta": a host fills them.
func (s *Store) collectionFunctions(kind string, writable bool) functions {
	open := func(args callback.Args, dst ...any) (*Collection, error) {
		var name string
		if err := scan(args, append([]any{&name}, dst...)...); err != nil {
			return nil, err
		}
		return s.Collection(kind, name)
	}
	all := functions{
		"open": func(_ context.Context, _ *callback.Call, args callback.Args) (any, error) {
			_, err := open(args)
			return nil, err
		},
		"find": func(ctx context.Context, _ *callback.Call, args callback.Args) (any, error) {
			var query document
			var sort []SortKey
			var skip, limit int
			c, err := open(args, &query, &sort, &skip, &limit)
			if err != nil {
				return nil, err
			}
			return c.Find(ctx, query, sort, skip, limit)
		},
		"count": func(ctx context.Context, _ *callback.Call, args callback.Args) (any, error) {
			var query document
			c, err := open(args, &query)
			if err != nil {
				return nil, err
			}
			return c.Count(ctx, query)
		},
		"insert": func(ctx context.Context, _ *callback.Call, args callback.Args) (any, error) {
			var docs []document
			c, err := open(args, &docs)
			if err != nil {
				return nil, err
			}
			return true, c.Insert(ctx, docs...)
		},
		"save": func(ctx context.Context, _ *callback.Call, args callback.Args) (any, error) {
			var doc document
			c, err := open(args, &doc)
			if err != nil {
				return nil, err
			}
			err = c.Save(ctx, doc)
			return doc["_id"], err
		},
		"update": func(ctx context.Context, _ *callback.Call, args callback.Args) (any, error) {
			var query, update document
			var upsert, multi bool
			c, err := open(args, &query, &update, &upsert, &multi)
			if err != nil {
				return nil, err
			}
			if query == nil || update == nil {
				return nil, faultf("query and update must be objects")
			}
			return true, c.Update(ctx, query, update, upsert, multi)
		},
		"remove": func(ctx context.Context, _ *callback.Call, args callback.Args) (any, error) {
			var query document
			c, err := open(args, &query)
			if err != nil {
				return nil, err
			}
			if query == nil {
				return nil, faultf("query must be an object")
			}
			return true, c.Remove(ctx, query)
		},
	}
	if !writable {
		for _, name := range []string{"insert", "save", "update", "remove"} {
			all[name] = func(context.Context, *callback.Call, callback.Args) (any, error) {
				return nil, faultf("scripts cannot change it")
			}
		}
	}
	return s.functions(kind+"Collection", all)
}

// scan is [callback.Args.Scan] for arguments of a limited size. What is wrong
// with them is the script's fault.
func scan(args callback.Args, dst ...any) error {
	size := 0
	for _, arg := range args {
		size += len(arg)
	}
	if size > maxResultBytes {
		return faultf("the arguments are over %d bytes", maxResultBytes)
	}
	if err := args.Scan(dst...); err != nil {
		return fault(err.Error())
	}
	return nil
}

// functions makes all errors fit for scripts, which may pass them on to their
// callers: a script's own faults under the name of the function, anything else
// in the log only.
func (s *Store) functions(class string, all functions) functions {
	safe := make(functions, len(all))
	for name, f := range all {
		safe[name] = func(ctx context.Context, call *callback.Call, args callback.Args) (any, error) {
			value, err := f(ctx, call, args)
			var own fault
			switch {
			case err == nil:
				return value, nil
			case errors.As(err, &own):
				return nil, fmt.Errorf("%s.%s: %w", class, name, own)
			case call.Logger != nil:
				call.Logger.Error("players: storage failed", "function", class+"."+name, "error", err)
			}
			return nil, fmt.Errorf("%s.%s: storage failed", class, name)
		}
	}
	return safe
}
