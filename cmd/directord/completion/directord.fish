# Generated from internal/directord/compat/program.go by make docs; do not edit.
complete -c directord -c ldirectord -f
complete -c directord -c ldirectord -l debug -s d -d 'stay in the foreground and log everything to stderr'
complete -c directord -c ldirectord -l foreground -s f -d 'stay in the foreground, and notify systemd when the daemon is ready'
complete -c directord -c ldirectord -l test -s t -d 'only read CONFIG and print its errors and warnings'
complete -c directord -c ldirectord -l version -s v -d 'print the version'
complete -c directord -c ldirectord -l help -s h -d 'print this help'
complete -c directord -c ldirectord -n 'not __fish_seen_subcommand_from start stop restart try-restart reload force-reload status' -a start -d 'Starts the daemon'
complete -c directord -c ldirectord -n 'not __fish_seen_subcommand_from start stop restart try-restart reload force-reload status' -a stop -d 'Ends the daemon and removes its services from the kernel, except services with cleanstop=no'
complete -c directord -c ldirectord -n 'not __fish_seen_subcommand_from start stop restart try-restart reload force-reload status' -a restart -d 'Stops the daemon, then starts it'
complete -c directord -c ldirectord -n 'not __fish_seen_subcommand_from start stop restart try-restart reload force-reload status' -a try-restart -d 'Restarts the daemon if it runs'
complete -c directord -c ldirectord -n 'not __fish_seen_subcommand_from start stop restart try-restart reload force-reload status' -a reload -d 'Makes the daemon read its configuration again'
complete -c directord -c ldirectord -n 'not __fish_seen_subcommand_from start stop restart try-restart reload force-reload status' -a force-reload -d 'The same as reload'
complete -c directord -c ldirectord -n 'not __fish_seen_subcommand_from start stop restart try-restart reload force-reload status' -a status -d 'Reports whether the daemon runs'
complete -c directord -c ldirectord -n 'not __fish_seen_subcommand_from start stop restart try-restart reload force-reload status' -F
complete -c directord -c ldirectord -n 'not __fish_seen_subcommand_from start stop restart try-restart reload force-reload status' -a '(for f in /etc/ha.d/*.cf; basename $f; end)'
