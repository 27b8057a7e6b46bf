package main

import (
	"context"
	"database/sql"
	"maps"
	"math"
	"regexp"
	"time"
)

// A Player describes a player to the store.
type Player struct {
	ID, DisplayName, UserName string
}

// players is the collection that Spark.systemCollection("player") reads, too.
func (s *Store) players() *Collection { return &Collection{s, "system/player"} }

// SavePlayer adds a player, or changes the names of one.
func (s *Store) SavePlayer(ctx context.Context, p Player) error {
	return s.players().Update(ctx, document{"_id": p.ID}, document{
		"$set":         document{"displayName": p.DisplayName, "userName": p.UserName},
		"$setOnInsert": document{"creationDate": date(time.Now().UnixMilli())},
	}, true, false)
}

// player returns fields of a player, or nil if there is no player with the id.
func (s *Store) player(ctx context.Context, id string, fields ...string) (document, error) {
	choice := Choice{Fields: document{"_id": 1.0}}
	for _, name := range fields {
		choice.Fields[name] = 1.0
	}
	found, err := s.players().Find(ctx, document{"_id": id}, choice)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0], nil
}

// changePlayer calls f with a player in one transaction and returns the result of
// f. If f fails, nothing is written.
func (s *Store) changePlayer(ctx context.Context, id string, f func(document) (any, error)) (result any, err error) {
	q, err := compileQuery(document{"_id": id})
	if err != nil {
		return nil, err
	}
	err = s.transact(ctx, func(tx *sql.Tx) error {
		known := false
		err := s.players().each(ctx, tx, q, func(r row) (bool, error) {
			known = true
			if result, err = f(r.doc); err != nil {
				return false, err
			}
			return false, write(ctx, tx, r)
		})
		if err == nil && !known {
			err = faultf("there is no player %q", id)
		}
		return err
	})
	return result, err
}

// A playerMap is a field of a player that holds named values, such as scriptData.
type playerMap struct {
	store *Store
	field string
}

func (m playerMap) get(ctx context.Context, id, name string) (any, error) {
	p, err := m.store.player(ctx, id, m.field)
	if err != nil {
		return nil, err
	}
	values, _ := p[m.field].(document)
	return values[name], nil
}

func (m playerMap) all(ctx context.Context, id string) (any, error) {
	p, err := m.store.player(ctx, id, m.field)
	if err != nil || p[m.field] == nil {
		return document{}, err
	}
	return p[m.field], nil
}

// set sets a value, or removes it if it is nil. It reports whether the value
// changed.
func (m playerMap) set(ctx context.Context, id, name string, value any) (any, error) {
	return m.store.changePlayer(ctx, id, func(p document) (any, error) {
		values, _ := p[m.field].(document)
		if values == nil {
			values = document{}
			p[m.field] = values
		}
		old, had := values[name]
		if value == nil {
			delete(values, name)
			return had, nil
		}
		values[name] = value
		return !had || !equal(old, value), nil
	})
}

// maxBalance is the largest integer up to which JavaScript represents all
// integers exactly.
const maxBalance = 1<<53 - 1

var (
	numberedCurrency = regexp.MustCompile(`^currency[1-6]$`)
	shortCode        = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
)

// balanceMap returns the map that holds an amount. currency1 to currency6 are
// fields of the player; all others are in its fields currencies or virtualGoods.
func balanceMap(p document, field, code string, create bool) document {
	if field == "currencies" && numberedCurrency.MatchString(code) {
		return p
	}
	amounts, _ := p[field].(document)
	if amounts == nil && create {
		amounts = document{}
		p[field] = amounts
	}
	return amounts
}

// balance returns a player's amount of a currency or a virtual good.
func (s *Store) balance(ctx context.Context, id, field, code string) (any, error) {
	if !shortCode.MatchString(code) {
		return nil, faultf("%q is not a short code", code)
	}
	p, err := s.player(ctx, id, field, code)
	if err != nil {
		return nil, err
	}
	amount, _ := balanceMap(p, field, code, false)[code].(float64)
	return amount, nil
}

// addBalance adds to a player's amount, or subtracts from it. If the amount is
// too small, it returns false and changes nothing.
func (s *Store) addBalance(ctx context.Context, id, field, code string, by float64) (any, error) {
	switch {
	case !shortCode.MatchString(code):
		return nil, faultf("%q is not a short code", code)
	case by != math.Trunc(by) || math.Abs(by) > maxBalance:
		return nil, faultf("the quantity must be a whole number")
	}
	return s.changePlayer(ctx, id, func(p document) (any, error) {
		amounts := balanceMap(p, field, code, true)
		amount, _ := amounts[code].(float64)
		if amount += by; amount > maxBalance {
			return nil, faultf("the balance gets too large")
		}
		if amount < 0 {
			return false, nil
		}
		amounts[code] = amount
		return true, nil
	})
}

// balances returns all of a player's currencies or virtual goods.
func (s *Store) balances(ctx context.Context, id, field string) (any, error) {
	numbered := []string{"currency1", "currency2", "currency3", "currency4", "currency5", "currency6"}
	p, err := s.player(ctx, id, append(numbered, field)...)
	if err != nil {
		return nil, err
	}
	all := document{}
	if field == "currencies" {
		for _, code := range numbered {
			all[code], _ = p[code].(float64)
		}
	}
	named, _ := p[field].(document)
	maps.Copy(all, named)
	return all, nil
}

// matchesPlayer reports whether a query matches the player.
func (s *Store) matchesPlayer(ctx context.Context, id string, text document) (any, error) {
	q, err := compileQuery(text)
	if err != nil {
		return nil, err
	}
	p, err := s.players().Find(ctx, document{"_id": id}, Choice{})
	if err != nil || len(p) == 0 {
		return false, err
	}
	var look search
	return q.matches(&look, p[0]), look.err()
}
