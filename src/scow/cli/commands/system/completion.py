"""`scow completion bash|zsh|fish`: the script that a shell reads once; it asks `scow __complete` (or
`scow-compose __complete`) at each tab."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from scow.cli.command import Cli
    from scow.cli.flags import Options

from scow.cli.command import Command
from scow.errors import ScowError

BASH = r"""# completion of scow for bash
_scow() {
    local cur words line word directive=4
    local IFS=$'\n'
    # bash cuts words at : and =; the program wants them whole
    words=("${COMP_WORDS[@]:1:COMP_CWORD}")
    if declare -F _get_comp_words_by_ref >/dev/null; then
        local cword
        _get_comp_words_by_ref -n =: -w words -i cword
        words=("${words[@]:1:cword}")
    fi
    cur=${words[${#words[@]}-1]}
    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
            :[0-9]*) directive=${line#:} ;;
            *) word=${line%%$'\t'*}; [[ $word == "$cur"* ]] && COMPREPLY+=("$word") ;;
        esac
    done < <("${COMP_WORDS[0]}" __complete "${words[@]}" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -eq 0 && $directive -eq 0 ]]; then
        compopt -o filenames 2>/dev/null
        COMPREPLY=($(compgen -f -- "$cur"))
        return
    fi
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[:=/] ]] && compopt -o nospace 2>/dev/null
    declare -F __ltrim_colon_completions >/dev/null && __ltrim_colon_completions "$cur"
}
complete -F _scow scow scow-compose
"""

ZSH = r"""#compdef scow scow-compose
# completion of scow for zsh
_scow() {
    local line word text directive=4
    local -a found
    while IFS= read -r line; do
        case $line in
            :[0-9]*) directive=${line#:} ;;
            *)
                word=${line%%$'\t'*}
                text=${line#*$'\t'}
                [[ $text == $line ]] && text=""
                found+=("${word//:/\\:}${text:+:$text}") ;;
        esac
    done < <("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)
    (( $#found )) && _describe -t words 'scow' found
    [[ $directive -eq 0 ]] && _files
    return 0
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _scow "$@"; else compdef _scow scow scow-compose; fi
"""

FISH = r"""# completion of scow for fish
function __scow_ask
    set -l words (commandline -opc) (commandline -ct)
    set -l answer ($words[1] __complete $words[2..-1] 2>/dev/null)
    for line in $answer
        string match -qr '^:[0-9]+$' -- $line; or echo $line
    end
    if contains -- ':0' $answer
        __fish_complete_path (commandline -ct)
    end
end
complete -c scow -f -a '(__scow_ask)'
complete -c scow-compose -f -a '(__scow_ask)'
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def run(cli: Cli, options: Options, args: list[str]) -> int:
    """Prints the script."""
    script = SCRIPTS.get(args[0])
    if script is None:
        raise ScowError(f"there is no completion for {args[0]}: choose bash, zsh or fish")
    cli.out(script)
    return 0


COMPLETION = Command(" bash|zsh|fish", "Print the completion script of a shell", (), run, 1, 1)
