package compat

import "testing"

// TestWordsOfLdirectord checks the log lines that scripts and log analysers search for.
func TestWordsOfLdirectord(t *testing.T) {
	for got, want := range map[string]string{
		InvokedLine([]string{"ldirectord", "web.cf", "start"}): "Invoking ldirectord invoked as: ldirectord web.cf start ",
		ForegroundLine("1.2.3", 7):                             "Starting Linux Director 1.2.3 with pid: 7",
		DaemonLine("1.2.3"):                                    "Starting Linux Director 1.2.3 as daemon",
		ChangedLine("web.cf"):                                  "Configuration file 'web.cf' has changed on disk",
		ExitLine("INT"):                                        "Exiting with exit_status 0: Linux Director Daemon terminated on signal: INT",
		ProblemLine("Error", 7, "web.cf", 3, "no"):             "Error [7] reading file web.cf at line 3: no",
		Running("web.cf", 7):                                   "ldirectord for web.cf is running with pid: 7",
		Stopped("web.cf"):                                      "ldirectord is stopped for web.cf",
		Stale("/run/ldirectord.web.cf.pid", "web.cf"):          "ldirectord stale pid file /run/ldirectord.web.cf.pid for web.cf",
	} {
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
