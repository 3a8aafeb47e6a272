package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Version is the version of the protocol on the control socket. A connection
// carries one request, a JSON object in a line, and its replies, a JSON object in
// a line each. A daemon answers every version up to its own.
//
// Before version 1 a request was a bare word, and a reply was a JSON object, the
// word done, or an error after "error: ".
const Version = 1

// Names of requests.
const (
	requestStatus = "status" // the reply has a Snapshot
	requestResync = "resync"
	requestReload = "reload"
	requestEvents = "events" // with a Filter; the replies have an Event each, the first has none
)

// request is what a client sends.
type request struct {
	Version   int             `json:"version"`
	Request   string          `json:"request"`
	Arguments json.RawMessage `json:"arguments,omitempty"` // of the request; none when empty
}

// reply is what the daemon sends: a result, or an error.
type reply struct {
	Version int             `json:"version"`
	Error   string          `json:"error,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
}

// wordError begins the reply of a daemon without versions to a request that
// failed. It begins the reply to a client without versions, too.
const wordError = "error: "

// encodeRequest returns the line of a request, without its end.
func encodeRequest(name string, arguments any) ([]byte, error) {
	r := request{Version: Version, Request: name}
	if arguments != nil {
		text, err := json.Marshal(arguments)
		if err != nil {
			return nil, err
		}
		r.Arguments = text
	}
	return json.Marshal(r)
}

// decodeRequest returns the request of a line. The error is for the client.
func decodeRequest(line []byte) (request, error) {
	var r request
	if err := json.Unmarshal(line, &r); err != nil {
		return r, fmt.Errorf("the request is not a JSON object: %w", err)
	}
	switch {
	case r.Version > Version:
		return r, fmt.Errorf("the client speaks version %d of the control protocol and this directord version %d; restart the resource so that the installed directord runs", r.Version, Version)
	case r.Version < 1:
		return r, fmt.Errorf("version %d of the control protocol is unknown; this directord speaks version %d", r.Version, Version)
	}
	return r, nil
}

// decodeArguments returns the arguments of a request. The error is for the client.
func decodeArguments[T any](r request) (arguments T, err error) {
	if len(r.Arguments) == 0 {
		return arguments, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(r.Arguments))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&arguments); err != nil {
		return arguments, fmt.Errorf("arguments of %s: %w", r.Request, err)
	}
	return arguments, nil
}

// errNoVersion is for a client from before version 1.
var errNoVersion = fmt.Errorf("this directord speaks version %d of the control protocol; use the programs of its package", Version)

// encodeReply returns the line of a reply, without its end.
func encodeReply(result any, failure error) []byte {
	r := reply{Version: Version}
	if failure == nil && result != nil {
		r.Result, failure = json.Marshal(result)
	}
	if failure != nil {
		r.Result, r.Error = nil, failure.Error()
	}
	text, _ := json.Marshal(r) // numbers and valid JSON
	return text
}

// decodeReply decodes the result of a reply; nil for no result. The error is the
// daemon's, or for a line that is not a reply.
func decodeReply(line []byte, result any) error {
	var r reply
	if err := json.Unmarshal(line, &r); err != nil {
		return fmt.Errorf("the reply is not a JSON object: %w", err)
	}
	switch {
	case r.Version > Version:
		return fmt.Errorf("it speaks version %d of the control protocol and this program version %d; use the programs of its package", r.Version, Version)
	case r.Version < 1:
		return errors.New("the reply has no version; end the process that listens on the socket, it is not directord")
	case r.Error != "":
		return errors.New(r.Error)
	case result == nil:
		return nil
	}
	return json.Unmarshal(r.Result, result)
}

// decodeWordReply decodes the reply of a daemon without versions.
func decodeWordReply(line []byte, result any) error {
	if problem, failed := bytes.CutPrefix(line, []byte(wordError)); failed {
		return fmt.Errorf("%s; it runs since before the upgrade", problem)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(line, result)
}
