package console

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A preset is a provider's webhook: a sample of its request, and the way in which
// it is signed.
type preset struct {
	Name        string `json:"name"`
	Title       string `json:"title"`
	KeyLabel    string `json:"keyLabel"`
	Key         string `json:"key"` // of the sample
	ContentType string `json:"contentType"`
	Headers     string `json:"headers"` // a line each
	Body        string `json:"body"`

	// sign adds the provider's signature to header.
	sign func(header http.Header, body, key string, now time.Time) error
}

const (
	jsonType = "application/json"
	formType = "application/x-www-form-urlencoded"
)

var presets = []preset{
	{
		Name: "standard", Title: "Standard Webhooks, Svix", KeyLabel: "Signing secret (whsec_…)", ContentType: jsonType,
		Key:  "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
		Body: `{"type":"invoice.paid","timestamp":"2026-01-02T03:04:05Z","data":{"id":"in_1","amount":1250}}`,
		sign: func(header http.Header, body, key string, now time.Time) error {
			secret, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(key, "whsec_"))
			if err != nil {
				return errors.New("the signing secret is no Base64 after whsec_")
			}
			id, at := "msg_"+strconv.FormatInt(now.UnixNano(), 36), unix(now)
			header.Set("Webhook-Id", id)
			header.Set("Webhook-Timestamp", at)
			header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac(sha256.New, string(secret), id+"."+at+"."+body)))
			return nil
		},
	},
	{
		Name: "github", Title: "GitHub", KeyLabel: "Webhook secret", Key: "It's a Secret to Everybody", ContentType: jsonType,
		Headers: "X-GitHub-Event: push\nX-GitHub-Delivery: 72d3162e-cc78-11e3-81ab-4c9367dc0958",
		Body:    `{"ref":"refs/heads/main","repository":{"full_name":"ada/engine"},"pusher":{"name":"ada"},"commits":[{"id":"a10867b","message":"Note G"}]}`,
		sign: func(header http.Header, body, key string, _ time.Time) error {
			header.Set("X-Hub-Signature-256", "sha256="+hexMAC(key, body))
			return nil
		},
	},
	{
		Name: "stripe", Title: "Stripe", KeyLabel: "Endpoint secret (whsec_…)", Key: "whsec_test_secret", ContentType: "application/json; charset=utf-8",
		Body: `{"id":"evt_1","object":"event","type":"checkout.session.completed","data":{"object":{"id":"cs_1","amount_total":1250,"currency":"eur"}}}`,
		sign: func(header http.Header, body, key string, now time.Time) error {
			header.Set("Stripe-Signature", "t="+unix(now)+",v1="+hexMAC(key, unix(now)+"."+body))
			return nil
		},
	},
	{
		Name: "slack", Title: "Slack", KeyLabel: "Signing secret", Key: "8f742231b10e8888abcd99yyyzzz85a5", ContentType: formType,
		Body: "command=%2Fweather&text=94070&user_name=ada&team_domain=example&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2F1234",
		sign: func(header http.Header, body, key string, now time.Time) error {
			header.Set("X-Slack-Request-Timestamp", unix(now))
			header.Set("X-Slack-Signature", "v0="+hexMAC(key, "v0:"+unix(now)+":"+body))
			return nil
		},
	},
	{
		Name: "twilio", Title: "Twilio", KeyLabel: "Auth token, a blank, and the URL that Twilio calls", ContentType: formType,
		Key:  "12345 https://example.com/callback",
		Body: "From=%2B14158675310&To=%2B18005551212&Body=hello&MessageSid=SM1",
		sign: func(header http.Header, body, key string, _ time.Time) error {
			token, target, _ := strings.Cut(key, " ")
			form, err := url.ParseQuery(body)
			if err != nil {
				return errors.New("the body is no form")
			}
			signed := target
			names := make([]string, 0, len(form))
			for name := range form {
				names = append(names, name)
			}
			slices.Sort(names)
			for _, name := range names {
				signed += name + strings.Join(form[name], "")
			}
			header.Set("X-Twilio-Signature", base64.StdEncoding.EncodeToString(mac(sha1.New, token, signed)))
			return nil
		},
	},
	{
		Name: "discord", Title: "Discord interactions", ContentType: jsonType,
		KeyLabel: "Private key: a seed of 64 hexadecimal digits. Its public key is in the header X-Console-Public-Key",
		Key:      "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
		Body:     `{"type":2,"id":"1","token":"t","data":{"name":"hello","options":[]},"user":{"id":"7","username":"ada"}}`,
		sign: func(header http.Header, body, key string, now time.Time) error {
			seed, err := hex.DecodeString(key)
			if err != nil || len(seed) != ed25519.SeedSize {
				return errors.New("the private key is no seed of 64 hexadecimal digits")
			}
			private := ed25519.NewKeyFromSeed(seed)
			header.Set("X-Console-Public-Key", hex.EncodeToString(private.Public().(ed25519.PublicKey)))
			header.Set("X-Signature-Timestamp", unix(now))
			header.Set("X-Signature-Ed25519", hex.EncodeToString(ed25519.Sign(private, []byte(unix(now)+body))))
			return nil
		},
	},
	{
		Name: "shopify", Title: "Shopify", KeyLabel: "Client secret", Key: "hush", ContentType: jsonType,
		Headers: "X-Shopify-Topic: orders/paid\nX-Shopify-Shop-Domain: example.myshopify.com\nX-Shopify-Webhook-Id: b54557e4-bdd9-4b37-8a5f-bf7d70bcd043",
		Body:    `{"id":820982911946154508,"email":"ada@example.com","total_price":"12.50","currency":"EUR"}`,
		sign: func(header http.Header, body, key string, _ time.Time) error {
			header.Set("X-Shopify-Hmac-Sha256", base64.StdEncoding.EncodeToString(mac(sha256.New, key, body)))
			return nil
		},
	},
	{
		Name: "paddle", Title: "Paddle", KeyLabel: "Endpoint secret key", Key: "pdl_ntfset_test", ContentType: jsonType,
		Body: `{"event_id":"evt_1","event_type":"transaction.completed","data":{"id":"txn_1","status":"completed"}}`,
		sign: func(header http.Header, body, key string, now time.Time) error {
			header.Set("Paddle-Signature", "ts="+unix(now)+";h1="+hexMAC(key, unix(now)+":"+body))
			return nil
		},
	},
	{
		Name: "gitlab", Title: "GitLab", KeyLabel: "Secret token", Key: "token", ContentType: jsonType,
		Headers: "X-Gitlab-Event: Push Hook",
		Body:    `{"object_kind":"push","ref":"refs/heads/main","user_username":"ada","project":{"path_with_namespace":"ada/engine"}}`,
		sign: func(header http.Header, _, key string, _ time.Time) error {
			header.Set("X-Gitlab-Token", key)
			return nil
		},
	},
	{
		Name: "telegram", Title: "Telegram", KeyLabel: "Secret token", Key: "token", ContentType: jsonType,
		Body: `{"update_id":1,"message":{"message_id":2,"from":{"id":7,"first_name":"Ada"},"chat":{"id":7,"type":"private"},"date":1767322800,"text":"/start"}}`,
		sign: func(header http.Header, _, key string, _ time.Time) error {
			header.Set("X-Telegram-Bot-Api-Secret-Token", key)
			return nil
		},
	},
}

// findPreset returns the preset of a name.
func findPreset(name string) (*preset, error) {
	for i := range presets {
		if presets[i].Name == name {
			return &presets[i], nil
		}
	}
	return nil, fmt.Errorf("there is no preset %q", name)
}

func mac(h func() hash.Hash, key, text string) []byte {
	m := hmac.New(h, []byte(key))
	m.Write([]byte(text))
	return m.Sum(nil)
}

func hexMAC(key, text string) string { return hex.EncodeToString(mac(sha256.New, key, text)) }

func unix(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }
