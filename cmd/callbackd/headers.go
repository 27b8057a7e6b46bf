package main

// providerHeaders are the request headers that scripts see by default. They carry
// the signature, time, identity or kind of the webhooks of the providers named
// beside them. None carries a credential that is valid beyond its own request.
var providerHeaders = list{
	"Content-Type", "User-Agent",
	"Webhook-Id", "Webhook-Timestamp", "Webhook-Signature", // Standard Webhooks
	"Svix-Id", "Svix-Timestamp", "Svix-Signature",
	"X-Signature", "X-Timestamp", "Signature", "Signature-Input", "Content-Digest", "Digest", "Date",
	"X-Hub-Signature", "X-Hub-Signature-256", // GitHub, Meta, WebSub
	"X-GitHub-Event", "X-GitHub-Delivery", "X-GitHub-Hook-Id",
	"X-Gitlab-Event", "X-Gitlab-Token", "X-Gitlab-Event-UUID",
	"X-Gitea-Event", "X-Gitea-Delivery", "X-Gitea-Signature",
	"X-Event-Key", "X-Request-UUID", // Bitbucket
	"Stripe-Signature",
	"X-Slack-Signature", "X-Slack-Request-Timestamp", "X-Slack-Retry-Num", "X-Slack-Retry-Reason",
	"X-Twilio-Signature", "I-Twilio-Idempotency-Token", "X-Twilio-Email-Event-Webhook-Signature", "X-Twilio-Email-Event-Webhook-Timestamp",
	"X-Signature-Ed25519", "X-Signature-Timestamp", // Discord
	"X-Shopify-Hmac-Sha256", "X-Shopify-Topic", "X-Shopify-Shop-Domain", "X-Shopify-Webhook-Id", "X-Shopify-Event-Id", "X-Shopify-Triggered-At",
	"Paddle-Signature",
	"Paypal-Transmission-Id", "Paypal-Transmission-Sig", "Paypal-Transmission-Time", "Paypal-Cert-Url", "Paypal-Auth-Algo",
	"X-Square-Hmacsha256-Signature",
	"X-Adyen-Hmac-Signature", "Hmacsignature", "Protocol",
	"Bt-Signature", "Braintree-Signature",
	"X-Razorpay-Signature", "X-Razorpay-Event-Id",
	"X-Paystack-Signature", "Verif-Hash",
	"X-Cc-Webhook-Signature", // Coinbase Commerce
	"X-Line-Signature",
	"X-Telegram-Bot-Api-Secret-Token",
	"X-Viber-Content-Signature",
	"X-Zm-Signature", "X-Zm-Request-Timestamp",
	"X-Wc-Webhook-Signature", "X-Wc-Webhook-Topic", "X-Wc-Webhook-Delivery-Id", // WooCommerce
	"X-Linear-Signature", "Linear-Signature", "Linear-Event", "Linear-Delivery",
	"Typeform-Signature", "Calendly-Webhook-Signature", "X-Dropbox-Signature", "X-Mailgun-Signature",
	"X-Sentry-Hook-Signature", "Sentry-Hook-Signature", "Sentry-Hook-Resource", "Sentry-Hook-Timestamp",
	"X-Pagerduty-Signature", "X-Intercom-Signature", "X-Asana-Hook", "X-Asana-Hook-Secret", "X-Hook-Signature", "X-Hook-Secret",
	"X-Xero-Signature", "Intuit-Signature", "X-Contentful-Signature", "X-Airtable-Content-Mac",
	"Ce-Id", "Ce-Type", "Ce-Source", "Ce-Time", "Ce-Specversion", "Webhook-Request-Origin", // CloudEvents
	"X-Amz-Sns-Message-Type", "X-Amz-Sns-Message-Id", "X-Amz-Sns-Topic-Arn",
	"X-Goog-Channel-Id", "X-Goog-Channel-Token", "X-Goog-Resource-State", "X-Goog-Message-Number",
	"Twitch-Eventsub-Message-Id", "Twitch-Eventsub-Message-Timestamp", "Twitch-Eventsub-Message-Signature", "Twitch-Eventsub-Message-Type",
	"X-Patreon-Signature", "X-Patreon-Event", "X-Kofi-Token",
	"Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers", // preflights
	"Traceparent",
}
