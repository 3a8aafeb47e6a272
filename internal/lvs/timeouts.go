package lvs

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Timeouts say after how long without a packet the kernel forgets a connection. The values are for
// TCP, for TCP after a FIN, and for UDP, in the order of ipvsadm --set. They are whole seconds, and
// are for all services of a network namespace. Zero leaves a timeout as it is.
type Timeouts [3]time.Duration

// TimeoutNames returns the names of the timeouts in their order.
func TimeoutNames() []string { return []string{"tcp", "tcpfin", "udp"} }

// ParseTimeouts parses the value of keepalived's lvs_timeouts: "tcp 7200 tcpfin 120 udp 300". A
// timeout can be missing.
func ParseTimeouts(text string) (Timeouts, error) {
	var t Timeouts
	words := strings.Fields(text)
	if len(words) == 0 || len(words)%2 != 0 {
		return t, errors.New("not of the form NAME SECONDS; use tcp, tcpfin and udp, as: tcp 7200 tcpfin 120 udp 300")
	}
	for pair := range slices.Chunk(words, 2) {
		i := slices.Index(TimeoutNames(), pair[0])
		if i < 0 {
			return t, fmt.Errorf("unknown timeout %q; use tcp, tcpfin and udp", pair[0])
		}
		n, err := strconv.ParseUint(pair[1], 10, 32)
		if err != nil || n < 1 || n > uint64(MaxPersistence/time.Second) {
			return t, fmt.Errorf("timeout %s %q is not a number of seconds from 1 to %d", pair[0], pair[1], MaxPersistence/time.Second)
		}
		if t[i] != 0 {
			return t, fmt.Errorf("timeout %s is given twice; delete one of them", pair[0])
		}
		t[i] = time.Duration(n) * time.Second
	}
	return t, nil
}

// String returns the command that sets the timeouts.
func (t Timeouts) String() string {
	return fmt.Sprintf("ipvsadm --set %d %d %d", t[0]/time.Second, t[1]/time.Second, t[2]/time.Second)
}
