package format

import (
	"net/netip"
	"slices"
	"strings"
)

// lines returns the words of each line that is not empty and not a comment.
func lines(text []byte) [][]string {
	var all [][]string
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		if words := strings.Fields(line); len(words) > 0 {
			all = append(all, words)
		}
	}
	return all
}

// piranhaText reports whether a line is serial_no = N or primary = ADDRESS.
func piranhaText(text []byte) bool {
	return slices.ContainsFunc(lines(text), func(words []string) bool {
		name, _, found := strings.Cut(strings.Join(words, ""), "=")
		return found && (name == "serial_no" || name == "primary")
	})
}

// haresourcesText reports whether the text has a line NODE SCRIPT::ARGUMENT, and only words that
// haresources can have. Without a script that has an argument, each line must be NODE ADDRESS.
func haresourcesText(text []byte) bool {
	all := lines(text)
	found := len(all) > 0 && !slices.ContainsFunc(all, func(words []string) bool { return !addressLine(words) })
	for _, words := range all {
		if slices.ContainsFunc(words, func(w string) bool { return strings.ContainsAny(w, "={}\"") && !strings.Contains(w, "::") }) {
			return false
		}
		found = found || len(words) > 1 && slices.ContainsFunc(words[1:], func(w string) bool {
			return strings.Contains(w, "::") && !strings.HasPrefix(w, "[") && !address(w)
		})
	}
	return found
}

// addressLine reports whether a line begins with the name of a node and an address. The line "ping
// ADDRESS" is from ha.cf, and "nameserver ADDRESS" is from resolv.conf.
func addressLine(words []string) bool {
	if len(words) < 2 || words[0] == "ping" || words[0] == "nameserver" {
		return false
	}
	return address(words[1])
}

// address reports whether a word is ADDRESS or ADDRESS/BITS.
func address(word string) bool {
	text, _, _ := strings.Cut(word, "/")
	_, err := netip.ParseAddr(text)
	return err == nil
}

// membersText reports whether a line of ha.cf names a node. If a text has lost its line breaks,
// another word can be before auto_failback.
func membersText(text []byte) bool {
	return slices.ContainsFunc(lines(text), func(words []string) bool {
		if len(words) < 2 || strings.ContainsAny(words[1], "=:{") {
			return false
		}
		return words[0] == "node" || slices.ContainsFunc(words[:len(words)-1], func(w string) bool { return strings.HasSuffix(w, "auto_failback") })
	})
}

// keysText reports whether the first line of authkeys selects a key.
func keysText(text []byte) bool {
	all := lines(text)
	return len(all) > 0 && len(all[0]) > 1 && all[0][0] == "auth" && strings.Trim(all[0][1], "0123456789") == ""
}

// keepalivedText reports whether a line begins a block of keepalived.conf, or includes a file.
func keepalivedText(text []byte) bool {
	return slices.ContainsFunc(lines(text), func(words []string) bool {
		blocks := []string{"virtual_server", "virtual_server_group", "vrrp_instance", "vrrp_sync_group", "vrrp_script", "global_defs"}
		return slices.Contains(blocks, strings.TrimRight(words[0], "{")) || words[0] == "include" && len(words) == 2
	})
}
