package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// Limits of the pages that follow the runs.
const (
	maxFollowers   = 64
	followerBuffer = 256 // runs that a page may lag behind
	keepAlive      = 20 * time.Second
)

// publish sends a run to the open pages. A page that lags too far behind is
// disconnected; it connects again and reads all runs anew.
func (c *Console) publish(s summary) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.followers) == 0 {
		return
	}
	text, err := json.Marshal(s)
	if err != nil {
		return
	}
	for follower := range c.followers {
		select {
		case follower <- text:
		default:
			close(follower)
			delete(c.followers, follower)
		}
	}
}

func (c *Console) follow() (chan []byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.followers) >= maxFollowers {
		return nil, false
	}
	if c.followers == nil {
		c.followers = map[chan []byte]struct{}{}
	}
	follower := make(chan []byte, followerBuffer)
	c.followers[follower] = struct{}{}
	return follower, true
}

func (c *Console) unfollow(follower chan []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.followers, follower)
}

// getEvents sends each new run as a server-sent event.
func (c *Console) getEvents(w http.ResponseWriter, r *http.Request) {
	follower, ok := c.follow()
	if !ok {
		writeError(w, http.StatusServiceUnavailable, "too many pages follow the runs")
		return
	}
	defer c.unfollow(follower)
	control := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	send := func(text string) bool {
		_ = control.SetWriteDeadline(time.Now().Add(keepAlive)) // a server without deadlines needs none
		_, err := fmt.Fprint(w, text)
		return err == nil && control.Flush() == nil
	}
	if !send("retry: 2000\n\n") {
		return
	}
	ticker := time.NewTicker(keepAlive)
	defer ticker.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-ticker.C:
			if !send(": still here\n\n") {
				return
			}
		case text, ok := <-follower:
			if !ok || !send("event: run\ndata: "+string(text)+"\n\n") {
				return
			}
		}
	}
}
