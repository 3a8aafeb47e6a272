# Prints the words that zsh completes: complete.zsh DIRECTORY LINE
#
# DIRECTORY has the completion functions. The script runs an interactive zsh in a pseudo terminal,
# where compadd prints the words and adds nothing.
zmodload zsh/zpty
zpty inner zsh -f -i
zpty -w inner 'PROMPT= PROMPT2= RPROMPT=; setopt no_prompt_cr; stty -echo; unset zle_bracketed_paste'
zpty -w inner "fpath=(${(q)1} \$fpath); autoload -Uz compinit; compinit -u -D; zstyle ':completion:*' list-grouped false"
zpty -w inner 'compadd() {
	[[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]] && { builtin compadd "$@"; return }
	local -a found
	builtin compadd -A found "$@"
	(( $#found )) && print -r -- "<${(j:><:)found}>"
}
finish() { print; print END }
comppostfuncs=(finish)
bindkey "^I" complete-word'
zpty -w inner 'print BE""GIN'
zpty -r -m inner line '*BEGIN*'
zpty -w -n inner "$2"$'\t'
zpty -r -m inner line '*END*'
zpty -d inner
for word in ${(s:<:)line}; do
	[[ $word != *'>'* ]] || print -r -- ${word%%'>'*}
done
