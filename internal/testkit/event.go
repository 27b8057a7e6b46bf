package testkit

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// PostEvent sends an event to the URL of a deferred script once, under its key as
// Webhook-Id. It returns the run id if the event is acknowledged, else "".
func PostEvent(client *http.Client, callback, key string, form url.Values) string {
	req, err := http.NewRequest("POST", callback, strings.NewReader(form.Encode()))
	if err != nil {
		return ""
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Webhook-Id", key)
	resp, err := client.Do(req)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	var answer struct{ Run string }
	if resp.StatusCode != http.StatusAccepted || json.NewDecoder(resp.Body).Decode(&answer) != nil {
		return ""
	}
	return answer.Run
}
