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

// ErrTooManySecrets means that the credential has MaxSecrets already.
var ErrTooManySecrets = fmt.Errorf("callback: the credential has %d secrets that have not ended", MaxSecrets)

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
	Ended      bool      // whether Until has passed, by the database's clock
}

// A Validity is the time in which a secret is valid. The zero value means from
// now on, without an end.
type Validity struct {
	From, Until time.Time
}

// MaxSecrets bounds the secrets of a credential that have not ended, including
// those whose time is still to come.
const MaxSecrets = 16

// A CredentialSecret is a secret of a credential, or a server secret of the API
// key if Credential is empty.
type CredentialSecret struct {
	APIKey, Credential string
	Secret             callback.Secret
}

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
		order by id desc limit $3`), apiKey, credential, MaxSecrets)
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
// the secret. The error is ErrSecretExists if the credential has or had this secret,
// and ErrTooManySecrets if it has MaxSecrets.
func (db *DB) AddSecret(ctx context.Context, apiKey, credential string, secret callback.Secret, note string, v Validity) (id int64, err error) {
	err = db.addingSecrets(ctx, "add secret", func(tx pgx.Tx) error {
		id, err = db.addSecret(ctx, tx, apiKey, credential, secret, note, v)
		return err
	})
	return id, err
}

// addingSecrets runs add in a transaction. There is one at a time, so that
// MaxSecrets holds. An error that is not of add begins with what.
func (db *DB) addingSecrets(ctx context.Context, what string, add func(tx pgx.Tx) error) error {
	var ofAdd error
	err := pgx.BeginFunc(ctx, db.Pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock($1)", db.lockNumber("secrets")); err != nil {
			return err
		}
		ofAdd = add(tx)
		return ofAdd
	})
	if ofAdd != nil {
		return ofAdd
	}
	return wrap(what, err)
}

func (db *DB) addSecret(ctx context.Context, tx pgx.Tx, apiKey, credential string, secret callback.Secret, note string, v Validity) (id int64, err error) {
	if secret == (callback.Secret{}) {
		return 0, errEmptySecret
	}
	if !isText(apiKey, credential, note) {
		return 0, errNotText
	}
	err = tx.QueryRow(ctx, db.sql(`insert into {}.secret (api_key, credential, digest, note, valid_from, valid_until)
		select $1, $2, $3, $4, coalesce($5, clock_timestamp()), $6::timestamptz where $7 > (select count(*) from {}.secret
			where api_key = $1 and credential = $2 and digest <> $3 and (valid_until is null or valid_until > clock_timestamp()))
		returning id`),
		apiKey, credential, secret[:], note, orNull(v.From), orNull(v.Until), MaxSecrets).Scan(&id)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == uniqueViolation {
		return 0, ErrSecretExists
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, ErrTooManySecrets
	}
	if err != nil {
		return 0, fmt.Errorf("callback: add secret: %w", err)
	}
	return id, nil
}

// LoadSecrets adds all of the secrets or none, each valid from now on. It leaves
// out those that the credential has or had. The error wraps ErrTooManySecrets if
// a credential would have more than MaxSecrets.
func (db *DB) LoadSecrets(ctx context.Context, secrets ...CredentialSecret) error {
	apiKeys, credentials := make([]string, len(secrets)), make([]string, len(secrets))
	digests := make([][]byte, len(secrets))
	for i, s := range secrets {
		if s.Secret == (callback.Secret{}) {
			return errEmptySecret
		}
		if !isText(s.APIKey, s.Credential) {
			return errNotText
		}
		apiKeys[i], credentials[i], digests[i] = s.APIKey, s.Credential, s.Secret[:]
	}
	return db.addingSecrets(ctx, "load secrets", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, db.sql(`insert into {}.secret (api_key, credential, digest, note, valid_from)
			select api_key, credential, digest, '', clock_timestamp()
			from unnest($1::text[], $2::text[], $3::bytea[]) with ordinality as added (api_key, credential, digest, n)
			order by n on conflict do nothing`), apiKeys, credentials, digests)
		if err != nil {
			return wrap("load secrets", err)
		}
		var apiKey, credential string
		err = tx.QueryRow(ctx, db.sql(`select api_key, credential from {}.secret
			where (api_key, credential) in (select unnest($1::text[]), unnest($2::text[]))
				and (valid_until is null or valid_until > clock_timestamp())
			group by api_key, credential having count(*) > $3 order by 1, 2 limit 1`), apiKeys, credentials, MaxSecrets).Scan(&apiKey, &credential)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("API key %q, credential %q: %w", apiKey, credential, ErrTooManySecrets)
		}
		return wrap("load secrets", err)
	})
}

var errEmptySecret = errors.New("callback: add secret: the empty secret opens nothing")

const uniqueViolation = "23505"

func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// RotateSecret adds a secret. The credential's other secrets end after the
// overlap, or earlier if they would; zero or below ends them now. It returns the ID
// of the new secret. The error is that of AddSecret. It is ErrTooManySecrets if the
// credential has MaxSecrets and an overlap is given: none of them is ended early.
func (db *DB) RotateSecret(ctx context.Context, apiKey, credential string, secret callback.Secret, note string, overlap time.Duration) (id int64, err error) {
	if !isText(apiKey, credential) {
		return 0, errNotText
	}
	err = db.addingSecrets(ctx, "rotate secret", func(tx pgx.Tx) error {
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
// and cannot be added again. The error is ErrNoSecret if the API key has none with
// this ID.
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
	rows, err := db.Pool.Query(ctx, db.sql(`select id, credential, note, created, valid_from, valid_until,
			valid_until is not null and valid_until <= clock_timestamp()
		from {}.secret where api_key = $1 order by credential, id`), apiKey)
	if err != nil {
		return nil, fmt.Errorf("callback: list secrets: %w", err)
	}
	infos, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (SecretInfo, error) {
		info := SecretInfo{APIKey: apiKey}
		var until *time.Time
		err := row.Scan(&info.ID, &info.Credential, &info.Note, &info.Created, &info.From, &until, &info.Ended)
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
