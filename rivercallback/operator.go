package rivercallback

import (
	"context"
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

// listParams select the jobs in a state, the most recent first.
func listParams(state deferred.State) *river.JobListParams {
	params := river.NewJobListParams().Kinds(kind)
	finalized := func(states ...rivertype.JobState) *river.JobListParams {
		return params.States(states...).OrderBy(river.JobListOrderByFinalizedAt, river.SortOrderDesc)
	}
	switch state {
	case deferred.Running:
		params = params.States(rivertype.JobStateRunning)
	case deferred.Finished:
		return finalized(rivertype.JobStateCompleted)
	case deferred.Dead:
		return finalized(rivertype.JobStateDiscarded, rivertype.JobStateCancelled)
	case deferred.Retrying:
		params = params.States(waiting...).Where("attempt > 0")
	default:
		params = params.States(waiting...).Where("attempt = 0")
	}
	return params.OrderBy(river.JobListOrderByID, river.SortOrderDesc)
}

var waiting = []rivertype.JobState{rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateScheduled}

// status converts River's job.
func status(row *rivertype.JobRow) (*deferred.Status, error) {
	job, n, err := unpack(row)
	if err != nil {
		return nil, err
	}
	s := &deferred.Status{Job: job, State: stateOf(row.State, row.Attempt > 0)}
	switch s.State {
	case deferred.Queued, deferred.Retrying:
		s.Due = row.ScheduledAt
	case deferred.Finished, deferred.Dead:
		s.Ended = *row.FinalizedAt
	}
	for _, e := range row.Errors {
		text := strings.TrimPrefix(e.Error, "JobCancelError: ")
		s.Errors = append(s.Errors, deferred.AttemptError{Attempt: e.Attempt, At: e.At, Err: text})
	}
	if s.State == deferred.Finished && n.Result != nil {
		s.Result = new(callback.Result)
		if err := json.Unmarshal(n.Result, s.Result); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// find returns the newest job of River with this id.
func (q *Queue) find(ctx context.Context, id string) (*rivertype.JobRow, error) {
	params := river.NewJobListParams().Kinds(kind).First(1).OrderBy(river.JobListOrderByID, river.SortOrderDesc).
		Where(fmt.Sprintf(q.byArg, "id"), river.NamedArgs{"id": clean(id)})
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

// List implements [deferred.Operator].
func (q *Queue) List(ctx context.Context, state deferred.State, limit int) ([]deferred.Status, error) {
	if limit <= 0 {
		return nil, nil
	}
	found, err := q.client.JobList(ctx, listParams(state).First(min(limit, 10_000))) // River allows no more
	if err != nil {
		return nil, fmt.Errorf("callback: queue: %w", err)
	}
	list := make([]deferred.Status, 0, len(found.Jobs))
	for _, row := range found.Jobs {
		s, err := status(row)
		if err != nil {
			return nil, fmt.Errorf("callback: queue: job %d of River: %w", row.ID, err)
		}
		s.Call, s.Result = nil, nil
		list = append(list, *s)
	}
	return list, nil
}

// countQuery counts the jobs in River's table by state.
func countQuery(table string) string {
	return "select cast(state as text), attempt > 0, count(*) from " + table + " where kind = '" + kind + "' group by 1, 2"
}

// collectCounts reads the result of countQuery.
func collectCounts(rows interface {
	Next() bool
	Scan(...any) error
	Err() error
}) (map[deferred.State]int, error) {
	counts := map[deferred.State]int{}
	for rows.Next() {
		var state string
		var begun bool
		var n int
		if err := rows.Scan(&state, &begun, &n); err != nil {
			return nil, err
		}
		counts[stateOf(rivertype.JobState(state), begun)] += n
	}
	return counts, rows.Err()
}

// Counts implements [deferred.Operator].
func (q *Queue) Counts(ctx context.Context) (map[deferred.State]int, error) {
	counts, err := q.counts(ctx)
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
	if live {
		if _, err := q.client.JobUpdate(ctx, row.ID, &river.JobUpdateParams{Output: note{Live: true}}); err != nil {
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
		Where(fmt.Sprintf(q.byArg, "label"), river.NamedArgs{"label": label})
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
