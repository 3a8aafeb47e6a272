# Generated from internal/lvsrs/manual.go by make docs; do not edit.
complete -c lvsrs -f
complete -c lvsrs -n 'not __fish_seen_subcommand_from start stop status' -a start -d 'Adds the addresses, and makes settings so that this host does not reply to ARP requests for them'
complete -c lvsrs -n 'not __fish_seen_subcommand_from start stop status' -a stop -d 'Restores the values that start found'
complete -c lvsrs -n 'not __fish_seen_subcommand_from start stop status' -a status -d 'Reports whether all addresses and settings are in place'
complete -c lvsrs -n '__fish_seen_subcommand_from start' -a '(for f in /etc/lvsrs.d/*.conf; basename $f .conf; end)'
complete -c lvsrs -n '__fish_seen_subcommand_from stop' -a '(for f in /etc/lvsrs.d/*.conf; basename $f .conf; end)'
complete -c lvsrs -n '__fish_seen_subcommand_from status' -a '(for f in /etc/lvsrs.d/*.conf; basename $f .conf; end)'
