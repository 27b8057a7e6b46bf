package work

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"

	"example.com/callback"
)

// The workloads as a Go programmer would write them, with the headers that the
// Handler sends. They check no secret and have no limits.

func one(values []string) any {
	if len(values) == 1 {
		return values[0]
	}
	return values
}

// answer writes data as JSON: the plain handlers, and the engines without a
// Handler of their own, all end here.
func answer(w http.ResponseWriter, data map[string]any) {
	header := w.Header()
	if headers, ok := data["RESPONSE_HEADERS"].(map[string]any); ok {
		for name, value := range headers {
			header.Set(name, value.(string))
		}
		delete(data, "RESPONSE_HEADERS")
	}
	write(w, data)
}

func write(w http.ResponseWriter, data any) {
	body, err := json.Marshal(data)
	if err != nil {
		http.Error(w, "failed", http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "application/json; charset=utf-8")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body)
}

func plainW1(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	w.Header().Set("X-Game", APIKey)
	write(w, map[string]any{"attr1": one(query["attr1"]), "attr2": one(query["attr2"])})
}

// plainDuties adds what a callback URL needs to the plain handler: a mux that
// splits the path, a constant-time compare of the secret, a deadline.
func plainDuties(w *Workload) http.Handler {
	secrets := map[string]string{APIKey + "/" + Credential: Secret}
	mux := http.NewServeMux()
	mux.HandleFunc("/callback/{apiKey}/{credential}/{secret}", func(rw http.ResponseWriter, r *http.Request) {
		want := sha256.Sum256([]byte(secrets[r.PathValue("apiKey")+"/"+r.PathValue("credential")]))
		got := sha256.Sum256([]byte(r.PathValue("secret")))
		if subtle.ConstantTimeCompare(want[:], got[:]) != 1 {
			http.Error(rw, "forbidden", http.StatusForbidden)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
		defer cancel()
		w.Plain(rw, r.WithContext(ctx))
	})
	return mux
}

// maxBody bounds the body as the Handler's default does.
const maxBody = 4 << 20

func plainW2(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
		return
	}
	var body struct {
		Items []struct {
			Name            string
			Cents, Quantity int
			Paid            bool
		}
	}
	if err := json.Unmarshal(raw, &body); err != nil {
		http.Error(w, "not JSON", http.StatusBadRequest)
		return
	}
	var names []string
	total := 0
	for i := range body.Items {
		if item := &body.Items[i]; item.Paid {
			names = append(names, item.Name)
			total += item.Cents * item.Quantity
		}
	}
	write(w, map[string]any{"count": len(names), "names": names, "total": total})
}

func plainW3(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
		return
	}
	write(w, map[string]any{"signature": hmacHex(HMACKey, raw)})
}

func hmacHex(key string, data []byte) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(data)
	return hex.EncodeToString(mac.Sum(nil))
}

// outbound is the client that all variants use for W5.
var outbound = &callback.HTTPClient{DangerouslyAllowPrivate: true}

// fetch makes W5's outbound call.
func fetch(ctx context.Context, url string) (int, string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := outbound.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	return resp.StatusCode, string(body), err
}

func plainW5(upstream string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		code, text, err := fetch(r.Context(), upstream)
		if err != nil {
			http.Error(w, "no upstream", http.StatusBadGateway)
			return
		}
		w.Header().Set("X-Game", APIKey)
		write(w, map[string]any{"attr1": one(query["attr1"]), "attr2": one(query["attr2"]), "code": code, "text": text})
	}
}
