package rivercallback

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"example.com/callback"
	"example.com/callback/deferred"
)

// stateOf maps River's states. A job that waits after it has begun is being
// retried.
func stateOf(state rivertype.JobState, begun bool) deferred.State {
	switch state {
	case rivertype.JobStateRunning:
		return deferred.Running
	case rivertype.JobStateCompleted:
		return deferred.Finished
	case rivertype.JobStateDiscarded, rivertype.JobStateCancelled:
		return deferred.Dead
	}
	if begun {
		return deferred.Retrying
	}
	return deferred.Queued
}

// inState is the SQL for the jobs in a state, and for the order of a list: the
// most recent first.
func inState(state deferred.State) (condition, order string) {
	switch state {
	case deferred.Running:
		return "state = 'running'", "id desc"
	case deferred.Finished:
		return "state = 'completed'", "finalized_at desc, id desc"
	case deferred.Dead:
		return "state in ('discarded', 'cancelled')", "finalized_at desc, id desc"
	case deferred.Retrying:
		return inWaiting + " and attempt > 0", "id desc"
	}
	return inWaiting + " and attempt = 0", "id desc"
}

const inWaiting = "state in ('available', 'pending', 'retryable', 'scheduled')"

var waiting = []rivertype.JobState{rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateScheduled}

// status converts River's job.
func status(row *rivertype.JobRow) (*deferred.Status, error) {
	job, n, err := unpack(row)
	if err != nil {
		return nil, err
	}
	s := newStatus(job, row)
	if s.State == deferred.Finished && n.Result != nil {
		s.Result = new(callback.Result)
		if err := json.Unmarshal(n.Result, s.Result); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// newStatus joins a job with what River's columns say of it.
func newStatus(job deferred.Job, row *rivertype.JobRow) *deferred.Status {
	s := &deferred.Status{Job: job, State: stateOf(row.State, row.Attempt > 0)}
	switch s.State {
	case deferred.Queued, deferred.Retrying:
		s.Due = row.ScheduledAt.UTC()
	case deferred.Finished, deferred.Dead:
		s.Ended = row.FinalizedAt.UTC()
	}
	for _, e := range row.Errors {
		text := strings.TrimPrefix(e.Error, "JobCancelError: ")
		s.Errors = append(s.Errors, deferred.AttemptError{Attempt: e.Attempt, At: e.At, Err: text})
	}
	return s
}

// find returns the newest job of River with this id.
func (q *Queue) find(ctx context.Context, id string) (*rivertype.JobRow, error) {
	params := river.NewJobListParams().Kinds(kind).First(1).OrderBy(river.JobListOrderByID, river.SortOrderDesc).
		Where(fmt.Sprintf(q.dialect.byArg, "id"), river.NamedArgs{"id": clean(id)})
	found, err := q.client.JobList(ctx, params)
	if err != nil {
		return nil, fmt.Errorf("callback: queue: %w", err)
	}
	if len(found.Jobs) == 0 {
		return nil, deferred.ErrNoJob
	}
	return found.Jobs[0], nil
}

// Status implements [deferred.Operator].
func (q *Queue) Status(ctx context.Context, id string) (*deferred.Status, error) {
	row, err := q.find(ctx, id)
	if err != nil {
		return nil, err
	}
	return status(row)
}

// List implements [deferred.Operator]. It reads one job at a time, so that it
// neither holds many in memory nor keeps the others from SQLite for long.
func (q *Queue) List(ctx context.Context, state deferred.State, limit int) ([]deferred.Status, error) {
	if limit <= 0 {
		return nil, nil
	}
	condition, order := inState(state)
	var ids []int64
	err := q.dialect.query(ctx, func(scan func(...any) error) error {
		var id int64
		err := scan(&id)
		ids = append(ids, id)
		return err
	}, "select id from "+q.dialect.table+" where kind = '"+kind+"' and "+condition+" order by "+order+" limit "+q.dialect.parameter, limit)
	if err != nil {
		return nil, fmt.Errorf("callback: queue: %w", err)
	}
	// A job that has left the state meanwhile is not listed.
	query := fmt.Sprintf("select cast(state as text), attempt, max_attempts, scheduled_at, finalized_at, %s, %s, %s from %s where %s and id = %s",
		q.dialect.errors, q.dialect.live, q.dialect.listed, q.dialect.table, condition, q.dialect.parameter)
	list := make([]deferred.Status, 0, len(ids))
	for _, id := range ids {
		err := q.dialect.query(ctx, func(scan func(...any) error) error {
			s, err := scanListed(scan)
			if err == nil {
				list = append(list, *s)
			}
			return err
		}, query, id)
		if err != nil {
			return nil, fmt.Errorf("callback: queue: job %d of River: %w", id, err)
		}
	}
	return list, nil
}

// scanListed reads a row of List.
func scanListed(scan func(...any) error) (*deferred.Status, error) {
	var row rivertype.JobRow
	var state, attemptErrors, listed string
	var live bool
	if err := scan(&state, &row.Attempt, &row.MaxAttempts, &row.ScheduledAt, &row.FinalizedAt, &attemptErrors, &live, &listed); err != nil {
		return nil, err
	}
	row.State = rivertype.JobState(state)
	if err := json.Unmarshal([]byte(attemptErrors), &row.Errors); err != nil {
		return nil, err
	}
	text, err := base64.StdEncoding.DecodeString(listed)
	if err != nil {
		return nil, err
	}
	var job deferred.Job
	if err := json.Unmarshal(text, &job); err != nil {
		return nil, err
	}
	job.Call, job.Attempt, job.MaxAttempts, job.Live = nil, row.Attempt, row.MaxAttempts, live
	return newStatus(job, &row), nil
}

// Counts implements [deferred.Operator].
func (q *Queue) Counts(ctx context.Context) (map[deferred.State]int, error) {
	counts := map[deferred.State]int{}
	err := q.dialect.query(ctx, func(scan func(...any) error) error {
		var state string
		var begun bool
		var n int
		err := scan(&state, &begun, &n)
		counts[stateOf(rivertype.JobState(state), begun)] += n
		return err
	}, "select cast(state as text), attempt > 0, count(*) from "+q.dialect.table+" where kind = '"+kind+"' group by 1, 2")
	if err != nil {
		return nil, fmt.Errorf("callback: queue: %w", err)
	}
	return counts, nil
}

// Retry implements [deferred.Operator].
func (q *Queue) Retry(ctx context.Context, id string, live bool) error {
	row, err := q.find(ctx, id)
	if err != nil {
		return err
	}
	if row.State == rivertype.JobStateRunning {
		return deferred.ErrRunning
	}
	var m metadata
	if err := json.Unmarshal(row.Metadata, &m); err != nil {
		return fmt.Errorf("callback: queue: job %d of River: %w", row.ID, err)
	}
	if live != m.Output.Live {
		if _, err := q.client.JobUpdate(ctx, row.ID, &river.JobUpdateParams{Output: note{Live: live}}); err != nil {
			return fmt.Errorf("callback: queue: %w", err)
		}
	}
	row, err = q.client.JobRetry(ctx, row.ID)
	return operated(row, err)
}

// Drop implements [deferred.Operator].
func (q *Queue) Drop(ctx context.Context, id string) error {
	row, err := q.find(ctx, id)
	if err != nil {
		return err
	}
	return operated(q.client.JobDelete(ctx, row.ID))
}

// operated returns the error of an operation on a job. River returns a running
// job unchanged.
func operated(row *rivertype.JobRow, err error) error {
	switch {
	case errors.Is(err, rivertype.ErrNotFound):
		return deferred.ErrNoJob
	case errors.Is(err, rivertype.ErrJobRunning), err == nil && row.State == rivertype.JobStateRunning:
		return deferred.ErrRunning
	case err != nil:
		return fmt.Errorf("callback: queue: %w", err)
	}
	return nil
}

// Cancel implements [deferred.Operator].
func (q *Queue) Cancel(ctx context.Context, label string) (int, error) {
	params := river.NewJobListParams().Kinds(kind).States(waiting...).First(100).
		Where(fmt.Sprintf(q.dialect.byArg, "label"), river.NamedArgs{"label": label})
	cancelled := 0
	for {
		found, err := q.client.JobList(ctx, params)
		if err != nil {
			return cancelled, fmt.Errorf("callback: queue: %w", err)
		}
		for _, row := range found.Jobs {
			err := operated(q.client.JobDelete(ctx, row.ID))
			switch {
			case err == nil:
				cancelled++
			case !errors.Is(err, deferred.ErrRunning) && !errors.Is(err, deferred.ErrNoJob):
				return cancelled, err
			}
		}
		if len(found.Jobs) < 100 {
			return cancelled, nil
		}
	}
}
