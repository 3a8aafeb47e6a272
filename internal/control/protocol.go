package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Version is the version of the protocol on the control socket. A connection carries one request
// and its replies. The request and each reply are one JSON object on one line. A daemon answers
// requests of every version from 1 up to its own.
//
// Before version 1, a request was a single word. A reply was a JSON object, the word "done", or
// "error: " and an error.
const Version = 1

// Names of requests.
const (
	// requestStatus has a detail as its argument. The result of the reply is a Snapshot.
	requestStatus = "status"
	requestResync = "resync"
	requestReload = "reload"
	// requestExplain has a Filter as its argument. The result of the reply is an Explanation.
	requestExplain = "explain"
	requestOrder   = "order" // requestOrder has a Command as its argument.
	// requestEvents has a Filter as its argument. The first reply has no result. Each later reply
	// has an Event.
	requestEvents = "events"
)

// request is one request of a client.
type request struct {
	Version int    `json:"version"`
	Request string `json:"request"`
	// Arguments are the arguments of the request. They are empty if the request has none.
	Arguments json.RawMessage `json:"arguments,omitempty"`
}

// detail is the argument of requestStatus.
type detail struct {
	// Summary reports whether the client wants Counts in place of real servers.
	Summary bool `json:"summary"`
}

// reply is what the daemon sends: a result or an error. Both are empty after a success without a
// result.
type reply struct {
	Version int    `json:"version"`
	Error   string `json:"error,omitempty"`
	Result  any    `json:"result,omitempty"`
}

// wordError begins the error reply of a daemon from before version 1. It also begins the error
// reply to a client from before version 1.
const wordError = "error: "

// unknownRequest begins the error reply to a request that the daemon does not know.
const unknownRequest = "unknown request "

// encodeRequest returns the line of a request, without its line end.
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

// decodeRequest returns the request that a line contains. The daemon sends the error to the client.
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

// decodeArguments returns the arguments of a request. The daemon sends the error to the client.
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

// errNoVersion is the error that the daemon sends to a client from before version 1. It also sends
// this error if a line does not begin with a brace.
var errNoVersion = fmt.Errorf("this directord speaks version %d of the control protocol; use the programs of its package", Version)

// encodeReply returns the line of a reply, without its line end.
func encodeReply(result any, failure error) []byte {
	if failure == nil {
		text, err := json.Marshal(reply{Version: Version, Result: result})
		if err == nil {
			return text
		}
		failure = err
	}
	text, _ := json.Marshal(reply{Version: Version, Error: failure.Error()}) // Marshal cannot fail: the reply has a number and a text.
	return text
}

// decodeReply decodes the result of a reply. result is nil if the caller expects no result. The
// error is the error in the reply, or says why the line is not a reply.
func decodeReply(line []byte, result any) error {
	r := reply{Result: result}
	err := json.Unmarshal(line, &r)
	switch {
	case err != nil && r.Version == 0:
		return fmt.Errorf("the reply is not a JSON object: %w", err)
	case r.Version > Version:
		return fmt.Errorf("it speaks version %d of the control protocol and this program version %d; use the programs of its package", r.Version, Version)
	case r.Version < 1:
		return errors.New("the reply has no version; end the process that listens on the socket, it is not directord")
	case strings.HasPrefix(r.Error, unknownRequest):
		return fmt.Errorf("%s; it was started before the upgrade, so restart its resource", r.Error)
	case r.Error != "":
		return errors.New(r.Error)
	case result == nil:
		return nil
	}
	return err
}

// decodeWordReply decodes the reply of a daemon from before version 1.
func decodeWordReply(line []byte, result any) error {
	if problem, failed := bytes.CutPrefix(line, []byte(wordError)); failed {
		return fmt.Errorf("%s; the daemon was started before the upgrade", problem)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(line, result)
}
