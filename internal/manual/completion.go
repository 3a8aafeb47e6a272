package manual

import (
	"fmt"
	"strings"
)

// Completions returns the completions of the program for bash, zsh and fish, by the names of their
// files. They also complete the other names. An option can be anywhere on the command line; a
// command can be there only once.
func (p Program) Completions(names ...string) map[string]string {
	all := append([]string{p.Name}, names...)
	return map[string]string{p.Name: p.bash(all), "_" + p.Name: p.zsh(all), p.Name + ".fish": p.fish(all)}
}

func (p Program) bash(names []string) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	function := "_" + strings.ReplaceAll(p.Name, "-", "_")
	line("# Generated from %s by make docs; do not edit.", p.Source)
	line("%s() {", function)
	line("\tlocal word=${COMP_WORDS[COMP_CWORD]} commands='%s' options='%s' operands='' command='' i", strings.Join(p.commands(), " "), spellings(p.Options))
	line("\tfor ((i = 1; i < COMP_CWORD; i++)); do")
	line("\t\tcase \" $commands \" in *\" ${COMP_WORDS[i]} \"*) command=${COMP_WORDS[i]} ;; esac")
	line("\tdone")
	line("\tcase $command in")
	line("\t'') operands=%s ;;", quoted(p.Operands.bash()))
	for _, c := range p.Commands {
		if c.Operands != (Operands{}) || len(c.Options) > 0 {
			line("\t%s) operands=%s options+=' %s' ;;", c.Name, quoted(c.Operands.bash()), spellings(c.Options))
		}
	}
	line("\tesac")
	line("\tif [[ $word == -* ]]; then")
	line("\t\tmapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$word\")")
	line("\t\treturn")
	line("\tfi")
	line("\t[[ $command ]] && commands=''")
	line("\tmapfile -t COMPREPLY < <(compgen -W \"$commands\" -- \"$word\"; eval \"$operands\")")
	line("}")
	line("complete -o filenames -F %s %s", function, strings.Join(names, " "))
	return b.String()
}

// bash returns a bash expression that prints the operands that begin with $word.
func (o Operands) bash() string {
	var parts []string
	if o.Files {
		parts = append(parts, `compgen -f -- "$word"`)
	}
	switch {
	case o.Dir == "":
	case o.Bare:
		parts = append(parts, fmt.Sprintf(`compgen -W "$(cd %s 2>/dev/null && for f in *%s; do [ ! -e "$f" ] || echo "${f%%%s}"; done)" -- "$word"`, o.Dir, o.Ending, o.Ending))
	default:
		parts = append(parts, fmt.Sprintf(`(cd %s 2>/dev/null && compgen -G "$word*%s")`, o.Dir, o.Ending))
	}
	return strings.Join(parts, "; ")
}

// zsh returns the body of an autoloaded function.
func (p Program) zsh(names []string) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("#compdef %s", strings.Join(names, " "))
	line("# Generated from %s by make docs; do not edit.", p.Source)
	line("local -a commands options names")
	line("local command word")
	line("commands=(")
	for _, c := range p.Commands {
		line("\t%s", quoted(described(c.Name, c.Text)))
	}
	line(")")
	line("options=(%s)", zshOptions(p.Options))
	line("for word in ${words[2,CURRENT-1]}; do")
	line("\t(( ${commands[(I)${(b)word}:*]} )) && command=$word")
	line("done")
	line("case $command in")
	for _, c := range p.Commands {
		if len(c.Options) > 0 {
			line("%s) options+=(%s) ;;", c.Name, zshOptions(c.Options))
		}
	}
	line("esac")
	line("if [[ $PREFIX == -* ]]; then")
	line("\t_describe -o option options")
	line("\treturn")
	line("fi")
	line("[[ -n $command ]] || _describe command commands")
	line("case $command in")
	for _, c := range append([]Command{{Name: "''", Operands: p.Operands}}, p.Commands...) {
		if c.Operands != (Operands{}) {
			line("%s) %s ;;", c.Name, c.Operands.zsh())
		}
	}
	line("esac")
	return b.String()
}

// zsh returns zsh commands that complete the operands.
func (o Operands) zsh() string {
	var parts []string
	if o.Files {
		parts = append(parts, "_files")
	}
	if o.Dir != "" {
		names := fmt.Sprintf("names=(%s/*%s(N:t))", o.Dir, o.Ending)
		if o.Bare {
			names += fmt.Sprintf("; names=(${names%%%s})", o.Ending)
		}
		parts = append(parts, names+"; compadd -a names")
	}
	return strings.Join(parts, "; ")
}

// zshOptions returns the options as elements of an array for _describe.
func zshOptions(options []Option) string {
	var words []string
	for _, o := range options {
		for _, spelling := range o.spellings() {
			words = append(words, quoted(described(spelling, o.Text)))
		}
	}
	return strings.Join(words, " ")
}

// described returns a word with its description for _describe of zsh.
func described(word, text string) string { return word + ":" + brief(text) }

// brief returns the first sentence of a text without its full stop.
func brief(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	text, _, _ = strings.Cut(text, ". ")
	return strings.TrimSuffix(text, ".")
}

func (p Program) fish(names []string) string {
	var b strings.Builder
	complete := "complete"
	for _, name := range names {
		complete += " -c " + name
	}
	line := func(format string, args ...any) { fmt.Fprintf(&b, complete+format+"\n", args...) }
	fmt.Fprintf(&b, "# Generated from %s by make docs; do not edit.\n", p.Source)
	line(" -f")
	options := func(condition string, options []Option) {
		for _, o := range options {
			line("%s%s", condition, o.fish())
		}
	}
	options("", p.Options)
	without := " -n 'not __fish_seen_subcommand_from " + strings.Join(p.commands(), " ") + "'"
	for _, c := range p.Commands {
		line("%s -a %s -d %s", without, c.Name, fishQuoted(brief(c.Text)))
	}
	for _, operands := range p.Operands.fish() {
		line("%s%s", without, operands)
	}
	for _, c := range p.Commands {
		with := " -n '__fish_seen_subcommand_from " + c.Name + "'"
		options(with, c.Options)
		for _, operands := range c.Operands.fish() {
			line("%s%s", with, operands)
		}
	}
	return b.String()
}

// fish returns the arguments of complete for an option.
func (o Option) fish() string {
	text := " -l " + o.Long
	if o.Short != "" {
		text += " -s " + o.Short
	}
	if o.Value != "" {
		text += " -r"
	}
	return text + " -d " + fishQuoted(brief(o.Text))
}

// fish returns the arguments of complete for operands, one text for each call.
func (o Operands) fish() []string {
	var all []string
	if o.Files {
		all = append(all, " -F")
	}
	if o.Dir != "" {
		ending := ""
		if o.Bare {
			ending = " " + o.Ending
		}
		all = append(all, fmt.Sprintf(" -a '(for f in %s/*%s; basename $f%s; end)'", o.Dir, o.Ending, ending))
	}
	return all
}

func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

func fishQuoted(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(text) + "'"
}

// commands returns the names of the commands.
func (p Program) commands() []string {
	var names []string
	for _, c := range p.Commands {
		names = append(names, c.Name)
	}
	return names
}

// spellings returns all spellings of options, separated by blanks.
func spellings(options []Option) string {
	var words []string
	for _, o := range options {
		words = append(words, o.spellings()...)
	}
	return strings.Join(words, " ")
}

func (o Option) spellings() []string {
	if o.Short == "" {
		return []string{"--" + o.Long}
	}
	return []string{"-" + o.Short, "--" + o.Long}
}
