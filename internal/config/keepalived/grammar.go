package keepalived

import (
	_ "embed"
	"strings"
)

// grammar has the keywords of each kind of block. The value of a keyword is the kind of its block,
// or "line" without a block.
type grammar map[string]map[string]string

// keywordLists has a line "KIND: KEYWORD..." for each kind of block. "name{kind" begins a block of
// a kind, and "name{" a block whose kind is its name. A kind without a line has no keywords.
//
//go:embed keywords.txt
var keywordLists string

func newGrammar() grammar {
	g := grammar{}
	for list := range strings.Lines(keywordLists) {
		kind, words, _ := strings.Cut(list, ":")
		g[kind] = keywords(words)
	}
	return g
}

func keywords(list string) map[string]string {
	all := map[string]string{}
	for _, item := range strings.Fields(list) {
		name, kind, block := strings.Cut(item, "{")
		switch {
		case !block:
			kind = "line"
		case kind == "":
			kind = name
		}
		all[name] = kind
	}
	return all
}

// free reports whether the lines of a block have no keywords.
func (g grammar) free(block string) bool { return g[block] == nil }

func (g grammar) knows(block, keyword string) bool { return g[block][keyword] != "" }

// kind returns the kind of the block that a keyword begins.
func (g grammar) kind(block, keyword string) string {
	if kind := g[block][keyword]; kind != "" && kind != "line" {
		return kind
	}
	return "other"
}

// opens reports whether a keyword begins a block in a kind of block.
func (g grammar) opens(keyword string) bool {
	for _, words := range g {
		if kind := words[keyword]; kind != "" && kind != "line" {
			return true
		}
	}
	return false
}

// somewhere reports whether a kind of block has the keyword.
func (g grammar) somewhere(keyword string) bool {
	for _, words := range g {
		if words[keyword] != "" {
			return true
		}
	}
	return false
}
