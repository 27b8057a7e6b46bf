package pgcallback

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"example.com/callback"
)

// ErrSecretExists means that the credential has, or had, the same secret. A
// revoked secret cannot be added again.
var ErrSecretExists = errors.New("callback: the credential has had this secret")

// ErrNoSecret means that there is no secret with this ID.
var ErrNoSecret = errors.New("callback: no such secret")

// A SecretInfo describes a secret, of which only the digest is stored.
type SecretInfo struct {
	ID         int64
	APIKey     string
	Credential string // empty for the server secret
	Note       string
	Created    time.Time
	From       time.Time
	Until      time.Time // when the secret becomes invalid; zero means never
}

// A Validity is the time in which a secret is valid. The zero value means from
// now on, without an end.
type Validity struct {
	From, Until time.Time
}

// maxSecrets bounds the secrets of a credential that are valid at once. Only the
// ones that were created last count.
const maxSecrets = 16

// Secrets returns the secrets of the credential that are valid now, by the
// database's clock, with one query. So a DB is a [callback.SecretStore]. Put a
// [callback.SecretCache] in front of it. A cached secret remains valid for the
// TTL of the cache after it was revoked.
func (db *DB) Secrets(ctx context.Context, apiKey, credential string) ([]callback.Secret, error) {
	if !isText(apiKey, credential) {
		return nil, nil
	}
	rows, err := db.Pool.Query(ctx, db.sql(`select digest from {}.secret
		where api_key = $1 and credential = $2 and valid_from <= clock_timestamp()
			and (valid_until is null or valid_until > clock_timestamp())
		order by id desc limit $3`), apiKey, credential, maxSecrets)
	if err != nil {
		return nil, fmt.Errorf("callback: secrets: %w", err)
	}
	var secrets []callback.Secret
	var digest []byte
	_, err = pgx.ForEachRow(rows, []any{&digest}, func() error {
		secrets = append(secrets, callback.Secret(digest))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("callback: secrets: %w", err)
	}
	return secrets, nil
}

// AddSecret adds a secret of the credential, or a server secret of the API key if
// credential is empty, and returns its ID. note is for people and must not hold
// the secret.
func (db *DB) AddSecret(ctx context.Context, apiKey, credential string, secret callback.Secret, note string, v Validity) (int64, error) {
	return db.addSecret(ctx, db.Pool, apiKey, credential, secret, note, v)
}

func (db *DB) addSecret(ctx context.Context, q Querier, apiKey, credential string, secret callback.Secret, note string, v Validity) (id int64, err error) {
	if secret == (callback.Secret{}) {
		return 0, errors.New("callback: add secret: the empty secret opens nothing")
	}
	if !isText(apiKey, credential, note) {
		return 0, errNotText
	}
	err = q.QueryRow(ctx, db.sql(`insert into {}.secret (api_key, credential, digest, note, valid_from, valid_until)
		values ($1, $2, $3, $4, coalesce($5, clock_timestamp()), $6) returning id`),
		apiKey, credential, secret[:], note, orNull(v.From), orNull(v.Until)).Scan(&id)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == uniqueViolation {
		return 0, ErrSecretExists
	}
	if err != nil {
		return 0, fmt.Errorf("callback: add secret: %w", err)
	}
	return id, nil
}

const uniqueViolation = "23505"

func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// RotateSecret adds a secret. The credential's other secrets end after the
// overlap, or earlier if they would. It returns the ID of the new secret.
func (db *DB) RotateSecret(ctx context.Context, apiKey, credential string, secret callback.Secret, note string, overlap time.Duration) (id int64, err error) {
	if !isText(apiKey, credential) {
		return 0, errNotText
	}
	err = pgx.BeginFunc(ctx, db.Pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, db.sql(`update {}.secret set valid_until = clock_timestamp() + $3
			where api_key = $1 and credential = $2 and (valid_until is null or valid_until > clock_timestamp() + $3)`),
			apiKey, credential, overlap)
		if err != nil {
			return fmt.Errorf("callback: rotate secret: %w", err)
		}
		id, err = db.addSecret(ctx, tx, apiKey, credential, secret, note, Validity{})
		return err
	})
	return id, err
}

// RevokeSecret makes the secret with this ID invalid now. It remains in the list
// and cannot be added again.
func (db *DB) RevokeSecret(ctx context.Context, apiKey string, id int64) error {
	if !isText(apiKey) {
		return ErrNoSecret
	}
	revoked, err := db.Pool.Exec(ctx, db.sql(`update {}.secret set valid_until = least(valid_until, clock_timestamp())
		where api_key = $1 and id = $2`), apiKey, id)
	if err != nil {
		return fmt.Errorf("callback: revoke secret: %w", err)
	}
	if revoked.RowsAffected() == 0 {
		return ErrNoSecret
	}
	return nil
}

// ListSecrets describes all secrets of the API key, including expired ones,
// sorted by credential and age.
func (db *DB) ListSecrets(ctx context.Context, apiKey string) ([]SecretInfo, error) {
	if !isText(apiKey) {
		return nil, nil
	}
	rows, err := db.Pool.Query(ctx, db.sql(`select id, credential, note, created, valid_from, valid_until
		from {}.secret where api_key = $1 order by credential, id`), apiKey)
	if err != nil {
		return nil, fmt.Errorf("callback: list secrets: %w", err)
	}
	infos, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (SecretInfo, error) {
		info := SecretInfo{APIKey: apiKey}
		var until *time.Time
		err := row.Scan(&info.ID, &info.Credential, &info.Note, &info.Created, &info.From, &until)
		if until != nil {
			info.Until = *until
		}
		return info, err
	})
	if err != nil {
		return nil, fmt.Errorf("callback: list secrets: %w", err)
	}
	return infos, nil
}
