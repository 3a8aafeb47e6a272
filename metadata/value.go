package metadata

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"lvs-agents/internal/suggest"
)

// Value is a parameter's typed value, bound to a field of the agent.
type Value interface {
	// Set parses a text that is not empty. All values except String ignore blanks around the text.
	// The error describes the expected value; the caller adds the name and the value.
	Set(text string) error
	// String returns the current value in the format of Set, or an empty text for no value.
	String() string
	// Type returns the content type in OCF 1.1: string, integer, boolean or select.
	Type() string
}

// Enumerated is a value with a fixed list of options.
type Enumerated interface{ Options() []string }

type stringValue struct{ target *string }

// String binds a text. Set does not change the text.
func String(target *string) Value { return stringValue{target} }

func (v stringValue) Set(text string) error { *v.target = text; return nil }
func (v stringValue) String() string        { return *v.target }
func (v stringValue) Type() string          { return "string" }

type integerValue struct {
	target    *int
	low, high int
}

// Integer binds a whole number from low to high.
func Integer(target *int, low, high int) Value { return integerValue{target, low, high} }

func (v integerValue) Set(text string) error {
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || n < v.low || n > v.high {
		return fmt.Errorf("not a whole number from %d to %d", v.low, v.high)
	}
	*v.target = n
	return nil
}
func (v integerValue) String() string { return strconv.Itoa(*v.target) }
func (v integerValue) Type() string   { return "integer" }

type booleanValue struct{ target *bool }

// Boolean binds a boolean in the spellings of ocf_is_true (ocf-shellfuncs) and their opposites.
// Every other text is an error here, although ocf_is_true takes it for false.
func Boolean(target *bool) Value { return booleanValue{target} }

func (v booleanValue) Set(text string) error {
	switch strings.TrimSpace(text) {
	case "yes", "true", "1", "YES", "TRUE", "True", "ja", "on", "ON":
		*v.target = true
	case "no", "false", "0", "NO", "FALSE", "False", "nein", "off", "OFF":
		*v.target = false
	default:
		return fmt.Errorf("neither true nor false")
	}
	return nil
}
func (v booleanValue) String() string { return strconv.FormatBool(*v.target) }
func (v booleanValue) Type() string   { return "boolean" }

type selectValue[T ~string] struct {
	target  *T
	options []string
}

// Select binds one word of a list.
func Select[T ~string](target *T, options ...string) Value { return selectValue[T]{target, options} }

func (v selectValue[T]) Set(text string) error {
	text = strings.TrimSpace(text)
	if !slices.Contains(v.options, text) {
		return fmt.Errorf("unknown%s (one of %s)", suggest.Hint(text, v.options), strings.Join(v.options, ", "))
	}
	*v.target = T(text)
	return nil
}
func (v selectValue[T]) String() string    { return string(*v.target) }
func (v selectValue[T]) Type() string      { return "select" }
func (v selectValue[T]) Options() []string { return v.options }

type addressValue struct{ target *netip.Addr }

// Address binds an IPv4 or IPv6 address without a zone.
func Address(target *netip.Addr) Value { return addressValue{target} }

func (v addressValue) Set(text string) error {
	addr, err := netip.ParseAddr(strings.TrimSpace(text))
	if err != nil || addr.Zone() != "" || addr.IsUnspecified() {
		return fmt.Errorf("not an IPv4 or IPv6 address")
	}
	*v.target = addr.Unmap()
	return nil
}
func (v addressValue) String() string {
	if !v.target.IsValid() {
		return ""
	}
	return v.target.String()
}
func (v addressValue) Type() string { return "string" }

type addressesValue struct{ target *[]netip.Addr }

// Addresses binds a list of IPv4 and IPv6 addresses without zones, separated by blanks or commas.
func Addresses(target *[]netip.Addr) Value { return addressesValue{target} }

func (v addressesValue) Set(text string) error {
	var list []netip.Addr
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' || r == '\t' || r == '\n' }) {
		var ip netip.Addr
		if err := Address(&ip).Set(word); err != nil {
			return fmt.Errorf("%q is %w", word, err)
		}
		if slices.Contains(list, ip) {
			return fmt.Errorf("%q is there twice", word)
		}
		list = append(list, ip)
	}
	if len(list) == 0 {
		return errors.New("not an IPv4 or IPv6 address")
	}
	*v.target = list
	return nil
}
func (v addressesValue) String() string {
	words := make([]string, 0, len(*v.target))
	for _, ip := range *v.target {
		words = append(words, ip.String())
	}
	return strings.Join(words, " ")
}
func (v addressesValue) Type() string { return "string" }
