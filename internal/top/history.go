package top

import "strings"

const (
	// bars is how many bars a history has at most.
	bars = 30
	// perBar is how many states one bar has. Its height is the highest rate in them.
	perBar = 5
)

// history are the last connection rates of the services and real servers.
type history struct {
	reads int
	rates map[key][]uint64
}

// add adds the rates of a state. It forgets services and real servers that are gone.
func (h *history) add(services []Service) {
	next := make(map[key][]uint64, len(h.rates))
	for i := range services {
		s := &services[i]
		if sum := sumOf(s.Servers); sum.counted {
			h.addRate(next, line{service: s}.key(), sum.connections)
		}
		for j := range s.Servers {
			if t := s.Servers[j].Traffic; t != nil {
				h.addRate(next, line{s, &s.Servers[j]}.key(), uint64(t.ConnRate))
			}
		}
	}
	h.rates = next
	h.reads++
}

func (h *history) addRate(next map[key][]uint64, k key, rate uint64) {
	past := h.rates[k]
	if len(past) == 0 || h.reads%perBar == 0 {
		past = append(past, rate)
	}
	past[len(past)-1] = max(past[len(past)-1], rate)
	next[k] = past[max(0, len(past)-bars):]
}

// sums are the connections and rates of several real servers.
type sums struct {
	active, inactive, connections, in, out uint64
	counted                                bool // counted is false if the kernel counts none of them.
}

// texts returns the five numbers.
func (s sums) texts() (texts [5]string) {
	for i, n := range [...]uint64{s.active, s.inactive, s.connections, s.in, s.out} {
		texts[i] = "-"
		if s.counted {
			texts[i] = short(n)
		}
	}
	return texts
}

func sumOf(servers []Server) (sum sums) {
	for _, s := range servers {
		if t := s.Traffic; t != nil {
			sum.add(sums{uint64(t.Active), uint64(t.Inactive), uint64(t.ConnRate), uint64(t.InRate), uint64(t.OutRate), true})
		}
	}
	return sum
}

func (s *sums) add(other sums) {
	s.active += other.active
	s.inactive += other.inactive
	s.connections += other.connections
	s.in += other.in
	s.out += other.out
	s.counted = s.counted || other.counted
}

// summary are the numbers of the header.
type summary struct {
	sums
	servers  int // servers is the number of real servers. A fallback does not count.
	verdicts map[string]int
}

func summed(services []Service) summary {
	total := summary{verdicts: map[string]int{}}
	for _, service := range services {
		for _, s := range service.Servers {
			total.verdicts[s.Verdict]++
		}
		total.servers += len(service.Servers)
		total.add(sumOf(service.Servers))
	}
	total.servers -= total.verdicts[fallback]
	return total
}

// draw returns the last rates as bars, the newest at the right. The highest bar is the highest rate
// of them.
func draw(rates []uint64, width int) string {
	rates = rates[max(0, len(rates)-width):]
	var highest uint64 = 1
	for _, r := range rates {
		highest = max(highest, r)
	}
	heights := []rune("▁▂▃▄▅▆▇█")
	var b strings.Builder
	b.WriteString(strings.Repeat(" ", width-len(rates)))
	for _, r := range rates {
		b.WriteRune(heights[(r*uint64(len(heights)-1)+highest-1)/highest])
	}
	return b.String()
}
