package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"

	"example.com/callback"
)

// valuesScript has functions that the other scripts use.
var (
	//go:embed members/values.js
	valuesScript string
	//go:embed members/loadPlayer.js
	loadPlayerScript string
	//go:embed members/getPlayer.js
	getPlayerScript string
	//go:embed members/collection.js
	collectionScript string
)

// withValues puts valuesScript in front of a member's script.
func withValues(script string) string {
	return "function (host, Spark) {\n" + valuesScript + "return (" + script + ")(host, Spark);\n}"
}

// Members returns what the store adds to Spark.
func (s *Store) Members() callback.Members {
	return callback.Members{
		"loadPlayer": {Script: withValues(loadPlayerScript), Funcs: s.functions("SparkPlayer", s.playerFunctions())},
		// Spark.player is the result of this function, too.
		"getPlayer": {Script: getPlayerScript, Funcs: functions{
			"id": func(_ context.Context, call *callback.Call, _ callback.Args) (any, error) {
				return call.PlayerID, nil
			},
		}},

		"runtimeCollection": s.collectionMember("runtime"),
		// Scripts can only read these. The host fills them.
		"metaCollection":   s.collectionMember("meta"),
		"systemCollection": s.collectionMember("system"),
	}
}

type functions = map[string]callback.HostFunc

func (s *Store) playerFunctions() functions {
	// Scripts cannot name the field, so these are all fields that loadPlayer.js
	// uses.
	maps := []string{"scriptData", "privateData", "segments", "achievements"}
	amounts := []string{"currencies", "virtualGoods"}
	// on reads the id of a player, a field and further arguments.
	on := func(fields []string, args callback.Args, dst ...any) (id, field string, err error) {
		if err := scan(args, append([]any{&id, &field}, dst...)...); err != nil {
			return "", "", err
		}
		if !slices.Contains(fields, field) {
			return "", "", faultf("%q is not such a field of a player", field)
		}
		return id, field, nil
	}
	return functions{
		"load": func(ctx context.Context, _ *callback.Call, args callback.Args) (any, error) {
			var id string
			if err := scan(args, &id); err != nil {
				return nil, err
			}
			return s.player(ctx, id, "displayName", "userName", "creationDate")
		},
		"matches": func(ctx context.Context, _ *callback.Call, args callback.Args) (any, error) {
			var id string
			var query document
			if err := scan(args, &id, &query); err != nil {
				return nil, err
			}
			return s.matchesPlayer(ctx, id, query)
		},
		"get": func(ctx context.Context, _ *callback.Call, args callback.Args) (any, error) {
			var name string
			id, field, err := on(maps, args, &name)
			if err != nil {
				return nil, err
			}
			return playerMap{s, field}.get(ctx, id, name)
		},
		"all": func(ctx context.Context, _ *callback.Call, args callback.Args) (any, error) {
			id, field, err := on(maps, args)
			if err != nil {
				return nil, err
			}
			return playerMap{s, field}.all(ctx, id)
		},
		"set": func(ctx context.Context, _ *callback.Call, args callback.Args) (any, error) {
			var name string
			var value any
			id, field, err := on(maps, args, &name, &value)
			if err != nil {
				return nil, err
			}
			return playerMap{s, field}.set(ctx, id, name, valueOf(value))
		},
		"balance": func(ctx context.Context, _ *callback.Call, args callback.Args) (any, error) {
			var code string
			id, field, err := on(amounts, args, &code)
			if err != nil {
				return nil, err
			}
			return s.balance(ctx, id, field, code)
		},
		"balances": func(ctx context.Context, _ *callback.Call, args callback.Args) (any, error) {
			id, field, err := on(amounts, args)
			if err != nil {
				return nil, err
			}
			return s.balances(ctx, id, field)
		},
		"add": func(ctx context.Context, _ *callback.Call, args callback.Args) (any, error) {
			var code string
			var by float64
			id, field, err := on(amounts, args, &code, &by)
			if err != nil {
				return nil, err
			}
			return s.addBalance(ctx, id, field, code, by)
		},
	}
}

// collectionMember is the same for all kinds of collections, except that scripts
// can only read those that are not of kind "runtime".
func (s *Store) collectionMember(kind string) callback.Member {
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
			var choice Choice
			c, err := open(args, &query, &choice)
			if err != nil {
				return nil, err
			}
			return c.Find(ctx, query, choice)
		},
		"count": func(ctx context.Context, _ *callback.Call, args callback.Args) (any, error) {
			var query document
			c, err := open(args, &query)
			if err != nil {
				return nil, err
			}
			return c.Count(ctx, query)
		},
		"distinct": func(ctx context.Context, _ *callback.Call, args callback.Args) (any, error) {
			var key string
			var query document
			c, err := open(args, &key, &query)
			if err != nil {
				return nil, err
			}
			return c.Distinct(ctx, key, query)
		},
		"ensureIndex": func(ctx context.Context, _ *callback.Call, args callback.Args) (any, error) {
			var index, key string
			c, err := open(args, &index, &key)
			if err != nil {
				return nil, err
			}
			return nil, c.EnsureIndex(ctx, index, key)
		},
		"indexes": func(ctx context.Context, _ *callback.Call, args callback.Args) (any, error) {
			c, err := open(args)
			if err != nil {
				return nil, err
			}
			return c.Indexes(ctx)
		},
		"dropIndex": func(ctx context.Context, _ *callback.Call, args callback.Args) (any, error) {
			var query document
			c, err := open(args, &query)
			if err != nil {
				return nil, err
			}
			return nil, c.DropIndex(ctx, query)
		},
	}
	changes := functions{
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
			return true, c.Update(ctx, query, update, upsert, multi)
		},
		"findAndModify": func(ctx context.Context, _ *callback.Call, args callback.Args) (any, error) {
			var query document
			var m Modification
			c, err := open(args, &query, &m)
			if err != nil {
				return nil, err
			}
			return c.FindAndModify(ctx, query, m)
		},
		"apply": func(ctx context.Context, _ *callback.Call, args callback.Args) (any, error) {
			var old, changed document
			c, err := open(args, &old, &changed)
			if err != nil {
				return nil, err
			}
			return true, c.Apply(ctx, old, changed)
		},
		"remove": func(ctx context.Context, _ *callback.Call, args callback.Args) (any, error) {
			var query document
			c, err := open(args, &query)
			if err != nil {
				return nil, err
			}
			return true, c.Remove(ctx, query)
		},
		"drop": func(ctx context.Context, _ *callback.Call, args callback.Args) (any, error) {
			c, err := open(args)
			if err != nil {
				return nil, err
			}
			return nil, c.Drop(ctx)
		},
	}
	for name, change := range changes {
		if kind != "runtime" {
			change = func(context.Context, *callback.Call, callback.Args) (any, error) {
				return nil, faultf("scripts cannot change it")
			}
		}
		all[name] = change
	}
	return callback.Member{Script: withValues(collectionScript), Funcs: s.functions(kind+"Collection", all)}
}

// scan is [callback.Args.Scan]. Wrong arguments are a fault of the script.
func scan(args callback.Args, dst ...any) error {
	if err := args.Scan(dst...); err != nil {
		return fault(err.Error())
	}
	return nil
}

// functions wraps functions so that their errors are fit for scripts, which may
// pass them on to callers. A script's own fault gets the name of the function;
// any other error goes to the log only.
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
				call.Logger.ErrorContext(ctx, "players: storage failed", "function", class+"."+name, "error", err)
			}
			return nil, fmt.Errorf("%s.%s: storage failed", class, name)
		}
	}
	return safe
}
