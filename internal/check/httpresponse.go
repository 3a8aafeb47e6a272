package check

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// response is a reply of HTTP. The parser is as lenient as LWP, the library of ldirectord. Package
// net/http refuses some replies that browsers and LWP accept.
type response struct {
	status   int
	text     string // text is the number and the words of the status line.
	location string
	lengths  []string // lengths are the values of Content-Length.
	codings  []string // codings are the values of Transfer-Encoding.
	body     io.Reader
}

// errOther is the error of a reply that is not HTTP. line is the beginning of the reply.
type errOther struct{ line string }

func (e errOther) Error() string { return fmt.Sprintf("not an answer of HTTP: %q", ascii(e.line)) }

// readResponse reads the header of the final answer to a request. It skips interim answers, which
// have a status 1xx.
func readResponse(r *bufio.Reader, method string) (*response, error) {
	for {
		answer, err := readHeader(r)
		if err != nil {
			return nil, err
		}
		if answer.status/100 == 1 {
			continue
		}
		return answer, answer.frame(r, method)
	}
}

func readHeader(r *bufio.Reader) (*response, error) {
	line, err := "", error(nil)
	for line == "" && err == nil { // The server can send blank lines that belong to the previous answer.
		line, err = headerLine(r)
	}
	answer := &response{}
	switch {
	case line == "":
		return nil, err
	case !answer.begin(line):
		return nil, errOther{line}
	case err != nil:
		return nil, io.ErrUnexpectedEOF
	}
	for {
		line, err := headerLine(r)
		switch {
		case line == "" && (err == nil || errors.Is(err, io.EOF)): // Scripts often leave out the blank line after the header.
			return answer, nil
		case err != nil:
			return nil, err
		}
		answer.take(line)
	}
}

// headerLine reads a line and returns it without its line end.
func headerLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}

// begin parses the status line: a version, a number, and words that can be missing. It reports
// whether the line has this form.
func (a *response) begin(line string) bool {
	const enough = 1 << 10 // A longer status line is cut, because its words would use much memory.
	fields := strings.Fields(line[:min(len(line), enough)])
	if len(fields) < 2 || !strings.HasPrefix(fields[0], "HTTP/") || len(fields[1]) != 3 {
		return false
	}
	status, err := strconv.ParseUint(fields[1], 10, 16)
	a.status, a.text = int(status), strings.Join(fields[1:], " ")
	return err == nil
}

// take stores the header fields that a check needs. It ignores lines without a colon and
// continuation lines.
func (a *response) take(line string) {
	name, value, _ := strings.Cut(line, ":")
	value = strings.TrimSpace(value)
	switch strings.ToLower(strings.TrimRight(name, " \t")) {
	case "location":
		if a.location == "" {
			a.location = value
		}
	case "content-length":
		a.lengths = append(a.lengths, strings.Split(value, ",")...)
	case "transfer-encoding":
		a.codings = append(a.codings, strings.Split(strings.ToLower(value), ",")...)
	}
}

// frame sets the field body to a reader that ends where the page ends.
func (a *response) frame(r *bufio.Reader, method string) error {
	if method == http.MethodHead || a.status == http.StatusNoContent || a.status == http.StatusNotModified {
		a.body = strings.NewReader("")
		return nil
	}
	var codings []string
	for _, coding := range a.codings {
		if coding = strings.TrimSpace(coding); coding != "" && coding != "identity" {
			codings = append(codings, coding)
		}
	}
	size, known := a.length()
	switch codings = slices.Compact(codings); {
	case len(codings) == 1 && codings[0] == "chunked":
		a.body = &chunks{r: r}
	case len(codings) > 0:
		return fmt.Errorf("transfer coding %q is not known", ascii(strings.Join(codings, ", ")))
	case known:
		a.body = &sized{r, size}
	default:
		a.body = r // Without a length, the page ends when the server closes the connection.
	}
	return nil
}

// length returns the number in Content-Length. It ignores values whose first word is not a number.
// If two numbers differ, the length is unknown.
func (a *response) length() (size int64, known bool) {
	for _, text := range a.lengths {
		text, _, _ = strings.Cut(strings.TrimSpace(text), " ")
		n, err := strconv.ParseUint(text, 10, 50)
		switch {
		case err != nil:
			continue
		case known && int64(n) != size:
			return 0, false
		}
		size, known = int64(n), true
	}
	return size, known
}

// sized reads a page of known length. left is how many bytes have not been read.
type sized struct {
	r    io.Reader
	left int64
}

// Read returns io.ErrUnexpectedEOF if the page ends before its length.
func (s *sized) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	n, err := s.r.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// chunks reads a page that the server sends in chunks (RFC 9112 7.1). Unlike the reader of
// net/http, it also accepts lines that end in a newline alone.
type chunks struct {
	r     *bufio.Reader
	chunk sized
	// between says that a chunk has begun whose line end has not been read.
	between bool
}

// Read reads from the current chunk, or from the next chunk after the current chunk has ended.
func (c *chunks) Read(p []byte) (int, error) {
	if c.chunk.left == 0 {
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	return c.chunk.Read(p)
}

func (c *chunks) next() error {
	line, err := headerLine(c.r)
	if err == nil && c.between {
		if line != "" {
			return fmt.Errorf("a chunk is longer than its size: %q", ascii(line))
		}
		line, err = headerLine(c.r)
	}
	if errors.Is(err, io.EOF) && line == "" {
		return io.ErrUnexpectedEOF
	}
	size, _, _ := strings.Cut(line, ";")
	n, failed := strconv.ParseUint(strings.TrimSpace(size), 16, 50)
	switch {
	case failed != nil:
		return fmt.Errorf("%q is not the size of a chunk", ascii(line))
	case n == 0:
		return io.EOF
	case err != nil:
		return err
	}
	c.chunk, c.between = sized{c.r, int64(n)}, true
	return nil
}
