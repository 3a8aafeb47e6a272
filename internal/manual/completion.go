package manual

import (
	"fmt"
	"strings"
)

// Bash returns the completion of the program under its name and other names. An option can be
// anywhere on the command line; a command can be there only once.
func (p Program) Bash(names ...string) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	var commands []string
	for _, c := range p.Commands {
		commands = append(commands, c.Name)
	}
	function := "_" + strings.ReplaceAll(p.Name, "-", "_")
	line("# Generated from %s by make docs; do not edit.", p.Source)
	line("%s() {", function)
	line("\tlocal word=${COMP_WORDS[COMP_CWORD]} commands='%s' options='%s' operands='' command='' i", strings.Join(commands, " "), spellings(p.Options))
	line("\tfor ((i = 1; i < COMP_CWORD; i++)); do")
	line("\t\tcase \" $commands \" in *\" ${COMP_WORDS[i]} \"*) command=${COMP_WORDS[i]} ;; esac")
	line("\tdone")
	line("\tcase $command in")
	line("\t'') operands=%s ;;", quoted(p.Operands))
	for _, c := range p.Commands {
		if c.Operands != "" || len(c.Options) > 0 {
			line("\t%s) operands=%s options+=' %s' ;;", c.Name, quoted(c.Operands), spellings(c.Options))
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
	line("complete -o filenames -F %s %s", function, strings.Join(append([]string{p.Name}, names...), " "))
	return b.String()
}

// Files is the operand expression that completes names of files.
const Files = `compgen -f -- "$word"`

// Names returns the operand expression that completes the files of a directory with an ending. The
// completed words do not have the ending.
func Names(dir, ending string) string {
	return fmt.Sprintf(`compgen -W "$(cd %s 2>/dev/null && for f in *%s; do [ ! -e "$f" ] || echo "${f%%%s}"; done)" -- "$word"`, dir, ending, ending)
}

func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

func spellings(options []Option) string {
	var words []string
	for _, o := range options {
		if o.Short != "" {
			words = append(words, "-"+o.Short)
		}
		words = append(words, "--"+o.Long)
	}
	return strings.Join(words, " ")
}
