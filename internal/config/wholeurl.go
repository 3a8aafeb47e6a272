package config

import (
	"cmp"
	"net/url"
	"strconv"
	"strings"

	"lvs-agents/internal/config/fault"
)

// WholeURL returns the URL that the request of a real server is, of what else is
// asked; nil if it is not one. Its error never has a login.
func WholeURL(application Application, request string) (*url.URL, error) {
	scheme, _, whole := strings.Cut(request, "://")
	if !whole || scheme != string(application) || scheme != "http" && scheme != "https" {
		return nil, nil //nolint:nilnil // neither a URL nor an error
	}
	target, err := url.Parse(request)
	if err != nil {
		return nil, fault.Errorf("what is special in a login is written as %XX", "request is not a URL")
	}
	if _, err := strconv.ParseUint(cmp.Or(target.Port(), "1"), 10, 16); err != nil {
		return nil, fault.Errorf("", "request: port %s is not a number from 1 to 65535", target.Port())
	}
	return target, nil
}
