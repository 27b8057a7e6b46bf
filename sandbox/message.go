package sandbox

// A message is the content of a frame. Each kind has a type of message.
type message interface {
	kind() kind
	encode(e *encoder)
}

// A kind is the kind of a message.
type kind byte

const (
	// To the child.
	kindSetup     kind = 's' // setup; once, after the greeting
	kindCall      kind = 'c' // callMessage
	kindReply     kind = 'a' // the reply to the last question without a number
	kindCancel    kind = 'x' // cancelMessage; in place of a reply
	kindHTTPReply kind = 'h' // httpReply, by number, because several requests are under way

	// To the parent: the reply to setup.
	kindReady kind = 'y' // readyMessage

	// To the parent: the end of a call.
	kindResult kind = 'r' // resultMessage

	// To the parent: notices.
	kindLog     kind = 'l' // logMessage
	kindVerdict kind = 'v' // verdictMessage
	kindDrop    kind = 'd' // dropMessage

	// To the parent: questions, which the parent replies to.
	kindStat   kind = 'i' // statQuestion, statReply
	kindRead   kind = 'f' // readQuestion, readReply
	kindHTTP   kind = 'w' // httpQuestion
	kindInvoke kind = 'm' // invokeQuestion, invokeReply
)
