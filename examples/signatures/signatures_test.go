package signatures_test

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback"
)

func hmacSHA256(key, text string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}

// A sender signs the time and the body of a request.
type sender struct {
	name, body, answer string
	refused            int
	sign               func(body, unix string) http.Header
	timed              bool // an old signature is refused
}

var discordKey = ed25519.NewKeyFromSeed([]byte(strings.Repeat("\x00", 31) + "\x00"))

var senders = []sender{
	{
		name: "github", body: `{"action":"opened","title":"ä"}`, answer: `{"event":"issues","action":"opened"}`, refused: 401,
		sign: func(body, _ string) http.Header {
			return http.Header{"X-Hub-Signature-256": {"sha256=" + hmacSHA256("github-secret", body)}, "X-Github-Event": {"issues"}}
		},
	},
	{
		name: "stripe", body: `{"id":"evt_1"}`, answer: `{"received":"evt_1"}`, refused: 400, timed: true,
		sign: func(body, unix string) http.Header {
			return http.Header{"Stripe-Signature": {"t=" + unix + ",v1=00ff,v1=" + hmacSHA256("whsec_stripe", unix+"."+body) + ",v0=x"}}
		},
	},
	{
		name: "slack", body: "command=%2Fweather&text=94070+now", answer: `{"text":"/weather 94070 now"}`, refused: 401, timed: true,
		sign: func(body, unix string) http.Header {
			return http.Header{
				"X-Slack-Request-Timestamp": {unix},
				"X-Slack-Signature":         {"v0=" + hmacSHA256("slack-signing-secret", "v0:"+unix+":"+body)},
				"Content-Type":              {"application/x-www-form-urlencoded"},
			}
		},
	},
	{
		name: "twilio", body: "To=%2B15550002&From=%2B15550001&Body=Hi+there", answer: "<Response><Message>Hello +15550001</Message></Response>", refused: 403,
		sign: func(body, _ string) http.Header {
			mac := hmac.New(sha1.New, []byte("twilio-token"))
			form := map[string]string{}
			for field := range strings.SplitSeq(body, "&") {
				name, value, _ := strings.Cut(field, "=")
				form[name] = strings.NewReplacer("%2B", "+", "+", " ").Replace(value)
			}
			fmt.Fprint(mac, "https://example.com/callback/E3/twilio/s3cret", "Body", form["Body"], "From", form["From"], "To", form["To"])
			return http.Header{
				"X-Twilio-Signature": {base64.StdEncoding.EncodeToString(mac.Sum(nil))},
				"Content-Type":       {"application/x-www-form-urlencoded"},
			}
		},
	},
	{
		name: "discord", body: `{"type":1}`, answer: `{"type":1}`, refused: 401,
		sign: func(body, unix string) http.Header {
			return http.Header{
				"X-Signature-Timestamp": {unix},
				"X-Signature-Ed25519":   {hex.EncodeToString(ed25519.Sign(discordKey, []byte(unix+body)))},
			}
		},
	},
	{
		name: "paddle", body: `{"event_id":"evt_2"}`, answer: `{"received":"evt_2"}`, refused: 401, timed: true,
		sign: func(body, unix string) http.Header {
			return http.Header{"Paddle-Signature": {"ts=" + unix + ";h1=" + hmacSHA256("pdl_ntfset_secret", unix+":"+body)}}
		},
	},
}

func TestSenders(t *testing.T) {
	t.Parallel()
	key, err := os.ReadFile("callbacks/discord.js")
	require.NoError(t, err)
	script := strings.Replace(string(key), "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8", hex.EncodeToString(discordKey.Public().(ed25519.PublicKey)), 1)
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(".")))
	require.NoError(t, os.WriteFile(dir+"/callbacks/discord.js", []byte(script), 0o600))
	secrets := callback.SecretMap{}
	h := &callback.Handler{Runner: &callback.GojaRunner{Scripts: os.DirFS(dir)}, Secrets: secrets}
	for _, s := range senders {
		secrets["E3/"+s.name] = "s3cret"
		for name := range s.sign("", "") {
			h.RequestHeaders = append(h.RequestHeaders, name)
		}
	}
	for _, s := range senders {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			post := func(body string, header http.Header) *httptest.ResponseRecorder {
				request := httptest.NewRequest(http.MethodPost, "/callback/E3/"+s.name+"/s3cret", strings.NewReader(body))
				request.Header = header
				answer := httptest.NewRecorder()
				h.ServeHTTP(answer, request)
				return answer
			}
			at := func(ago time.Duration) string { return fmt.Sprint(time.Now().Add(-ago).Unix()) }
			answer := post(s.body, s.sign(s.body, at(0)))
			require.Equal(t, http.StatusOK, answer.Code, answer.Body)
			require.Equal(t, s.answer, answer.Body.String())

			require.Equal(t, s.refused, post(s.body, http.Header{}).Code, "no signature")
			require.Equal(t, s.refused, post(s.body+" ", s.sign(s.body, at(0))).Code, "another body")
			header := s.sign(s.body, at(0))
			for name := range header {
				if strings.Contains(name, "Signature") && !strings.Contains(name, "Timestamp") {
					header.Set(name, strings.NewReplacer("0", "1", "1", "2", "a", "b", "A", "B").Replace(header.Get(name)))
				}
			}
			require.Equal(t, s.refused, post(s.body, header).Code, "another signature")
			// A signature is over the bytes of a body, whatever its charset is.
			for _, body := range []string{"{\"id\":\"caf\xe9\"}", "\x83\x5c\x83\x41", "\xff\xfe{\x00}\x00", "\x89PNG\r\n\x1a\n\x00\xff"} {
				if s.name == "twilio" { // signs the fields of a form
					break
				}
				require.NotEqual(t, s.refused, post(body, s.sign(body, at(0))).Code, "%q", body)
				require.Equal(t, s.refused, post(body[1:], s.sign(body, at(0))).Code, "%q", body)
			}
			if s.timed {
				require.Equal(t, s.refused, post(s.body, s.sign(s.body, at(time.Hour))).Code, "an old signature")
			}
		})
	}
}
