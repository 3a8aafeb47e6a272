package policy

import "testing"

func TestHintsOfConnections(t *testing.T) {
	for name, row := range map[string]struct {
		readings []Reading
		want     int
	}{
		"no client":                       {[]Reading{{0, 0}, {0, 0}, {0, 0}, {0, 0}}, 0},
		"drops packets":                   {[]Reading{{0, 0}, {2, 0}, {4, 0}}, 1},
		"drops packets, rare clients":     {[]Reading{{0, 0}, {1, 0}, {1, 0}, {1, 0}, {2, 0}}, 1},
		"drops packets, old ones expire":  {[]Reading{{3, 9}, {4, 8}, {5, 7}}, 1},
		"drops packets, second hint":      {[]Reading{{0, 0}, {2, 0}, {4, 0}, {6, 0}, {8, 0}}, 2},
		"one new connection":              {[]Reading{{0, 0}, {1, 0}, {1, 0}, {1, 0}}, 0},
		"refuses":                         {[]Reading{{0, 0}, {0, 3}, {0, 5}}, 1},
		"refuses, beginning not seen":     {[]Reading{{1, 0}, {0, 3}, {0, 5}}, 0},
		"connections end":                 {[]Reading{{0, 0}, {2, 0}, {3, 1}, {4, 1}}, 0},
		"an active connection has ended":  {[]Reading{{5, 0}, {6, 0}, {5, 0}, {6, 0}}, 0},
		"a steady good server":            {[]Reading{{3, 9}, {3, 12}, {4, 14}, {3, 17}}, 0},
		"the kernel forgets the services": {[]Reading{{5, 5}, {6, 5}, {0, 0}, {1, 0}}, 0},
	} {
		var s Silence
		hints := 0
		for i := 1; i < len(row.readings); i++ {
			var hint bool
			if s, hint = s.Add(row.readings[i-1], row.readings[i]); hint {
				hints++
			}
		}
		if hints != row.want {
			t.Errorf("%s: %d hints, want %d", name, hints, row.want)
		}
	}
}
